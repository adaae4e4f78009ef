"""The incident drill's world: a tenant whose sends are all refused, and another that must not wait for it."""

import json
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from shared.store.database import Database
from tests.dispatching import limit
from tests.journeys import World, graph, send, to
from tests.sending import Answer, Scene, connect_world, scene, status

HELLO = graph(hello=send(to("done")))


class Always(deque[Answer]):
    """The same answer to whoever asks, as often as asked."""

    def popleft(self) -> Answer:
        return self[0]


def refusing(tenant: World) -> Always:
    """Refuses what a tenant sends, and takes all else."""

    async def answer(request: web.Request) -> web.StreamResponse:
        mail: dict[str, Any] = json.loads(await request.read())
        mine = mail["from"]["name"] == str(tenant.tenant_id)
        return await status(400 if mine else 202, X_Message_Id="m")(request)

    return Always([answer])


async def count(world: World) -> Counter[str]:
    """A world's sends by status."""
    return Counter(row["status"] for row in await world.actions(kind="send"))


async def in_force(it: Scene) -> None:
    """What dispatch does about once a second."""
    await it.dispatch.configuration.refresh()


async def worked_off(it: Scene, *worlds: World) -> None:
    """Whatever is due is dispatched and ended by a worker, and every send of these worlds with it."""

    async def ended() -> bool:
        await it.dispatch.send_round()
        going = [status for world in worlds for status in await count(world)]
        return not set(going) & {"pending", "enqueued", "submitting"}

    async with it.worker():
        await it.until(ended)
        await it.settled()


@dataclass
class Incident:
    """Forty sends of the poisoned tenant failed; its last twenty contacts are not enrolled yet.

    Of the other tenant ten sends are out, and twenty contacts are not enrolled yet.
    """

    it: Scene
    poisoned: World
    other: World

    @property
    def name(self) -> str:
        """The poisoned tenant's."""
        return str(self.poisoned.tenant_id)

    async def mended(self) -> None:
        """The provider takes everything again, and the tenant goes on enrolling."""
        self.it.provider.answers.clear()
        await self.poisoned.enrol(self.poisoned.contacts[40:])

    async def only_the_other_is_sent(self) -> None:
        """While the poisoned tenant is paused, the other one's next ten go out, and nothing else."""
        before = len(self.it.provider.mails)
        await self.other.enrol(self.other.contacts[10:20])
        await worked_off(self.it, self.other)
        assert self._whose(before) == [str(self.other.tenant_id)] * 10

    async def all_are_sent(self) -> None:
        """Once it is resumed, its sixty go out, once each, and the other one's last ten between them."""
        before = len(self.it.provider.mails)
        await self.other.enrol(self.other.contacts[20:])
        await worked_off(self.it, self.poisoned, self.other)
        assert (await count(self.poisoned), await count(self.other)) == ({"accepted": 60}, {"accepted": 30})
        assert len(set(self.it.provider.actions[before:])) == len(self._whose(before)) == 70
        self.did_not_wait(before)

    def did_not_wait(self, before: int) -> None:
        """Of the mails from that one on, each other one was the other tenant's, as long as it had any."""
        last = max(n for n, who in enumerate(self._whose(before)) if who == str(self.other.tenant_id))
        assert last < 30, "each got every second turn"

    def _whose(self, before: int) -> list[str]:
        return [mail["from"]["name"] for mail in self.it.provider.mails[before:]]


@asynccontextmanager
async def incident(database: Database, database_url: str, valkey_url: str) -> AsyncIterator[Incident]:
    """The incident, after the other tenant's ten sends went out between the refused ones."""
    poisoned, other = [await World.create(database, HELLO, contacts=n) for n in (60, 30)]
    for world in (poisoned, other):
        await world.run("update senders set name = :name where tenant_id = :t", name=str(world.tenant_id))
        await limit(world, minute=1000)
    async with scene(poisoned, database_url, valkey_url) as it:
        await connect_world(other, it.provider.url)
        it.provider.answers = refusing(poisoned)
        await poisoned.enrol(poisoned.contacts[:40])
        await other.enrol(other.contacts[:10])
        await worked_off(it, poisoned, other)
        assert await count(other) == {"accepted": 10}
        drill = Incident(it, poisoned, other)
        drill.did_not_wait(0)
        yield drill
