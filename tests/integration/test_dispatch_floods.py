"""Floods: whoever comes behind many that nobody may write to, or that another tenant sends, is not late.

How late by the clock is measured by `python -m benchmarks.floods`.
"""

from collections import Counter

from redis.asyncio import Redis

from shared.settings import DispatchSettings
from shared.store.database import Database
from tests.dispatching import dispatching, limit, row_ids
from tests.floods import fill, suppress_everybody
from tests.journeys import World, graph, send, to

HELLO = graph(hello=send(to("done")))


async def test_ten_thousand_suppressed_contacts_take_nothing_from_twenty_good_ones_behind_them(
    database: Database, valkey_url: str, redis: Redis
) -> None:
    world = await World.create(database, HELLO, contacts=0)
    await fill(world, 10_000)
    await suppress_everybody(world)
    good = await world.add_contacts(20)
    await world.enrol(good)
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await dispatch.send_round()
        claimed = await dispatch.claim()
    rows = await world.run(
        "select id, contact_id, status, reason from scheduled_actions where tenant_id = :t"
    )
    assert Counter((row["status"], row["reason"]) for row in rows) == {
        ("skipped", "suppressed"): 10_000,
        ("enqueued", None): 20,
    }
    # All of a minute's twenty: those before them were charged nothing.
    contacts = {row["id"]: row["contact_id"] for row in rows}
    assert {contacts[row_id] for row_id in row_ids(claimed)} == set(good)


async def test_whoever_enrols_behind_another_tenants_flood_is_in_the_next_round_and_the_next_claim(
    database: Database, valkey_url: str
) -> None:
    loud = await World.create(database, HELLO, contacts=0)
    await fill(loud, 20_000)
    await limit(loud, minute=1_000_000, hour=1_000_000, day=1_000_000)
    quiet = await World.create(database, HELLO)
    settings = DispatchSettings(page=100, per_tenant=100)
    async with dispatching(database, valkey_url, dispatch=settings) as dispatch:
        await dispatch.open()
        assert await dispatch.rounds.send() is True, "the flood has more to give"
        await quiet.enrol()
        assert await dispatch.rounds.send() is True
        claimed = await dispatch.claim(2)
    tenants = [job.lane.partition("/")[0] for job in claimed]
    assert Counter(tenants) == {str(loud.tenant_id): 1, str(quiet.tenant_id): 1}
