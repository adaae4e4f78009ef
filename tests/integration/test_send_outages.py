"""Postgres goes away under a send worker: every message goes out once, and no outcome is lost."""

import asyncio

from structlog.testing import capture_logs

from shared.errors import StoreUnavailable
from shared.store.database import Database
from shared.store.embedded import EmbeddedPostgres
from tests.journeys import World, graph, send, to
from tests.sending import Scene, after, scene

HELLO = graph(hello=send(to("done")))
CONTACTS, AT_ONCE = 12, 4


async def test_outcomes_of_calls_that_postgres_did_not_outlive_are_written_when_it_is_back(
    postgres: EmbeddedPostgres, database: Database, database_url: str, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=CONTACTS)
    async with scene(world, database_url, valkey_url) as it:
        away = asyncio.Event()

        async def last_of_them() -> None:
            await postgres.stop()
            away.set()

        it.provider.answers.extend([*[after(away.wait)] * (AT_ONCE - 1), after(last_of_them)])
        await it.dispatched()
        with capture_logs() as logs:

            async def all_wait() -> bool:
                waiting = {each["action_id"] for each in logs if each["event"] == "send.outcome_waits"}
                return len(waiting) == AT_ONCE

            async with it.worker(concurrency=AT_ONCE):
                await it.until(all_wait)
                await postgres.start()
                await it.until(lambda: all_accepted(it))
        actions = await world.actions()
    assert [(row["g"], row["tries"]) for row in actions] == [(0, 0)] * CONTACTS
    assert sorted(it.provider.actions) == sorted(str(row["id"]) for row in actions)
    assert await it.attempts() == [(0, "accepted", False)] * CONTACTS


async def all_accepted(it: Scene) -> bool:
    try:
        return [state[0] for state in await it.states()] == ["accepted"] * CONTACTS
    except StoreUnavailable:  # the test's own connections went with the server
        return False
