"""Rounds: due rows reach their queues in fair pages, each once, and none that may not."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.errors import ForeignInstallation, PartitionMismatch
from shared.queue.queue import Queue
from shared.queue.types import Enqueued, NewJob
from shared.settings import DatabaseSettings, DispatchSettings
from shared.store import pauses
from shared.store.database import Database
from shared.store.notices import Notices
from shared.store.pauses import Pause
from shared.store.visits import DUE_CHANNEL
from tests.dispatching import dispatching, row_ids
from tests.journeys import World, graph, send, sms, to, wait

HELLO = graph(hello=send(to("done")))


async def test_a_due_send_is_enqueued_by_its_id_and_generation(database: Database, valkey_url: str) -> None:
    world = await World.create(database, HELLO)
    await world.enrol()
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await dispatch.send_round()
        (action,) = await world.actions()
        (job,) = await dispatch.claim()
    assert (action["status"], action["g"], action["cost"]) == ("enqueued", 0, 1)
    assert job.id == f"send:{action['id']}:0"
    assert job.lane == f"{world.tenant_id}/email/{world.senders['email']}"
    assert row_ids([job]) == [action["id"]]


async def test_a_send_that_is_due_later_stays_where_it_is(database: Database, valkey_url: str) -> None:
    world = await World.create(database, HELLO)
    await world.enrol()
    (action,) = await world.actions()
    await world.set_action(action["id"], due_at=datetime.now(UTC) + timedelta(hours=1))
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.send_round()
        assert await world.statuses() == {"send": "pending"}
        assert await dispatch.claim() == []


async def test_a_due_timeout_is_enqueued(database: Database, valkey_url: str) -> None:
    world = await World.create(database, graph(pause=wait(60, "done")))
    await world.enrol()
    (action,) = await world.actions()
    await world.set_action(action["id"], due_at=datetime.now(UTC))
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        while await dispatch.rounds.time_out():
            pass
        assert [job.id for job in await dispatch.claim(queue=dispatch.timeouts)] == [
            f"timeout:{action['id']}:0"
        ]
        assert await world.statuses() == {"elapsed": "enqueued"}


async def test_a_flood_of_one_tenant_leaves_room_for_another_in_the_same_page(
    database: Database, valkey_url: str
) -> None:
    flood = await World.create(database, HELLO, contacts=80)
    await flood.enrol()
    quiet = await World.create(database, HELLO)
    await quiet.enrol()
    settings = DispatchSettings(page=30, per_tenant=20)
    async with dispatching(database, valkey_url, dispatch=settings) as dispatch:
        assert await dispatch.rounds.send() is True, "the flood has more to give than its share"
        taken = Counter(row["status"] for row in await flood.actions())
        assert await quiet.statuses() == {"send": "enqueued"}
        assert taken == {"enqueued": 20, "pending": 60}


async def test_a_tenant_of_weight_two_gets_twice_the_rows_of_a_page(
    database: Database, valkey_url: str
) -> None:
    worlds = [await World.create(database, HELLO, contacts=40) for _ in range(2)]
    for world in worlds:
        await world.enrol()
    await worlds[1].run("update tenants set weight = 2 where id = :t")
    settings = DispatchSettings(page=30, per_tenant=20)
    async with dispatching(database, valkey_url, dispatch=settings) as dispatch:
        await dispatch.rounds.send()
        taken = [Counter(row["status"] for row in await world.actions())["enqueued"] for world in worlds]
    assert sum(taken) == 30
    assert taken[1] in (19, 20, 21)


async def test_a_tenant_of_many_senders_gets_no_more_of_a_page_than_one_of_one(
    database: Database, valkey_url: str
) -> None:
    many, one = [await World.create(database, HELLO, contacts=40) for _ in range(2)]
    await many.enrol()
    await one.enrol()
    await many.run(
        "insert into senders (tenant_id, id, provider_account_id, channel, address)"
        " select tenant_id, gen_random_uuid(), provider_account_id, 'email', n::text"
        " from senders, generate_series(1, 7) n where tenant_id = :t and channel = 'email'"
    )
    await many.run(
        "update scheduled_actions a set sender_id = s.id from ("
        "  select id, row_number() over () - 1 as n from senders where tenant_id = :t and channel = 'email'"
        ") s, (select id, row_number() over () % 8 as n from scheduled_actions where tenant_id = :t) x"
        " where a.tenant_id = :t and a.id = x.id and s.n = x.n"
    )
    settings = DispatchSettings(page=30, per_tenant=20)
    async with dispatching(database, valkey_url, dispatch=settings) as dispatch:
        assert await dispatch.rounds.send() is True
        taken = [Counter(row["status"] for row in await world.actions()) for world in (many, one)]
        assert taken == [{"enqueued": 15, "pending": 25}] * 2
        await dispatch.send_round()
    for world in (many, one):
        assert {row["status"] for row in await world.actions()} == {"enqueued"}


async def test_two_dispatchers_take_every_row_once(database: Database, valkey_url: str) -> None:
    world = await World.create(database, HELLO, contacts=60)
    await world.enrol()
    settings = DispatchSettings(page=7, per_tenant=7)
    async with (
        dispatching(database, valkey_url, dispatch=settings) as one,
        dispatching(database, valkey_url, dispatch=settings) as two,
    ):
        await one.open()
        await asyncio.gather(one.send_round(), two.send_round())
        counts = await one.sends.counts(0)
        actions = await world.actions()
    assert {(row["status"], row["g"]) for row in actions} == {("enqueued", 0)}
    assert counts.waiting == 60


async def test_a_lane_has_no_more_rows_in_redis_than_it_may(database: Database, valkey_url: str) -> None:
    world = await World.create(database, HELLO, contacts=30)
    await world.enrol()
    settings = DispatchSettings(ahead_min=5, ahead_max=12)
    async with dispatching(database, valkey_url, dispatch=settings) as dispatch:
        await dispatch.send_round()
        assert Counter(row["status"] for row in await world.actions()) == {"enqueued": 12, "pending": 18}


async def test_nothing_of_a_paused_tenant_is_enqueued(database: Database, valkey_url: str) -> None:
    paused, other = await World.create(database, HELLO), await World.create(database, HELLO)
    await paused.enrol()
    await other.enrol()
    await database.run(lambda tx: pauses.add(tx, Pause(None, paused.tenant_id)))
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.send_round()
    assert await paused.statuses() == {"send": "pending"}
    assert await other.statuses() == {"send": "enqueued"}


async def test_a_suppressed_address_is_skipped_and_takes_the_failed_edge(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    await world.enrol()
    await world.run(
        "insert into suppressions (tenant_id, id, channel, address, scope, reason)"
        " select :t, id, 'email', email, 'all', 'bounce' from contacts where tenant_id = :t"
    )
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await dispatch.send_round()
        assert await dispatch.claim() == []
    (action,) = await world.actions()
    assert (action["status"], action["reason"], action["g"]) == ("skipped", "suppressed", 0)
    assert await world.path() == [("hello", "failed"), ("failed", None)]


async def test_a_send_of_a_paused_campaign_is_held(database: Database, valkey_url: str) -> None:
    world = await World.create(database, HELLO)
    await world.enrol()
    await world.run("update campaigns set status = 'paused', paused_at = now() where id = :c")
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.send_round()
    (action,) = await world.actions()
    assert (action["status"], action["reason"]) == ("held", "campaign_paused")


async def test_an_sms_is_enqueued_with_the_segments_that_its_text_takes(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, graph(hello=sms(to("done")) | {"text": "é" * 200}))
    await world.enrol()
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await dispatch.send_round()
        (job,) = await dispatch.claim()
    assert job.cost == 2
    assert [row["cost"] for row in await world.actions()] == [2]


async def test_an_sms_that_names_what_the_contact_has_not_is_skipped(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(
        database, graph(hello=sms(to("done")) | {"text": "{{ contact.attributes.name }}"})
    )
    await world.enrol()
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.send_round()
    (action,) = await world.actions()
    assert action["status"] == "skipped"
    assert action["reason"].startswith("render: ") and "name" in action["reason"]
    assert await world.path() == [("hello", "failed"), ("failed", None)]


class Away(Queue):
    """Takes jobs, and then does not answer."""

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        await super().enqueue(jobs)
        raise RedisConnectionError


async def test_rows_that_redis_did_not_take_for_sure_go_back_and_their_jobs_can_do_nothing(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=3)
    await world.enrol()
    before = {row["id"]: row["due_at"] for row in await world.actions()}
    async with dispatching(database, valkey_url, queue=Away) as dispatch:
        with pytest.raises(RedisConnectionError):
            await dispatch.rounds.send()
    rows = await world.actions()
    assert {(row["status"], row["g"]) for row in rows} == {("pending", 1)}
    assert {row["id"]: row["due_at"] for row in rows} == before, "they keep their place in the lane"


class Flushed(Queue):
    """Redis is flushed when it has taken a page's first jobs, and takes the others."""

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        taken = await super().enqueue(jobs[:2])
        await self._redis.flushall()
        return taken + await super().enqueue(jobs[2:])


async def test_a_flush_during_enqueue_loses_no_send_and_lets_none_run_twice(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=5)
    await world.enrol()
    async with dispatching(database, valkey_url, queue=Flushed) as dispatch:
        await dispatch.open()
        await dispatch.send_round()
        assert (await dispatch.sends.counts(0)).waiting == 3, "two are lost, and no row says so"
        await dispatch.open()
        assert {(row["status"], row["g"]) for row in await world.actions()} == {("pending", 1)}
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.send_round()
        jobs = {job.id for job in await dispatch.claim()}
    actions = await world.actions()
    assert {(row["status"], row["g"]) for row in actions} == {("enqueued", 1)}
    # Those of before are still in line: their rows are of another generation, and they can do nothing.
    assert {f"send:{row['id']}:1" for row in actions} <= jobs
    assert len(jobs) == 8


async def test_an_enrolment_is_noticed_at_once(database: Database, database_url: str) -> None:
    world = await World.create(database, HELLO)
    told = asyncio.Event()
    settings = DatabaseSettings(url=SecretStr(database_url))
    async with Notices(settings, DUE_CHANNEL, told.set), asyncio.timeout(20):
        await told.wait()  # that it listens
        told.clear()
        await world.enrol()
        await told.wait()


async def test_a_dispatcher_with_another_number_of_partitions_refuses_to_start(
    database: Database, valkey_url: str
) -> None:
    async with dispatching(database, valkey_url, partitions=2):
        pass
    with pytest.raises(PartitionMismatch, match="set QUEUE_PARTITIONS to 2"):
        async with dispatching(database, valkey_url, partitions=3):
            pass


async def test_a_dispatcher_on_another_installations_redis_refuses_to_start(
    database: Database, valkey_url: str
) -> None:
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.redis.set("outreach:installation", "another's")
    with pytest.raises(ForeignInstallation):
        async with dispatching(database, valkey_url):
            pass


async def test_a_lane_that_used_up_its_share_gets_another_page_at_once(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=25)
    await world.enrol()
    async with dispatching(database, valkey_url, dispatch=DispatchSettings(per_tenant=10)) as dispatch:
        again = [await dispatch.rounds.send() for _ in range(3)]
    assert again == [True, True, False]
    assert {row["status"] for row in await world.actions()} == {"enqueued"}
