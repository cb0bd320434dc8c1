"""What the document says about clients that break it: a code for each of them, and the server goes on serving others."""

import itertools
import random
import time
import uuid

from duet_client import CLOSE_CAPSULE, Lane
from duet_server import key_id
from duet_wire import CLIENT, Malformed, encode, frame, take_frame, varint
from duet_world import QUIC, WEBTRANSPORT, ends, refusal

MEGABYTE = varint(1 << 20)


async def a_token_that_is_wrong_expired_or_forged_is_closed_with_3500(world, alpn):
    good = await world.token("mallory")
    now, kid = int(time.time()), key_id(good)
    head, body, signature = good.split(".")
    sign = lambda **claims: world.server.signed(kid, sub="mallory", role="visitor", **claims)
    assert (await world.client(alpn, token=sign(exp=now + 600))).welcome["user"] == "mallory"
    for token in (
        "nonsense",
        f"{head}.{body}.{signature[::-1]}",
        sign(exp=now - 60),
        sign(exp=now + 600, nbf=now + 300),
        sign(exp=now + 600, tenant="other"),
        sign(),
    ):
        assert await world.refused(alpn, token=token) == 3500, token
    assert await world.refused(alpn, resume=b"no such session") == 3500


async def an_expired_token_does_not_end_a_connection_that_has_a_better_one(world, alpn):
    client = await world.client(alpn)
    kid = key_id(await world.token("mallory"))
    old = world.server.signed(kid, sub=client.welcome["user"], role="visitor", exp=int(time.time()) - 60)
    for token, code in ((old, 1109), ("nonsense", 1101), (await world.token("somebody-else"), 1101)):
        assert await refusal(client.ask("Authenticate", "Authenticated", token=token)) == code, token
    await client.ask("Authenticate", "Authenticated", token=await world.token(client.welcome["user"]))


async def no_common_version_is_closed_with_3506(world, alpn):
    carrier = await world.carrier(alpn)
    control = carrier.lane()
    control.send("Hello", versions=[99], token=await world.token("mallory"), resume=None, device="d", sdk="s",
                 epochSeen=0, capabilities=0)
    assert (await control.until("Closing"))["code"] == 3506
    assert (await carrier.end())[0] == 3506


async def what_a_user_may_not_see_does_not_exist(world, alpn):
    owner, stranger = await world.client(QUIC), await world.client(alpn)
    theirs = await owner.create()
    for conversation in (theirs, uuid.uuid4()):
        lane = stranger.carrier.lane()
        lane.send("Open", conversation=conversation, start={"latest": 1})
        name, fields = await lane.next()
        assert (name, fields["code"], fields["subject"]) == ("Refused", 1104, "lane")
        await ends(lane)
        assert await refusal(stranger.history(conversation, {"after": 0})) == 1104
        assert await refusal(stranger.ask("SetStatus", conversation=conversation, status="resolved")) == 1104
    await stranger.ping()


async def a_signal_for_a_foreign_conversation_is_refused_and_not_told(world, alpn):
    owner, stranger = await world.client(QUIC), await world.client(alpn)
    conversation = await owner.create()
    await owner.open(conversation)
    stranger.typing(conversation, True)
    name, fields = await stranger.control.next()
    assert (name, fields["code"], fields["subject"]) == ("Refused", 1104, "lane")
    await owner.ping()
    assert owner.carrier.datagrams.empty()


async def datagrams_that_are_none_are_dropped(world, alpn):
    client = await world.client(alpn)
    noise = random.Random(1)
    for data in (b"", b"\x30", b"\x02" + bytes(40), encode("Ping", nonce=1), b"\xff" * 1_000,
                 encode("Typing", conversation=uuid.uuid4(), version=1, active=True) + b"\0",
                 *(noise.randbytes(noise.randrange(1, 900)) for _ in range(50))):
        client.carrier.send_datagram(data)
    await client.ping()


async def a_frame_of_a_megabyte_is_a_protocol_error_at_its_length(world, alpn):
    for lane_of in STREAM_KINDS:
        client, lane = await lane_of(world, alpn)
        lane.write(MEGABYTE)
        code, _ = await client.end()
        assert code == 3501, f"{lane_of.__name__}: {code}"
    await world.serves()


async def random_bytes_are_a_protocol_error_on_every_kind_of_stream(world, alpn):
    for seed, lane_of in itertools.product(range(6), STREAM_KINDS):
        noise = random.Random(seed)
        carrier, lane = await lane_of(world, alpn)
        lane.write(broken_frames(noise), fin=True)
        code, _ = await carrier.end()
        assert code == 3501, f"{lane_of.__name__}, seed {seed}: {code}"
    await world.serves()


async def a_frame_that_breaks_a_rule_is_a_protocol_error(world, alpn):
    ping = encode("Ping", nonce=1)
    for what, data, fin in (
        ("length 0", b"\0", False),
        ("one byte above the longest", varint(65_537), False),
        ("an integer that is none", b"\x02\x03\xff", False),
        ("a byte too many", varint(len(ping) + 1) + ping + b"\0", False),
        ("a byte too few", varint(1) + ping[:1], False),
        ("a variant that is none", b"\x03\x05\x01\x04", False),
        ("a bool that is none", b"\x03\x07\x01\x02", False),
        ("text that is no UTF-8", b"\x04\x04\x01\x01\xff", False),
        ("a count beyond the body", b"\x07\x06\x01\xfc\xff\xff\xff\xff", False),
        ("a wrapper of lane 0", b"\x03\x01\x00\x13", False),
        ("a wrapper in a wrapper", b"\x05\x01\x07\x01\x08\x13", False),
        ("a wrapper that is cut short", b"\x01\x01", False),
        ("the end inside a frame", frame("Ping", nonce=1)[:-1], True),
    ):
        client = await world.client(alpn)
        client.control.write(data, fin)
        assert (await client.carrier.end())[0] == 3501, what


async def a_frame_of_an_unknown_kind_is_skipped(world, alpn):
    client = await world.client(alpn)
    for kind in (0x00, 0x3F, 0x42, 0x7F, 0x80, 0xFF):
        client.control.write(varint(5) + bytes([kind]) + b"\xff\xfe\xfd\xfc")
        await client.ping()
    await client.open(await client.create())


async def a_client_that_does_not_begin_with_hello_is_closed_with_3501(world, alpn):
    carrier = await world.carrier(alpn)
    carrier.lane().send("Ping", nonce=1)
    assert (await carrier.end())[0] == 3501
    client = await world.client(alpn)
    client.control.send("Hello", versions=[1], token=await world.token("mallory"), resume=None, device="d", sdk="s",
                        epochSeen=0, capabilities=0)
    assert (await client.carrier.end())[0] == 3501


async def a_known_frame_on_the_wrong_lane_is_refused(world, alpn):
    client = await world.client(alpn)
    client.control.send("Receipt", received=1, read=1)
    assert await refusal(client.control.until("nothing else")) == 1100
    lane = client.carrier.lane()
    lane.send("Ping", nonce=1)
    assert await refusal(lane.until("nothing else")) == 1100
    await ends(lane)
    await client.ping()


async def a_reset_inside_a_frame_drops_it_and_nothing_else(world, alpn):
    client = await world.client(alpn)
    lane = await client.open(await client.create())
    lane.write(frame("Publish", **HALF)[:-1])
    lane.reset()
    await ends(lane)
    await client.ping()
    client.control.reset()
    assert (await client.carrier.end())[0] == 0


async def a_unidirectional_stream_is_not_read_and_harms_nobody(world, alpn):
    client = await world.client(alpn)
    head = b"" if alpn == QUIC else varint(0x54) + varint(client.carrier.session)
    stream = client.carrier.quic_stream(head + random.Random(3).randbytes(100), unidirectional=True)
    if alpn == WEBTRANSPORT:
        assert await client.carrier.reset_code(stream) == 0
    await client.ping()
    await client.open(await client.create())


async def a_page_of_a_foreign_origin_is_let_in_and_closed_with_3502(world):
    carrier = await world.carrier(WEBTRANSPORT, origin="https://evil.example")
    assert (await carrier.end())[0] == 3502


async def a_session_at_another_path_has_status_404(world):
    for path in ("/", "/duet/v2", "/duet/v1/ws"):
        try:
            await world.carrier(WEBTRANSPORT, path=path)
            raise AssertionError(path)
        except ConnectionError as error:
            assert str(error) == "HTTP status 404", error


async def a_stream_of_no_session_waits_and_is_no_lane(world):
    client = await world.client(WEBTRANSPORT)
    conversation = await client.create()
    for session in (4_000, 3):
        lane = Lane(client.carrier, client.carrier.quic_stream(varint(0x41) + varint(session)))
        client.carrier.lanes[lane.stream] = lane
        lane.send("Open", conversation=conversation, start={"latest": 5})
        await client.ping()
        assert lane.frames.empty(), session
    await client.open(conversation)


async def bytes_that_are_no_http3_close_with_a_code_of_http3(world):
    noise = random.Random(5)
    bidirectional = [b"\x01\x10" + b"\xff" * 16, b"\xff" * 100, bytes(50), *(noise.randbytes(200) for _ in range(6))]
    second_control, second_encoder = b"\x00\x04\x00", b"\x02\xff\xff\xff"
    unidirectional = [second_control, second_encoder]
    for one_way, data in [*((False, data) for data in bidirectional), *((True, data) for data in unidirectional)]:
        client = await world.client(WEBTRANSPORT)
        client.carrier.quic_stream(data, unidirectional=one_way, fin=True)
        code, _ = await client.carrier.end()
        assert 0x100 <= code <= 0x110 or 0x200 <= code <= 0x202, f"{data.hex()}: {code}"
    await world.serves()


async def a_capsule_that_is_none_harms_only_its_session(world):
    unknown, short, cut = varint(0x1234) + varint(500) + bytes(500), varint(2) + b"no", varint(9) + b"\0"
    close = varint(CLOSE_CAPSULE)
    for data, code in ((close + short, 3501), (close + varint(1 << 40), 3501), (close + cut, 0), (unknown, 0),
                       (b"\xff" * 50, 0)):
        client = await world.client(WEBTRANSPORT)
        client.carrier.h3.send_data(client.carrier.session, data, end_stream=True)
        client.carrier.transmit()
        assert (await client.carrier.end())[0] == code, data[:20].hex()
    client = await world.client(WEBTRANSPORT)
    for part in (unknown[:50], unknown[50:]):
        client.carrier.h3.send_data(client.carrier.session, part, end_stream=False)
        client.carrier.transmit()
        await client.ping()
    await world.serves()


HALF = {"id": uuid.UUID(int=0), "content": {"format": 0, "body": b"half"}, "replyTo": None, "durability": "accepted"}


# The kinds of streams: the connection, and a lane of this kind on it.


async def fresh_connection(world, alpn):
    carrier = await world.carrier(alpn)
    return carrier, carrier.lane()


async def control_lane(world, alpn):
    client = await world.client(alpn)
    return client.carrier, client.control


async def fresh_lane(world, alpn):
    client = await world.client(alpn)
    return client.carrier, client.carrier.lane()


async def conversation_lane(world, alpn):
    client = await world.client(alpn)
    return client.carrier, await client.open(await client.create())


async def bulk_lane(world, alpn):
    client = await world.client(alpn)
    conversation, lane = await client.create(), client.carrier.lane()
    lane.send("HistoryRequest", request=1, conversation=conversation, page={"after": 0}, limit=5)
    await lane.until("HistoryPage")
    return client.carrier, lane


STREAM_KINDS = (fresh_connection, control_lane, fresh_lane, conversation_lane, bulk_lane)


def broken_frames(noise):
    """Random bytes that, by the rules for a receiver, come to a protocol error before they come to an end."""
    while True:
        data = noise.randbytes(noise.randrange(1, 2_000))
        buffer = bytearray(data)
        try:
            while (taken := take_frame(buffer)) is not None:
                if taken[0] in CLIENT or taken[0] == 1:
                    break
            if taken is None and buffer:
                return data
        except Malformed:
            return data
