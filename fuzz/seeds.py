"""Writes the golden vectors of the protocol as seeds for the fuzz targets, so that fuzzing starts from meaning instead of noise.

Usage: python3 fuzz/seeds.py <folder>, which gets one folder per target.
"""

import json
import sys
from pathlib import Path

VECTORS = Path(__file__).resolve().parent.parent / "crates" / "protocol" / "vectors"


def load(name):
    return json.loads((VECTORS / f"{name}.json").read_text())[name]


def without_length(frame):
    """What follows the length field: kind and body, the form of a datagram."""
    return frame[1 << (frame[0] >> 6):]


def seeds():
    """Pairs of a target's name and one input for it."""
    for vector in load("frames"):
        frame = bytes.fromhex(vector["hex"])
        target = "command" if vector["direction"] == "client" else "delivery"
        yield target, without_length(frame)
        yield "frame", b"\x03" + frame + frame
        yield "varint", frame
    for vector in load("events"):
        yield "event", vector["kind"].to_bytes(2, "big") + bytes.fromhex(vector["hex"])
    for vector in load("hostile"):
        data = bytes.fromhex(vector["hex"])
        yield "frame", b"\x01" + data
        yield "command", data
        yield "delivery", data
    # A close with a reason behind a capsule that nobody knows; heads of both directions; SETTINGS of h3.
    yield "capsule", bytes.fromhex("03" "21025a5a" "684307" "00000bb9" "627965")
    yield "header", bytes.fromhex("4041" "04" "0102")
    yield "header", bytes.fromhex("4054" "04" "0102")
    yield "settings", bytes.fromhex("00" "04" "0a" "33" "01" "ab603742" "01" "08" "01")
    yield "peer", b"d" * 17 + bytes.fromhex("0013" "0101" "01") + b"\x07" * 16
    yield "peer", bytes.fromhex("01" "08" "12" "0202fb2c01fd0807060504030201fb2b0102" "00000003" "6f6e65" "00000000")
    yield "peer", bytes.fromhex("01" "05" "02" + "08" * 16 + "fb2c01")
    yield "peer", bytes.fromhex("00" "04" "01" "0302010001" + "05" * 16 + "06" * 16 + "07" * 16)
    # A script of chunks: a head, a state row "k" = "v", an event with its position of 28 bytes.
    row = b"\x00\x01\x00\x00\x00\x01kv"
    event = b"\x00\x1c\x00\x00\x00\x02" + bytes(27) + b"\x01" + b"hi"
    chunks = [(1, b"\x00" * 10), (2, row), (3, event)]
    yield "snapshot", b"".join(bytes([kind]) + len(body).to_bytes(2, "big") + body for kind, body in chunks)
    yield "client", bytes(CHAT)
    yield "operations", bytes(NODE)


# A script for the client's machine (fuzz/src/client.rs): it connects, shows a conversation, hears two messages, sends
# one, is answered, loses the connection, and does it all again.
CONNECT = [2, 5, 7, 3, 13, 0, 1, 0, 0, 0, 8, 4, 100, 100, 100, 100, 100]
SHOW = [19, 1, 0, 14, 1, 1, 1, 2, 1, 0, 0]
HEAR = [15, 1, 1, 1, 1, 1, 15, 1, 2, 2, 1, 1, 16, 1, 2]
SAY = [20, 1, 17, 0, 1, 3, 1, 1, 1, 21, 1, 2, 22, 1]
DROP = [8, 9, 1, 1]
AGAIN = [7, 3, 13, 1, 1, 0, 0, 0, 8, 4, 100, 100, 100, 100, 100, 14, 1, 1, 1, 3, 1, 2, 0, 15, 1, 3, 3, 1, 0, 16, 1, 3]
CHAT = CONNECT + SHOW + HEAR + SAY + DROP + AGAIN


# A script for the core (fuzz/src/operations.rs): two members of a group, a message that is sent twice before and after
# it is durable, a reader that runs full, a crash from the checkpoint, the session resumed, the message once more.
def hello(who, resume=7):
    return [2, who, 0, 0, resume, 0, 1, 0]


def command(connection, lane, kind, *numbers):
    return [12, connection, lane, 1, kind, *numbers]


DISK, READ, FULL, ROOM, CRASH = [5, 50], [6, 0], [7, 2], [8, 2], [10, 0]
CREATE = command(1, 0, 4, 1, 1, 1, 1, 1)
OPEN = command(1, 1, 11, 0, 10, 1) + command(2, 1, 11, 0, 10, 1) + READ + READ


def publish(connection, number):
    return command(connection, 1, 13, 0, number, 0, 0, 0)


NODE = [
    *hello(0), *hello(1), *DISK, *CREATE, *DISK, *OPEN, *publish(1, 1), *publish(1, 1), *DISK, *publish(1, 1),
    *FULL, *publish(1, 2), *DISK, *publish(2, 3), *DISK, *ROOM, *publish(1, 4), *DISK, *READ, *publish(1, 5), *DISK,
    *command(2, 1, 16, 3, 3), *command(1, 0, 18, 1, 0, 9), *READ, *publish(1, 6), *CRASH,
    *hello(0, 0), *DISK, *command(3, 1, 11, 0, 10, 1), *READ, *publish(3, 1), *publish(3, 6), *DISK,
]


def main():
    counts = {}
    for target, data in seeds():
        number = counts[target] = counts.get(target, 0) + 1
        folder = Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"golden-{number:03}").write_bytes(data)
    print(", ".join(f"{count} seeds for {target}" for target, count in sorted(counts.items())))


if __name__ == "__main__":
    main()
