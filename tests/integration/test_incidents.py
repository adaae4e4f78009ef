"""Incident drills: with the command line alone, while services run."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.store.database import Database
from tests.commands import audited, outreach, read
from tests.journeys import World
from tests.poisoned import HELLO, count, in_force, incident
from tests.sending import scene

pytestmark = pytest.mark.usefixtures("environment")


async def typed(*arguments: str) -> Any:
    """A command, typed beside the services; what it reads as JSON, if it reads."""
    return await asyncio.to_thread(
        read if "list" in arguments or "show" in arguments else outreach, *arguments
    )


async def test_a_poisoned_tenant_is_found_paused_retried_and_resumed_and_no_other_waits(
    database: Database, database_url: str, valkey_url: str
) -> None:
    async with incident(database, database_url, valkey_url) as drill:
        it, name = drill.it, drill.name
        by_failures = max(await typed("tenants", "list"), key=lambda row: row["failed"])
        assert (by_failures["name"], by_failures["failed"]) == (name, 40)
        await typed("pause", "--tenant", name, "--reason", "every send is refused")
        await in_force(it)
        failed = await typed("jobs", "list", "--tenant", name, "--limit", "1000")
        assert {row["tenant_id"] for row in failed} == {name}
        shown = await typed("jobs", "show", failed[0]["id"])
        assert (shown["status"], [each["outcome"] for each in shown["attempts"]]) == ("failed", ["rejected"])

        await drill.mended()
        assert await typed("jobs", "retry", "--failed", "--tenant", name) == "40 sends wait again."
        await drill.only_the_other_is_sent()

        await typed("resume", "--tenant", name)
        await in_force(it)
        await drill.all_are_sent()
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
