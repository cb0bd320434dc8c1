"""A client of Duet over WebTransport and raw QUIC, written from docs/protocol.md alone.

It does what the document asks of a client and no more: the carriers in bytes, the hello, lanes that are streams, the
gap-free order of events, positions, the close codes. It does not reconnect by itself: whoever uses it decides when.
"""

import asyncio
import hashlib
import ssl
import time
import uuid

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from cryptography.hazmat.primitives.serialization import Encoding

from duet_wire import EVENTS, Malformed, decode, encode, frame, message_id, read_varint, take_frame, varint

DEADLINE_S = 10
DATAGRAMS = 1
WRAPPER = 0x01
CLOSE_CAPSULE = 0x2843
CLOSED_BY_USER = 6


class Ended(Exception):
    """The lane, or its connection, came to its end: there are no more frames."""


class Refused(Exception):
    """The server refused a command; `code` says why."""

    def __init__(self, fields):
        super().__init__(f"{fields['code']} {fields['message']}")
        self.code, self.subject = fields["code"], fields["subject"]


class Carrier(QuicConnectionProtocol):
    """One QUIC connection that carries lanes: as a WebTransport session (ALPN h3), or as it is (ALPN duet/1)."""

    @classmethod
    async def connect(cls, address, alpn, certificate_sha256, path="/duet/v1", origin=None):
        configuration = QuicConfiguration(is_client=True, alpn_protocols=[alpn], server_name="localhost",
                                          verify_mode=ssl.CERT_NONE, max_datagram_frame_size=65_535)
        loop = asyncio.get_running_loop()
        make = lambda: cls(QuicConnection(configuration=configuration))
        _, self = await loop.create_datagram_endpoint(make, local_addr=("127.0.0.1", 0))
        self.lanes, self.resets, self.closed, self.closing = {}, {}, loop.create_future(), False
        self.datagrams, self.h3, self.session, self.capsules = asyncio.Queue(1_000), None, None, bytearray()
        super(Carrier, self).connect(address)
        await asyncio.wait_for(self.wait_connected(), DEADLINE_S)
        # The certificate is minted for development: known by its hash, not by an authority.
        seen = self._quic.tls._peer_certificate.public_bytes(Encoding.DER)
        if hashlib.sha256(seen).hexdigest() != certificate_sha256:
            raise ssl.SSLError("another certificate than the one that was named")
        if alpn == "h3":
            await self._open_session(address, path, origin)
        return self

    async def _open_session(self, address, path, origin):
        self.h3 = H3Connection(self._quic, enable_webtransport=True)
        self.status = asyncio.get_running_loop().create_future()
        self.session = self._quic.get_next_available_stream_id()
        authority = f"{address[0]}:{address[1]}"
        headers = {":method": "CONNECT", ":protocol": "webtransport", ":scheme": "https",
                   ":authority": authority, ":path": path}
        if origin:
            headers["origin"] = origin
        self.h3.send_headers(self.session, [(k.encode(), v.encode()) for k, v in headers.items()])
        self.transmit()
        status = await asyncio.wait_for(self.status, DEADLINE_S)
        if status != b"200":
            raise ConnectionError(f"HTTP status {status.decode()}")

    def lane(self, kind=None):
        """A new bidirectional stream; it exists for the server when something is written on it."""
        stream = self.quic_stream(b"" if self.session is None else varint(0x41) + varint(self.session))
        lane = self.lanes[stream] = (kind or Lane)(self, stream)
        return lane

    def quic_stream(self, data, unidirectional=False, fin=False):
        """A new stream of the QUIC connection that begins with these bytes; its id."""
        stream = self._quic.get_next_available_stream_id(is_unidirectional=unidirectional)
        self.write(stream, data, fin)
        return stream

    async def reset_code(self, stream):
        """Duet's code with which the server reset a stream, or asked to stop it."""
        until = time.monotonic() + DEADLINE_S
        while stream not in self.resets:
            await asyncio.wait_for(self.ping(), until - time.monotonic())
        code = self.resets[stream]
        return code if self.session is None else next(n for n in range(4_000) if http_code(n) == code)

    def write(self, stream, data, fin=False):
        self._quic.send_stream_data(stream, data, fin)
        self.transmit()

    def send_datagram(self, data):
        self._quic.send_datagram_frame((b"" if self.session is None else varint(self.session // 4)) + data)
        self.transmit()

    def quic_event_received(self, event):
        if isinstance(event, events.ConnectionTerminated):
            self._end(event.error_code, event.reason_phrase)
        elif isinstance(event, events.DatagramFrameReceived):
            # The only session on the connection, so the id in front says nothing new.
            start = 0 if self.session is None else read_varint(event.data)[1]
            self.datagrams.put_nowait((event.data[start], event.data[start + 1 :]))
        elif isinstance(event, (events.StreamReset, events.StopSendingReceived)):
            self.resets[event.stream_id] = event.error_code
            if event.stream_id in self.lanes:
                self.lanes[event.stream_id].end()
        elif isinstance(event, events.StreamDataReceived) and event.stream_id in self.lanes:
            # Streams of a WebTransport session carry no HTTP/3. The library would read them as requests, because it
            # remembers only those that the other side opened; so it never sees them.
            self.lanes[event.stream_id].received(event.data, event.end_stream)
        elif self.h3 is not None:
            for answer in self.h3.handle_event(event):
                self._http(answer)

    def _http(self, event):
        if isinstance(event, HeadersReceived) and not self.status.done():
            self.status.set_result(dict(event.headers)[b":status"])
        elif isinstance(event, DataReceived) and event.stream_id == self.session:
            self.capsules += event.data
            while (head := read_varint(self.capsules)) and (size := read_varint(self.capsules, head[1])):
                length, start = size
                if len(self.capsules) < start + length:
                    break
                value = bytes(self.capsules[start : start + length])
                del self.capsules[: start + length]
                if head[0] == CLOSE_CAPSULE:
                    self._end(int.from_bytes(value[:4], "big"), value[4:].decode())
            if event.stream_ended:
                self._end(0, "")

    def _end(self, code, reason):
        if not self.closed.done():
            self.closed.set_result((code, reason))
        for lane in self.lanes.values():
            lane.end()

    async def end(self):
        """(code, reason) with which the server closed."""
        return await asyncio.wait_for(asyncio.shield(self.closed), DEADLINE_S)

    def close(self, code=CLOSED_BY_USER, reason=""):
        if self.closing or self.closed.done():
            return
        self.closing = True
        if self.session is None:
            self._quic.close(code, reason_phrase=reason)
        else:
            value = code.to_bytes(4, "big") + reason.encode()
            self.h3.send_data(self.session, varint(CLOSE_CAPSULE) + varint(len(value)) + value, end_stream=True)
            self.transmit()
            self._quic.close(0x100)  # H3_NO_ERROR: there is no other session on this connection
        self.transmit()

    def vanish(self):
        """The network is gone: the server hears nothing more, not even a close."""
        self._end(0, "vanished")
        self.transmit = lambda: None
        self._transport.close()


class Lane:
    """A stream of frames, both ways."""

    def __init__(self, carrier, stream):
        self.carrier, self.stream = carrier, stream
        self.buffer, self.frames = bytearray(), asyncio.Queue()

    def write(self, data, fin=False):
        self.carrier.write(self.stream, data, fin)

    def send(self, name, **fields):
        self.write(frame(name, **fields))

    def send_wrapped(self, number, name, **fields):
        """On the control lane: a frame of the lane of this number, which has no stream of its own."""
        inner = bytes([WRAPPER]) + varint(number) + encode(name, **fields)
        self.write(varint(len(inner)) + inner)

    def reset(self, code=0):
        self.carrier._quic.reset_stream(self.stream, code if self.carrier.session is None else http_code(code))
        self.carrier.transmit()

    def received(self, data, fin):
        self.buffer += data
        while (taken := take_frame(self.buffer)) is not None:
            kind, body = taken
            if kind == WRAPPER:
                number, at = read_varint(body)
                self.frames.put_nowait(("Wrapper", {"lane": number, "inner": decode(body[at], body[at + 1 :])}))
            elif (known := decode(kind, body)) is not None:
                self.frames.put_nowait(known)
        if fin:
            self.end()

    def end(self):
        self.frames.put_nowait(None)

    async def next(self):
        """The next frame: its name and its fields."""
        taken = await asyncio.wait_for(self.frames.get(), DEADLINE_S)
        if taken is None:
            self.end()
            raise Ended(f"stream {self.stream}")
        return taken

    async def until(self, name, **wanted):
        """The first frame of this name and these fields. A refusal of what was asked is raised."""
        while True:
            seen, fields = await self.next()
            if seen == name and all(fields[key] == value for key, value in wanted.items()):
                return fields
            if seen == "Refused":
                raise Refused(fields)


class Conversation(Lane):
    """A lane on which a conversation is open: its events, without a gap and without a double."""

    async def next(self):
        while True:
            name, fields = await super().next()
            if name == "Opened":
                self.opened, self.seq, self.events = fields, fields["after"], []
            elif name == "Event":
                if fields["seq"] <= self.seq:
                    continue
                if fields["seq"] != self.seq + 1:
                    raise Malformed(f"event {fields['seq']} after {self.seq}")
                self.seq = fields["seq"]
                fields["body"] = event_body(fields)
                self.events.append(fields)
            return name, fields

    async def publish(self, text, message=None, durability="accepted", reply_to=None):
        message = message or message_id()
        content = {"format": 0, "body": text.encode()}
        self.send("Publish", id=message, content=content, replyTo=reply_to, durability=durability)
        return await self.until("Published", id=message)

    async def message(self, text):
        """Waits for the event that says this, and gives it."""
        while True:
            for event in self.events:
                if event["kind"] == 1 and event["body"]["content"]["body"] == text.encode():
                    return event
            await self.until("Event", seq=self.seq + 1)


class Client:
    """A user on a connection that was welcomed."""

    @classmethod
    async def connect(cls, address, alpn, certificate_sha256, token=None, resume=None, device=None, epoch=0,
                      capabilities=DATAGRAMS):
        self = cls()
        self.carrier = await Carrier.connect(address, alpn, certificate_sha256)
        self.control = self.carrier.lane()
        self.device, self.requests, self.version = device or f"python-{uuid.uuid4()}", 0, 0
        self.control.send("Hello", versions=[1], token=token, resume=resume, device=self.device,
                          sdk="duet-interop/1", epochSeen=epoch, capabilities=capabilities)
        name, fields = await self.control.next()
        if name == "Closing":
            raise Refused({"code": fields["code"], "message": fields["reason"], "subject": self.carrier})
        self.welcome = fields
        return self

    async def ask(self, name, answer="Done", **fields):
        self.requests += 1
        self.control.send(name, request=self.requests, **fields)
        return await self.control.until(answer, request=self.requests)

    async def create(self, kind="support", subject=None, members=()):
        chosen = uuid.uuid4()
        made = await self.ask("CreateConversation", "Created", conversation=chosen, kind=kind, subject=subject,
                              members=list(members))
        return made["conversation"]

    async def open(self, conversation, start=None):
        lane = self.carrier.lane(Conversation)
        lane.send("Open", conversation=conversation, start=start or {"latest": 50})
        await lane.until("CaughtUp")
        return lane

    async def history(self, conversation, page, limit=500):
        lane = self.carrier.lane()
        lane.send("HistoryRequest", request=1, conversation=conversation, page=page, limit=limit)
        found = await lane.until("HistoryPage", request=1)
        lane.write(b"", fin=True)
        for event in found["events"]:
            event["body"] = event_body(event)
        return found

    async def ping(self):
        self.version += 1
        self.control.send("Ping", nonce=self.version)
        return await self.control.until("Pong", nonce=self.version)

    def typing(self, conversation, active):
        self.version = max(int(time.time() * 1000), self.version + 1)
        self.carrier.send_datagram(encode("Typing", conversation=conversation, version=self.version, active=active))

    async def datagram(self, name):
        while True:
            kind, body = await asyncio.wait_for(self.carrier.datagrams.get(), DEADLINE_S)
            if (known := decode(kind, body)) is not None and known[0] == name:
                return known[1]


def http_code(code):
    """The code of HTTP/3 by which a stream of WebTransport is reset with Duet's code."""
    return 0x52E4A40FA8DB + code + code // 30


def event_body(event):
    """What an event says; None for a kind that is not known, or a body that does not decode: it is only counted."""
    try:
        known = decode(event["kind"], event["body"], EVENTS)
        return known and known[1]
    except Malformed:
        return None
