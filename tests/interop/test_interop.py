"""docs/protocol.md suffices: a client written from it, in another language, keeps the laws with the real server.

`tests/interop/run` runs this file. Each law gets a world of its own users on one server; one that takes `alpn` runs on
both carriers. A word as argument runs the laws whose names contain it.
"""

import asyncio
import inspect
import sys
import time
import traceback

import laws_of_chat
import laws_of_the_hostile
from duet_server import Server
from duet_world import CARRIERS, World

LAW_S = 60


async def judge(law, world, alpn):
    """What is to be said of a law: a word, and what was seen."""
    what_is_seen, ends_with = getattr(law, "unkept", ("", ()))
    try:
        await asyncio.wait_for(law(world, *filter(None, [alpn])), LAW_S)
        return ("FAILED", "\nit is kept now: unmark it") if what_is_seen else ("ok", "")
    except ends_with:
        return "unkept", f": {what_is_seen}"
    except Exception:
        return "FAILED", "\n" + traceback.format_exc()


async def run(laws):
    passed = failed = 0
    with Server() as server:
        for law in laws:
            kinds = CARRIERS if "alpn" in inspect.signature(law).parameters else (None,)
            for alpn in kinds:
                world, began = World(server), time.monotonic()
                word, seen = await judge(law, world, alpn)
                world.clear()
                passed, failed = passed + (word == "ok"), failed + (word == "FAILED")
                name = f"{law.__name__} ({alpn})" if alpn else law.__name__
                print(f"{word:6} {name} {time.monotonic() - began:.2f} s{seen}", flush=True)
    if server.status != 0 or "panicked" in server.words:
        failed += 1
        print(f"FAILED the server ended with {server.status}\n{server.words[-4_000:]}")
    print(f"{passed} passed, {failed} failed")
    return failed


def main():
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    laws = [law for module in (laws_of_chat, laws_of_the_hostile) for name, law in vars(module).items()
            if inspect.iscoroutinefunction(law) and law.__module__ == module.__name__ and wanted in name
            and next(iter(inspect.signature(law).parameters)) == "world"
            and law not in laws_of_the_hostile.STREAM_KINDS]
    sys.exit(1 if not laws or asyncio.run(run(laws)) else 0)


if __name__ == "__main__":
    main()
