"""What the document promises to clients that keep it: each function is a law, run once, or on both carriers (`alpn`)."""

import asyncio
import re
import time
from pathlib import Path

from duet_client import Refused
from duet_wire import CLIENT, SERVER, decode, encode, message_id, take_frame, varint
from duet_world import QUIC, WEBTRANSPORT, ends

DOCUMENT = Path(__file__).parents[2] / "docs" / "protocol.md"


async def every_example_of_the_document_reads_and_writes_as_it_says(world):
    blocks = re.findall(r"```hex (command|delivery)/(\S+)\n(.*?)```", DOCUMENT.read_text(), re.S)
    for side, name, text in blocks:
        data = bytes.fromhex("".join(line.split(";")[0] for line in text.splitlines()))
        table, buffer = (CLIENT if side == "command" else SERVER), bytearray(data)
        kind, body = take_frame(buffer)
        known, fields = decode(kind, body, table)
        again = bytes([kind]) + table[kind][1].write(fields)
        assert not buffer and varint(len(again)) + again == data, f"{side}/{name}: {known} {fields}"
    assert len(blocks) >= 15, len(blocks)


# Chat.


async def a_webtransport_client_and_a_raw_quic_client_chat(world):
    visitor, agent, conversation = await world.chat(WEBTRANSPORT, QUIC)
    here, there = await visitor.open(conversation), await agent.open(conversation)
    asked = await here.publish("how much is it?")
    heard = await there.message("how much is it?")
    assert (heard["seq"], heard["author"]) == (asked["seq"], visitor.welcome["user"])
    assert asked["durability"] == "accepted" and asked["replicas"] >= 1 and not asked["duplicate"]
    answered = await there.publish("seven", reply_to=asked["seq"])
    heard = await here.message("seven")
    assert heard["body"]["replyTo"] == asked["seq"] and heard["body"]["id"] == answered["id"]
    assert [event["kind"] for event in here.events][:2] == [2, 3], "created, then the visitor joined"
    assert here.opened["status"] == "active" and here.opened["assignee"] == agent.welcome["user"]


async def a_repeated_publish_is_one_message(world, alpn):
    client = await world.client(alpn)
    lane = await client.open(await client.create())
    message = message_id()
    first = await lane.publish("once", message)
    second = await lane.publish("once", message)
    assert not first["duplicate"] and second["duplicate"] and second["seq"] == first["seq"]
    page = await client.history(lane.opened["conversation"], {"after": 0})
    said = [event for event in page["events"] if event["kind"] == 1]
    assert len(said) == 1 and said[0]["body"]["id"] == message
    try:
        await lane.publish("something else", message)
        raise AssertionError("two messages with one id")
    except Refused as refusal:
        assert refusal.code == 1126 and refusal.subject == {"message": message}


async def two_who_write_at_once_see_one_order_without_a_gap(world):
    visitor, agent, conversation = await world.chat(WEBTRANSPORT, QUIC)
    lanes = await visitor.open(conversation), await agent.open(conversation)

    async def write(lane, name):
        for number in range(20):
            await lane.publish(f"{name} {number}")

    await asyncio.gather(write(lanes[0], "visitor"), write(lanes[1], "agent"))
    last = max(lane.seq for lane in lanes)
    for lane in lanes:
        while lane.seq < last:
            await lane.until("Event", seq=lane.seq + 1)
    first, second = ([event for event in lane.events if event["kind"] == 1] for lane in lanes)
    assert [event["seq"] for event in lanes[0].events] == list(range(1, last + 1))
    assert first == second and len(first) == 40
    for name in ("visitor", "agent"):
        said = [event["body"]["content"]["body"].decode() for event in first]
        assert [text for text in said if text.startswith(name)] == [f"{name} {number}" for number in range(20)]


async def history_pages_have_no_gap_in_either_direction(world, alpn):
    client = await world.client(alpn)
    lane = await client.open(await client.create())
    for number in range(10):
        await lane.publish(str(number))
    conversation, forth, back = lane.opened["conversation"], [], []
    while True:
        page = await client.history(conversation, {"after": forth[-1] if forth else 0}, 5)
        forth += [event["seq"] for event in page["events"]]
        if not page["more"]:
            break
    while True:
        page = await client.history(conversation, {"before": back[0] if back else (1 << 64) - 1}, 5)
        back = [event["seq"] for event in page["events"]] + back
        if not page["more"]:
            break
    assert forth == back == list(range(1, 13)), (forth, back)


async def a_receipt_reaches_the_others(world):
    visitor, agent, conversation = await world.chat(QUIC, WEBTRANSPORT)
    here, there = await visitor.open(conversation), await agent.open(conversation)
    said = await here.publish("read me")
    await there.message("read me")
    there.send("Receipt", received=said["seq"], read=0)
    await here.until("ReceiptUpdated", user=agent.welcome["user"], received=said["seq"])
    there.send("Receipt", received=0, read=1 << 60)
    moved = await here.until("ReceiptUpdated", user=agent.welcome["user"], read=said["seq"])
    assert moved["received"] == said["seq"], "cut at the head, and never back"


async def typing_travels_as_a_datagram_and_stops(world):
    visitor, agent, conversation = await world.chat(WEBTRANSPORT, QUIC)
    assert visitor.welcome["capabilities"] & 1 and agent.welcome["capabilities"] & 1
    await visitor.open(conversation), await agent.open(conversation)
    for writer, reader in ((visitor, agent), (agent, visitor)):
        writer.typing(conversation, True)
        seen = await reader.datagram("Typing")
        assert seen["user"] == writer.welcome["user"] and seen["conversation"] == conversation
        assert seen["ttlMs"] == reader.welcome["limits"]["typingTtlMs"]
        writer.typing(conversation, False)
        stopped = await reader.datagram("Typing")
        assert stopped["ttlMs"] == 0 and stopped["version"] > seen["version"]


async def an_ephemeral_message_is_heard_and_never_stored(world):
    visitor, agent, conversation = await world.chat(WEBTRANSPORT, QUIC)
    here, there = await visitor.open(conversation), await agent.open(conversation)
    sent = await here.publish("psst", durability="ephemeral")
    assert (sent["seq"], sent["durability"], sent["replicas"]) == (0, "ephemeral", 0)
    heard = await there.until("Ephemeral")
    assert heard == {"author": visitor.welcome["user"], "content": {"format": 0, "body": b"psst"}}
    page = await visitor.history(conversation, {"after": 0})
    assert 1 not in [event["kind"] for event in page["events"]]


async def presence_follows_connection_choice_idleness_and_goodbye(world):
    visitor, agent, conversation = await world.chat(WEBTRANSPORT, QUIC)
    user = visitor.welcome["user"]
    await agent.ask("WatchPresence", users=[user])
    await visitor.ask("SetAvailability", availability="busy")
    await agent.control.until("Presence", user=user, availability="busy", connectivity="connected")
    visitor.carrier.send_datagram(encode("Idle", version=int(time.time() * 1000), idle=True))
    await agent.control.until("Presence", user=user, connectivity="idle")
    visitor.control.send("Goodbye")
    assert (await visitor.control.until("Closing"))["code"] == 6
    assert (await visitor.carrier.end())[0] == 6
    await agent.control.until("Presence", user=user, connectivity="offline")


async def the_inbox_tells_of_what_is_new(world):
    visitor, agent = await world.client(WEBTRANSPORT), await world.client(QUIC, "agent")
    await agent.ask("WatchInbox", on=True)
    conversation = await visitor.create(subject="a torn sail")
    entry = await agent.control.until("InboxEntry", conversation=conversation, subject="a torn sail")
    assert (entry["kind"], entry["status"], entry["gone"]) == ("support", "queued", False)
    lane = await visitor.open(conversation)
    said = await lane.publish("it is torn")
    await agent.control.until("InboxEntry", conversation=conversation, head=said["seq"])


# The end, and coming back.


async def a_dropped_session_is_resumed_on_either_carrier_and_nothing_is_missing(world, alpn):
    visitor, agent, conversation = await world.chat(alpn, QUIC)
    here, there = await visitor.open(conversation), await agent.open(conversation)
    message = message_id()
    said = await here.publish("before the drop", message)
    held, position = here.events, {"epoch": visitor.welcome["epoch"], "seq": here.seq}
    visitor.carrier.vanish()
    missed = [await there.publish(f"while you were away {number}") for number in range(3)]
    other = QUIC if alpn == WEBTRANSPORT else WEBTRANSPORT
    again = await world.client(other, resume=visitor.welcome["resume"], device=visitor.device,
                               epoch=visitor.welcome["epoch"])
    assert again.welcome["resumed"] == "full" and again.welcome["session"] == visitor.welcome["session"]
    assert again.welcome["user"] == visitor.welcome["user"]
    here = await again.open(conversation, {"after": position})
    assert here.opened["complete"] and here.opened["after"] == position["seq"]
    assert (held + here.events)[-1]["seq"] == missed[-1]["seq"]
    repeated = await here.publish("before the drop", message)
    assert repeated["duplicate"] and repeated["seq"] == said["seq"]


async def a_session_that_connects_twice_replaces_itself(world, alpn):
    first = await world.client(alpn)
    second = await world.client(alpn, resume=first.welcome["resume"], device=first.device)
    assert (await first.control.until("Closing"))["code"] == 3511
    assert (await first.carrier.end())[0] == 3511
    await second.ping()


async def a_position_that_the_log_never_had_is_told(world, alpn):
    client = await world.client(alpn)
    conversation = await client.create()
    lane = await client.open(conversation, {"after": {"epoch": client.welcome["epoch"], "seq": 1_000}})
    assert not lane.opened["complete"] and lane.seq == lane.opened["head"]["seq"]


async def a_finished_lane_ends_and_the_connection_stays(world, alpn):
    client = await world.client(alpn)
    lane = await client.open(await client.create())
    lane.write(b"", fin=True)
    await ends(lane)
    await client.ping()


async def a_lane_in_a_wrapper_does_what_a_stream_does(world, alpn):
    client = await world.client(alpn)
    conversation = await client.create()
    client.control.send_wrapped(7, "Open", conversation=conversation, start={"latest": 5})
    seen = [await client.control.until("Wrapper", lane=7) for _ in range(4)]
    assert [frame["inner"][0] for frame in seen] == ["Opened", "Event", "Event", "CaughtUp"]
    assert seen[0]["inner"][1]["conversation"] == conversation
    client.control.send_wrapped(7, "Close")
    last = (await client.control.until("Wrapper", lane=7))["inner"]
    assert last == ("Unsubscribed", {"code": 2000, "reason": last[1]["reason"]})


async def a_finished_control_lane_closes_with_0(world, alpn):
    client = await world.client(alpn)
    client.control.write(b"", fin=True)
    assert (await client.carrier.end())[0] == 0


async def signals_travel_on_the_control_lane_where_there_are_no_datagrams(world, alpn):
    visitor, agent, conversation = await world.chat(alpn, QUIC)
    bare = await world.client(alpn, token=await world.token(visitor.welcome["user"]), capabilities=0)
    assert bare.welcome["capabilities"] == 0
    await bare.open(conversation), await agent.open(conversation)
    bare.control.send("Typing", conversation=conversation, version=1, active=True)
    assert (await agent.datagram("Typing"))["user"] == bare.welcome["user"]
    agent.typing(conversation, True)
    assert (await bare.control.until("Typing"))["user"] == agent.welcome["user"]
    assert bare.carrier.datagrams.empty()


async def streams_come_and_go_without_end(world, alpn):
    client = await world.client(alpn)
    conversation = await client.create()
    for _ in range(300):
        await client.history(conversation, {"after": 0}, 1)


async def every_request_for_a_page_is_answered_under_its_number(world, alpn):
    client = await world.client(alpn)
    conversation, lane = await client.create(), client.carrier.lane()
    for request in range(8):
        lane.send("HistoryRequest", request=request, conversation=conversation, page={"after": 0}, limit=5)
    answered = set()
    for _ in range(8):
        name, fields = await lane.next()
        assert name == "HistoryPage" or fields["code"] == 1111, (name, fields)
        answered.add(fields["request"] if name == "HistoryPage" else fields["subject"]["request"])
    assert answered == set(range(8))


async def a_stream_that_is_one_lane_too_many_is_refused_with_1131(world, alpn):
    client = await world.client(alpn)
    conversation = await client.create()
    await open_all_wrapped(client, conversation)
    lane = client.carrier.lane()
    lane.send("Open", conversation=conversation, start={"latest": 1})
    name, fields = await lane.next()
    assert (name, fields["code"], fields["subject"]) == ("Refused", 1131, "lane")
    await ends(lane)
    await client.ping()


async def a_wrapped_lane_that_is_one_too_many_is_refused_with_1131(world, alpn):
    client = await world.client(alpn)
    conversation = await client.create()
    most = await open_all_wrapped(client, conversation)
    client.control.send_wrapped(most + 1, "Open", conversation=conversation, start={"latest": 1})
    name, fields = (await client.control.until("Wrapper", lane=most + 1))["inner"]
    assert (name, fields["code"], fields["subject"]) == ("Refused", 1131, "lane")
    await client.ping()


async def open_all_wrapped(client, conversation):
    """Opens as many lanes as the server allows, in wrappers; how many that is."""
    most = client.welcome["limits"]["lanesMax"]
    for lane in range(1, most + 1):
        client.control.send_wrapped(lane, "Open", conversation=conversation, start={"latest": 1})
        while (await client.control.until("Wrapper", lane=lane))["inner"][0] != "CaughtUp":
            pass
    return most
