"""Configuration: what rows put in force reaches the queues within a refresh, and nothing is sent twice."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.jobs import SENDS
from shared.queue.queue import Queue
from shared.queue.types import ClaimStatus, SubjectConfig
from shared.store import closures, pauses
from shared.store.closures import Closure
from shared.store.database import Database
from shared.store.pauses import Pause
from tests.dispatching import dispatching, limit
from tests.journeys import World, graph, send, to

HELLO = graph(hello=send(to("done")))
CONFIG = "{outreach:outreach:send/0}:config"


class Noting(Queue):
    """Notes what it is told, and fails once when a test says so."""

    told: list[str]
    failing = False

    async def configure(self, partition: int, configs: Sequence[SubjectConfig]) -> None:
        if self.spec is SENDS:
            Noting.told += [config.subject for config in configs]
            if Noting.failing:
                Noting.failing = False
                raise RedisConnectionError
        await super().configure(partition, configs)


@pytest.fixture(autouse=True)
def _forget() -> None:
    Noting.told, Noting.failing = [], False


async def test_the_documented_defaults_hold_for_a_tenant_without_overrides(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=25)
    await world.enrol()
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await dispatch.send_round()
        assert len(await dispatch.claim()) == 20


async def test_an_override_holds_from_the_next_refresh_for_the_tenant_and_its_senders(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=40)
    await world.enrol()
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await dispatch.send_round()
        await limit(world, minute=5)
        await dispatch.configuration.refresh()
        assert len(await dispatch.claim()) == 5
        await limit(world, minute=30)
        await dispatch.configuration.refresh()
        assert len(await dispatch.claim()) == 25
        await limit(world)
        await dispatch.configuration.refresh()
        assert await dispatch.claim() == [], "the default of twenty a minute holds again"


async def test_only_what_changed_is_sent(database: Database, valkey_url: str) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url, queue=Noting) as dispatch:
        await dispatch.open()
        await dispatch.configuration.refresh()
        assert Noting.told == [], "the opening put all of it in force"
        await world.run("update tenants set weight = 3 where id = :t")
        await dispatch.configuration.refresh()
        await dispatch.configuration.refresh()
    assert Noting.told == [str(world.tenant_id)]


async def test_a_dispatcher_that_finds_a_partition_open_sends_everything_once(
    database: Database, valkey_url: str
) -> None:
    async with (
        dispatching(database, valkey_url) as first,
        dispatching(database, valkey_url, queue=Noting) as second,
    ):
        await first.open()
        await second.configuration.refresh()
        await second.configuration.refresh()
    assert sorted(Noting.told) == ["", "*/email", "*/sms"]


async def test_what_was_lifted_while_nobody_dispatched_is_lifted_by_the_next_dispatcher(
    database: Database, valkey_url: str, redis: Redis
) -> None:
    world = await World.create(database, HELLO)
    await world.enrol()
    async with dispatching(database, valkey_url) as first:
        await first.open()
        await first.send_round()
        before = await redis.hgetall(CONFIG)
        await limit(world, minute=5)
        await database.run(lambda tx: pauses.add(tx, Pause(None, world.tenant_id)))
        await first.configuration.refresh()
        assert await first.claim() == []
    await limit(world)
    await database.run(lambda tx: pauses.lift(tx, Pause(None, world.tenant_id)))
    async with dispatching(database, valkey_url) as second:
        await second.configuration.refresh()
        assert await redis.hgetall(CONFIG) == before
        assert len(await second.claim()) == 1


async def test_what_did_not_arrive_for_sure_is_sent_again_even_if_it_is_no_longer_wanted(
    database: Database, valkey_url: str, redis: Redis
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url, queue=Noting) as dispatch:
        await dispatch.open()
        before = await redis.hgetall(CONFIG)
        await limit(world, minute=5)
        Noting.failing = True
        with pytest.raises(RedisConnectionError):
            await dispatch.configuration.refresh()
        await limit(world)
        Noting.told = []
        await dispatch.configuration.refresh()
        lane = f"{world.tenant_id}/email/{world.senders['email']}"
        assert sorted(Noting.told) == [f"{world.tenant_id}/email", lane]
        assert await redis.hgetall(CONFIG) == before


async def test_a_pause_and_its_end_reach_the_queues(database: Database, valkey_url: str) -> None:
    world = await World.create(database, HELLO)
    await world.enrol()
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await dispatch.send_round()
        for pause in (Pause(SENDS.name, None), Pause(None, None), Pause(None, world.tenant_id)):
            await database.run(lambda tx, pause=pause: pauses.add(tx, pause))
            await dispatch.configuration.refresh()
            assert await dispatch.claim() == []
            await database.run(lambda tx, pause=pause: pauses.lift(tx, pause))
        await dispatch.configuration.refresh()
        assert (await dispatch.sends.claim(0, 1)).status is ClaimStatus.OK
        assert (await dispatch.sends.counts(0)).active == 1


@pytest.mark.parametrize("ends", [None, timedelta(hours=1)])
async def test_a_closed_sender_gives_no_work_until_it_is_reopened(
    database: Database, valkey_url: str, ends: timedelta | None
) -> None:
    world = await World.create(database, HELLO)
    await world.enrol()
    sender = world.senders["email"]
    until = ends and datetime.now(UTC) + ends
    closure = Closure(world.tenant_id, "email", sender, "unauthorized", until)
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await dispatch.send_round()
        await database.run(lambda tx: closures.close(tx, [closure]))
        await dispatch.configuration.refresh()
        assert await dispatch.claim() == []
        await database.run(lambda tx: closures.reopen(tx, world.tenant_id, sender))
        await dispatch.configuration.refresh()
        assert len(await dispatch.claim()) == 1


async def test_a_sender_whose_outcomes_are_ambiguous_sends_one_at_a_time(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=4)
    await world.enrol()
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await dispatch.send_round()
        await world.run("update senders set ambiguous = 5 where tenant_id = :t and channel = 'email'")
        await dispatch.configuration.refresh()
        assert len(await dispatch.claim()) == 1
        assert await dispatch.claim() == []
        await world.run("update senders set ambiguous = 0 where tenant_id = :t")
        await dispatch.configuration.refresh()
        assert len(await dispatch.claim()) == 3


async def test_dispatch_is_ready_only_while_every_partition_serves(
    database: Database, valkey_url: str, redis: Redis
) -> None:
    async with dispatching(database, valkey_url) as dispatch:
        lately = timedelta(hours=1)
        await dispatch.configuration.refresh()
        assert not dispatch.configuration.current(lately), "nothing is open yet"
        await dispatch.open()
        await dispatch.configuration.refresh()
        assert dispatch.configuration.current(lately)
        assert not dispatch.configuration.current(timedelta(0))
