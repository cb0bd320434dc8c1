"""What the laws share: new users on the server, a chat between two of them, and how a refusal is waited for."""

import asyncio
import itertools

from duet_client import Carrier, Client, Ended, Refused

WEBTRANSPORT, QUIC = "h3", "duet/1"
CARRIERS = (WEBTRANSPORT, QUIC)


class World:
    """The server, and new users on it."""

    def __init__(self, server):
        self.server, self.names, self.open = server, itertools.count(1), []

    async def token(self, user, role="visitor"):
        return await asyncio.to_thread(self.server.token, user, role)

    async def client(self, alpn, role="visitor", **hello):
        if "token" not in hello and "resume" not in hello:
            hello["token"] = await self.token(f"{role}-{next(self.names)}", role)
        client = await Client.connect(self.server.address, alpn, self.server.certificate, **hello)
        self.open.append(client.carrier)
        return client

    async def carrier(self, alpn, **more):
        carrier = await Carrier.connect(self.server.address, alpn, self.server.certificate, **more)
        self.open.append(carrier)
        return carrier

    async def refused(self, alpn, **hello):
        """The code of `Closing`, which the carrier must repeat."""
        try:
            await self.client(alpn, **hello)
        except Refused as refusal:
            code, _ = await refusal.subject.end()
            assert code == refusal.code, f"Closing {refusal.code}, the carrier {code}"
            return code
        raise AssertionError("welcomed")

    async def chat(self, visitor_alpn, agent_alpn):
        visitor, agent = await self.client(visitor_alpn), await self.client(agent_alpn, "agent")
        conversation = await visitor.create()
        await agent.ask("Assign", conversation=conversation, agent=None)
        return visitor, agent, conversation

    async def serves(self):
        """Somebody else is welcomed and chats, whatever was done before."""
        visitor, agent, conversation = await self.chat(WEBTRANSPORT, QUIC)
        here, there = await visitor.open(conversation), await agent.open(conversation)
        await here.publish("still here")
        await there.message("still here")
        visitor.carrier.close()
        agent.carrier.close()

    def clear(self):
        for carrier in self.open:
            carrier.close()
        self.open.clear()


async def ends(lane):
    try:
        while True:
            await lane.next()
    except Ended:
        return


async def refusal(asked):
    try:
        await asked
    except Refused as refused:
        return refused.code
    raise AssertionError("not refused")


def unkept(what_is_seen, ends_with):
    """Marks a law that the server is known not to keep: the law ends with this exception.

    Such a law does not count. It fails when it ends in any other way, and as soon as it is kept, so that the mark can
    neither hide something else nor outlive the defect.
    """

    def mark(law):
        law.unkept = what_is_seen, ends_with
        return law

    return mark
