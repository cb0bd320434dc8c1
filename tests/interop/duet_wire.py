"""The bytes of Duet's protocol, version 1, written from docs/protocol.md alone and sharing nothing with the product.

Two kinds of integers (QUIC's around a frame, bincode's inside), the types of a body, and every frame as a list of fields.
A value is what Python has for it: dict for a structure, None for absent, a name or {name: value} for a variant. Bytes
that break a rule raise Malformed; whoever holds a connection decides what that means.
"""

import os
import time
import uuid


class Malformed(ValueError):
    """Bytes that are not what the document says."""


def varint(value):
    """A variable-length integer of QUIC (RFC 9000 §16), in its shortest form."""
    for prefix, size in ((0x00, 1), (0x40, 2), (0x80, 4), (0xC0, 8)):
        if value < 1 << (8 * size - 2):
            data = bytearray(value.to_bytes(size, "big"))
            data[0] |= prefix
            return bytes(data)
    raise ValueError(value)


def read_varint(data, at=0):
    """(value, where it ends), or None as long as it is not all there."""
    if at >= len(data):
        return None
    size = 1 << (data[at] >> 6)
    if len(data) < at + size:
        return None
    return int.from_bytes(data[at : at + size], "big") & ((1 << (8 * size - 2)) - 1), at + size


class Reader:
    """A body from front to back."""

    def __init__(self, data):
        self.data, self.at = bytes(data), 0

    def take(self, count):
        if count > len(self.data) - self.at:
            raise Malformed(f"{count} bytes at {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count : self.at]


class Int:
    """u16, u32, u64 and counts: little-endian, the first byte is the value or the width."""

    def __init__(self, bits):
        self.bits = bits

    def write(self, value):
        if value <= 250:
            return bytes([value])
        for marker, size in ((0xFB, 2), (0xFC, 4), (0xFD, 8)):
            if value < 1 << 8 * size and size * 8 <= self.bits:
                return bytes([marker]) + value.to_bytes(size, "little")
        raise ValueError(value)

    def read(self, reader):
        first = reader.take(1)[0]
        if first <= 250:
            return first
        size = {0xFB: 2, 0xFC: 4, 0xFD: 8}.get(first)
        if size is None or size * 8 > self.bits:
            raise Malformed(f"an integer that begins with {first:#x} in {self.bits} bits")
        return int.from_bytes(reader.take(size), "little")


class Byte:
    def __init__(self, largest, kind):
        self.largest, self.kind = largest, kind

    def write(self, value):
        return bytes([value])

    def read(self, reader):
        value = reader.take(1)[0]
        if value > self.largest:
            raise Malformed(f"byte {value}")
        return self.kind(value)


class Bytes:
    def write(self, value):
        return COUNT.write(len(value)) + value

    def read(self, reader):
        return reader.take(COUNT.read(reader))


class Text(Bytes):
    def write(self, value):
        return super().write(value.encode())

    def read(self, reader):
        try:
            return super().read(reader).decode()
        except UnicodeDecodeError as error:
            raise Malformed(str(error)) from error


class Id:
    """16 bytes without a count."""

    def write(self, value):
        return value.bytes

    def read(self, reader):
        return uuid.UUID(bytes=reader.take(16))


class List:
    def __init__(self, item):
        self.item = item

    def write(self, value):
        return COUNT.write(len(value)) + b"".join(map(self.item.write, value))

    def read(self, reader):
        count = COUNT.read(reader)
        if count > len(reader.data) - reader.at:
            raise Malformed(f"{count} items")
        return [self.item.read(reader) for _ in range(count)]


class Optional:
    def __init__(self, item):
        self.item = item

    def write(self, value):
        return b"\0" if value is None else b"\1" + self.item.write(value)

    def read(self, reader):
        return self.item.read(reader) if BOOL.read(reader) else None


class Struct:
    def __init__(self, **fields):
        self.fields = fields

    def write(self, value):
        if value.keys() != self.fields.keys():
            raise ValueError(f"{sorted(value)} instead of {sorted(self.fields)}")
        return b"".join(item.write(value[name]) for name, item in self.fields.items())

    def read(self, reader):
        return {name: item.read(reader) for name, item in self.fields.items()}


class Enum:
    """Variants in the order of their numbers; those of `carries` carry a value. `unknown` is what another number counts as."""

    def __init__(self, names, unknown=None, **carries):
        self.names, self.unknown, self.carries = names.split(), unknown, carries

    def write(self, value):
        if isinstance(value, str):
            return COUNT.write(self.names.index(value))
        ((name, inner),) = value.items()
        return COUNT.write(self.names.index(name)) + self.carries[name].write(inner)

    def read(self, reader):
        number = Int(32).read(reader)
        if number >= len(self.names) and self.unknown:
            return self.unknown
        if number >= len(self.names):
            raise Malformed(f"variant {number} of {self.names}")
        name = self.names[number]
        return {name: self.carries[name].read(reader)} if name in self.carries else name


U8, BOOL = Byte(255, int), Byte(1, bool)
U16, U32, U64, COUNT = Int(16), Int(32), Int(64), Int(64)
BYTES, TEXT, ID = Bytes(), Text(), Id()

ROLE = Enum("visitor agent supervisor service", unknown="visitor")
RESUMED = Enum("new full none")
DURABILITY = Enum("ephemeral accepted mirrored")
CONVERSATION_KIND = Enum("direct group support broadcast", unknown="group")
STATUS = Enum("queued active resolved closed", unknown="active")
AVAILABILITY = Enum("online busy away offline", unknown="busy")
CONNECTIVITY = Enum("connected idle reconnecting offline reachable", unknown="idle")
ACTIVITY = Enum("active idle background")
POSITION = Struct(epoch=U64, seq=U64)
START = Enum("latest after", latest=U16, after=POSITION)
PAGE = Enum("before after", before=U64, after=U64)
SUBJECT = Enum("lane request message", request=U32, message=ID)
CONTENT = Struct(format=U16, body=BYTES)
CHANGE = Enum("edit delete react", edit=Struct(target=U64, content=CONTENT), delete=Struct(target=U64),
              react=Struct(target=U64, emoji=TEXT, on=BOOL))
OUTCOME = Enum("returned failed", returned=BYTES, failed=Struct(code=U16, message=TEXT))
MEMBER_NAME = Struct(user=TEXT, name=TEXT, role=ROLE)
PRESENCE = Struct(user=TEXT, availability=AVAILABILITY, connectivity=CONNECTIVITY, lastSeenMs=U64, version=U64)
MEMBER = Struct(**MEMBER_NAME.fields, received=U64, read=U64, presence=PRESENCE)
EVENT = Struct(seq=U64, atMs=U64, author=Optional(TEXT), kind=U16, body=BYTES)
LIMITS = Struct(
    **dict.fromkeys(
        "messageBytesMax lanesMax streamsMax pingEveryMs idleTimeoutMs presenceGraceMs "
        "resumeWindowMs dedupWindowMs typingTtlMs".split(),
        U32,
    )
)

CLIENT = {
    0x02: ("Hello", Struct(versions=List(U16), token=Optional(TEXT), resume=Optional(BYTES), device=TEXT, sdk=TEXT,
                           epochSeen=U64, capabilities=U64)),
    0x03: ("Ping", Struct(nonce=U64)),
    0x04: ("Authenticate", Struct(request=U32, token=TEXT)),
    0x05: ("SetAvailability", Struct(request=U32, availability=AVAILABILITY)),
    0x06: ("WatchPresence", Struct(request=U32, users=List(TEXT))),
    0x07: ("WatchInbox", Struct(request=U32, on=BOOL)),
    0x08: ("CreateConversation", Struct(request=U32, conversation=ID, kind=CONVERSATION_KIND, subject=Optional(TEXT),
                                        members=List(TEXT))),
    0x09: ("AddMembers", Struct(request=U32, conversation=ID, users=List(TEXT))),
    0x0A: ("RemoveMember", Struct(request=U32, conversation=ID, user=TEXT)),
    0x0B: ("Assign", Struct(request=U32, conversation=ID, agent=Optional(TEXT))),
    0x0C: ("SetStatus", Struct(request=U32, conversation=ID, status=STATUS)),
    0x0D: ("Goodbye", Struct()),
    0x0E: ("Identify", Struct(request=U32, token=TEXT)),
    0x10: ("Open", Struct(conversation=ID, start=START)),
    0x11: ("Publish", Struct(id=ID, content=CONTENT, replyTo=Optional(U64), durability=DURABILITY)),
    0x12: ("Receipt", Struct(received=U64, read=U64)),
    0x13: ("Close", Struct()),
    0x14: ("Amend", Struct(id=ID, change=CHANGE, durability=DURABILITY)),
    0x15: ("Note", Struct(id=ID, content=CONTENT, replyTo=Optional(U64), durability=DURABILITY)),
    0x16: ("PostSystem", Struct(id=ID, name=TEXT, content=CONTENT, durability=DURABILITY)),
    0x18: ("HistoryRequest", Struct(request=U32, conversation=ID, page=PAGE, limit=U16)),
    0x20: ("Serve", Struct(request=U32, methods=List(TEXT))),
    0x21: ("Call", Struct(request=U32, method=TEXT, body=BYTES, timeoutMs=U32)),
    0x22: ("Answer", Struct(call=U64, outcome=OUTCOME)),
    0x28: ("WatchMembers", Struct(request=U32, conversations=List(ID))),
    0x30: ("Typing", Struct(conversation=ID, version=U64, active=BOOL)),
    0x31: ("Idle", Struct(version=U64, idle=BOOL)),
    0x32: ("Activity", Struct(version=U64, activity=ACTIVITY)),
}

SERVER = {
    0x42: ("Welcome", Struct(version=U16, session=ID, resume=BYTES, resumed=RESUMED, tenant=TEXT, user=TEXT, name=TEXT,
                             role=ROLE, node=TEXT, epoch=U64, peers=List(TEXT), serverTimeMs=U64, tokenExpiresMs=U64,
                             capabilities=U64, limits=LIMITS)),
    0x43: ("Pong", Struct(nonce=U64, serverTimeMs=U64)),
    0x44: ("Done", Struct(request=U32)),
    0x45: ("Refused", Struct(subject=SUBJECT, code=U16, message=TEXT, retryAfterMs=U32)),
    0x46: ("Closing", Struct(code=U16, reason=TEXT, retryAfterMs=U32, endpoint=Optional(TEXT))),
    0x47: ("Draining", Struct(moveAfterMs=U32, deadlineMs=U32, endpoint=Optional(TEXT))),
    0x48: ("Authenticated", Struct(request=U32, expiresMs=U64)),
    0x49: ("Created", Struct(request=U32, conversation=ID)),
    0x4A: ("InboxEntry", Struct(conversation=ID, kind=CONVERSATION_KIND, status=STATUS, subject=Optional(TEXT),
                                assignee=Optional(TEXT), head=U64, activeAtMs=U64, read=U64, unread=U32,
                                members=List(MEMBER_NAME), gone=BOOL)),
    0x4B: ("Presence", PRESENCE),
    0x4C: ("Identified", Struct(request=U32, user=TEXT, name=TEXT, role=ROLE, expiresMs=U64)),
    0x4D: ("PresenceCounts", Struct(conversation=ID, connected=U32, away=U32, offline=U32, version=U64)),
    0x50: ("Opened", Struct(conversation=ID, kind=CONVERSATION_KIND, status=STATUS, subject=Optional(TEXT),
                            assignee=Optional(TEXT), head=POSITION, firstSeq=U64, after=U64, complete=BOOL,
                            members=List(MEMBER), memberCount=U32)),
    0x51: ("Event", EVENT),
    0x52: ("CaughtUp", Struct(seq=U64)),
    0x53: ("Published", Struct(id=ID, seq=U64, atMs=U64, durability=DURABILITY, replicas=U8, duplicate=BOOL)),
    0x54: ("ReceiptUpdated", Struct(user=TEXT, received=U64, read=U64)),
    0x55: ("Ephemeral", Struct(author=TEXT, content=CONTENT)),
    0x56: ("Unsubscribed", Struct(code=U16, reason=TEXT)),
    0x58: ("HistoryPage", Struct(request=U32, conversation=ID, events=List(EVENT), more=BOOL)),
    0x60: ("CallAsked", Struct(call=U64, user=TEXT, role=ROLE, method=TEXT, body=BYTES, timeoutMs=U32)),
    0x61: ("Answered", Struct(request=U32, outcome=OUTCOME)),
    0x62: ("CallEnded", Struct(call=U64)),
    0x70: ("Typing", Struct(conversation=ID, user=TEXT, version=U64, ttlMs=U32)),
}

EVENTS = {
    1: ("Message", Struct(id=ID, content=CONTENT, replyTo=Optional(U64))),
    2: ("Created", Struct(kind=CONVERSATION_KIND, subject=Optional(TEXT))),
    3: ("MemberJoined", MEMBER_NAME),
    4: ("MemberLeft", Struct(user=TEXT)),
    5: ("Assigned", Struct(agent=TEXT)),
    6: ("StatusChanged", Struct(status=STATUS)),
    7: ("Edited", Struct(id=ID, target=U64, content=CONTENT)),
    8: ("Deleted", Struct(id=ID, target=U64)),
    9: ("Reacted", Struct(id=ID, target=U64, emoji=TEXT, on=BOOL)),
    10: ("Tombstone", Struct(of=U64, deletion=U64, deletedAtMs=U64)),
    11: ("System", Struct(id=ID, name=TEXT, content=CONTENT)),
    12: ("Private", Struct(kind=U16, body=BYTES)),
    13: ("Withheld", Struct()),
    20: ("MemberIdentified", Struct(before=TEXT, user=TEXT, name=TEXT)),
}

KIND_OF = {name: (kind, body) for kind, (name, body) in CLIENT.items()}
FRAME_MAX = 65_536


def encode(name, **fields):
    """A client frame without its length, as a datagram holds it."""
    kind, body = KIND_OF[name]
    return bytes([kind]) + body.write(fields)


def frame(name, **fields):
    """A client frame as a stream holds it."""
    inner = encode(name, **fields)
    return varint(len(inner)) + inner


def decode(kind, data, table=SERVER):
    """(name, fields) of a body; None for a kind that is not known."""
    if kind not in table:
        return None
    name, body = table[kind]
    reader = Reader(data)
    fields = body.read(reader)
    if reader.at != len(reader.data):
        raise Malformed(f"{len(reader.data) - reader.at} bytes behind {name}")
    return name, fields


def take_frame(buffer):
    """Takes the first frame off a bytearray: (kind, body), or None as long as it is not all there."""
    head = read_varint(buffer)
    if head is None:
        return None
    length, start = head
    if not 0 < length <= FRAME_MAX:
        raise Malformed(f"a frame of {length}")
    if len(buffer) < start + length:
        return None
    kind, body = buffer[start], bytes(buffer[start + 1 : start + length])
    del buffer[: start + length]
    return kind, body


def message_id(now_ms=None):
    """A UUIDv7 (RFC 9562 §5.7)."""
    stamp = int(time.time() * 1000) if now_ms is None else now_ms
    number = stamp << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 7 << 76
    return uuid.UUID(int=number & ~(3 << 62) | 2 << 62)
