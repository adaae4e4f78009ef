"""Incident drills: with the command line alone, while services run."""

import asyncio
import json
from collections import Counter, deque
from typing import Any

import pytest
from aiohttp import web
from redis.asyncio import Redis

from shared.store.database import Database
from tests.commands import audited, outreach, read
from tests.dispatching import limit
from tests.journeys import World, graph, send, to
from tests.sending import Answer, Scene, connect_world, scene, status

HELLO = graph(hello=send(to("done")))


pytestmark = pytest.mark.usefixtures("environment")


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


async def typed(*arguments: str) -> Any:
    """A command, typed beside the services; what it reads as JSON, if it reads."""
    return await asyncio.to_thread(
        read if "list" in arguments or "show" in arguments else outreach, *arguments
    )


async def count(world: World) -> Counter[str]:
    return Counter(row["status"] for row in await world.actions(kind="send"))


async def in_force(it: Scene) -> None:
    """What dispatch does about once a second."""
    await it.dispatch.configuration.refresh()


async def test_a_poisoned_tenant_is_found_paused_retried_and_resumed_and_no_other_waits(
    database: Database, database_url: str, valkey_url: str
) -> None:
    poisoned, other = [await World.create(database, HELLO, contacts=n) for n in (60, 10)]
    for world in (poisoned, other):
        await world.run("update senders set name = :name where tenant_id = :t", name=str(world.tenant_id))
        await limit(world, minute=1000)
    name = str(poisoned.tenant_id)
    async with scene(poisoned, database_url, valkey_url) as it:
        await connect_world(other, it.provider.url)
        it.provider.answers = refusing(poisoned)
        await poisoned.enrol(poisoned.contacts[:40])
        await other.enrol()
        await it.dispatch.send_round()
        async with it.worker():
            await it.settled()
        assert await count(other) == {"accepted": 10}
        whose = [mail["from"]["name"] for mail in it.provider.mails]
        assert max(n for n, who in enumerate(whose) if who != name) < 30, "each got every second turn"

        by_failures = max(await typed("tenants", "list"), key=lambda row: row["failed"])
        assert (by_failures["name"], by_failures["failed"]) == (name, 40)
        await typed("pause", "--tenant", name, "--reason", "every send is refused")
        await in_force(it)
        failed = await typed("jobs", "list", "--tenant", name, "--limit", "1000")
        assert {row["tenant_id"] for row in failed} == {name}
        shown = await typed("jobs", "show", failed[0]["id"])
        assert (shown["status"], [each["outcome"] for each in shown["attempts"]]) == ("failed", ["rejected"])

        await poisoned.enrol(poisoned.contacts[40:])
        it.provider.answers.clear()  # the provider's side was mended
        assert await typed("jobs", "retry", "--failed", "--tenant", name) == "40 sends wait again."
        mails = len(it.provider.mails)
        await it.dispatch.send_round()
        async with it.worker():
            await it.settled()
        assert len(it.provider.mails) == mails, "paused"

        await typed("resume", "--tenant", name)
        await in_force(it)
        await it.dispatch.send_round()
        async with it.worker():
            await it.settled()
        assert await count(poisoned) == {"accepted": 60}
        assert len(set(it.provider.actions[mails:])) == 60
    assert [(row[1], row[3], row[4]) for row in await asyncio.to_thread(audited)] == [
        ("pause", name, 1),
        ("jobs.retry", name, 40),
        ("resume", name, 1),
    ]


async def test_while_everything_is_paused_a_flush_sends_nothing_until_the_resume(
    database: Database, database_url: str, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=20)
    async with scene(world, database_url, valkey_url) as it:
        await it.dispatched()
        await typed("pause", "--all")
        await in_force(it)
        async with Redis.from_url(valkey_url, socket_timeout=10) as client:
            await client.flushall()
        async with it.worker():
            await it.dispatch.open()
            await it.dispatch.send_round()
            assert await it.dispatch.claim() == []
            assert (it.provider.mails, await count(world)) == ([], {"pending": 20})
            await typed("resume", "--all")
            await in_force(it)
            await it.dispatch.send_round()
            await it.settled()
        assert await count(world) == {"accepted": 20}
        assert len(set(it.provider.actions)) == len(it.provider.mails) == 20
