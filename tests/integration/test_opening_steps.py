"""Openings: what must survive Redis is a row, and a partition that lost its Redis serves as if it had not."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.dispatch.configuration import Place
from shared.errors import ForeignInstallation, OpeningSuperseded, PartitionMismatch, StoreUnavailable
from shared.queue.types import ClaimedJob, ClaimStatus, Settled, Settlement, Verdict
from shared.redis.embedded import EmbeddedValkey
from shared.store import pauses, queue_rows, sends
from shared.store.database import Database
from shared.store.ids import uuid7
from shared.store.pauses import Pause
from shared.store.sends import Claim, Submission
from tests.brokers import until
from tests.dispatching import SUBMISSION, Replica, dispatching
from tests.journeys import World, graph, send, to, wait

HELLO = graph(hello=send(to("done")))


def now(**ago: float) -> datetime:
    return datetime.now(UTC) - timedelta(**ago)


def state(row: Mapping[str, Any]) -> tuple[str, int]:
    return row["status"], row["g"]


async def flush(dispatch: Replica) -> None:
    await dispatch.redis.flushall()


async def enqueue_all(world: World, dispatch: Replica) -> None:
    await world.enrol()
    await dispatch.send_round()


async def submit(world: World, job: ClaimedJob) -> set[Claim]:
    """Write `submitting` as a worker does that claimed this job."""
    action, g = UUID(job.id.split(":")[1]), int(job.id.split(":")[2])
    charged = datetime.fromtimestamp(job.claimed_ms / 1000, UTC)
    submission = Submission(world.tenant_id, action, g, "a@example.org", charged)
    return await world.database.run(lambda tx: sends.submit(tx, [submission]))


async def limit(world: World, kind: str, most: int) -> None:
    await world.run(
        'insert into rate_limits (tenant_id, id, channel, kind, "limit")'
        " values (:t, :c, 'email', :kind, :most)",
        kind=kind,
        most=most,
    )


async def epochs(world: World) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in await world.run("select * from queue_partitions order by queue, partition"):
        assert row["opened_at"] is not None
        found.setdefault(row["queue"], []).append(row["epoch"])
    return found


async def charged(world: World, times: int, given_back: bool = False, **ago: float) -> None:
    """Attempts that were charged so long ago."""
    await world.run(
        "insert into attempts (tenant_id, action_id, g, charged_at, channel, sender_id, cost, submitted_at,"
        " given_back) select :t, gen_random_uuid(), 0, :at, 'email', :sender, 1, :at, :given_back"
        " from generate_series(1, :times)",
        at=now(**ago),
        sender=world.senders["email"],
        times=times,
        given_back=given_back,
    )


async def waits_for_a_lock(world: World) -> bool:
    return bool(await world.run("select 1 from pg_locks where not granted"))


async def test_a_first_start_opens_every_partition_of_every_queue(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url, partitions=3) as dispatch:
        assert not dispatch.configuration.current(timedelta(seconds=15))
        await dispatch.open()
        statuses = [
            (await queue.claim(partition, 1)).status for queue in dispatch.queues for partition in range(3)
        ]
        await dispatch.configuration.refresh()
        assert dispatch.configuration.current(timedelta(seconds=15))
    assert statuses == [ClaimStatus.OK] * 9
    assert await epochs(world) == {queue.name: [1, 1, 1] for queue in dispatch.queues}


async def test_an_open_partition_is_not_opened_again(database: Database, valkey_url: str) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await dispatch.open()
        await dispatch.openings.open(Place(dispatch.sends, 0))
    assert await epochs(world) == {queue.name: [1] for queue in dispatch.queues}


async def test_pain_25_a_restart_closes_as_a_flush_does_and_what_was_lost_comes_back(
    database: Database, valkey: EmbeddedValkey, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await enqueue_all(world, dispatch)
        await valkey.stop()
        await valkey.start()
        assert (await dispatch.sends.claim(0, 1)).status is ClaimStatus.CLOSED
        await dispatch.open()
        assert [state(row) for row in await world.actions()] == [("pending", 1)]
        await dispatch.send_round()
        assert len(await dispatch.claim()) == 1


async def test_a_claim_from_before_a_flush_can_neither_submit_nor_settle(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await enqueue_all(world, dispatch)
        (old,) = await dispatch.claim()
        await flush(dispatch)
        await dispatch.open()
        assert await submit(world, old) == set()
        assert [state(row) for row in await world.actions()] == [("pending", 1)]
        await dispatch.send_round()
        (new,) = await dispatch.claim()
        words, _ = await dispatch.sends.settle(0, [Settlement(old, Verdict.COMPLETED, refund=True)])
        assert words == [Settled.LEASE_LOST]
        assert len(await submit(world, new)) == 1
    assert await world.run("select g from attempts where tenant_id = :t") == [{"g": 1}]


async def test_an_opening_waits_for_a_worker_about_to_submit_and_counts_its_charge(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    await limit(world, "minute", 1)
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await enqueue_all(world, dispatch)
        (job,) = await dispatch.claim()
        await flush(dispatch)
        action = UUID(job.id.split(":")[1])
        charged_at = datetime.fromtimestamp(job.claimed_ms / 1000, UTC)
        async with database.begin() as tx:
            await sends.submit(tx, [Submission(world.tenant_id, action, 0, "a@example.org", charged_at)])
            opening = asyncio.create_task(dispatch.open())
            await until(lambda: waits_for_a_lock(world))
        await opening
        assert [state(row) for row in await world.actions()] == [("submitting", 0)]
        await world.add_contacts(1)
        await world.enrol(world.contacts[1:])
        await dispatch.send_round()
        assert await dispatch.claim() == []


async def test_timeouts_and_deliveries_on_their_way_go_back_too(database: Database, valkey_url: str) -> None:
    world = await World.create(database, graph(pause=wait(1, "done")))
    delivery = uuid7()
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await world.enrol()
        await world.run("update scheduled_actions set due_at = now() where tenant_id = :t")
        await dispatch.rounds.time_out()
        await world.run(
            "insert into deliveries (tenant_id, id, endpoint_id, provider, headers, body, state)"
            " values (:t, :id, :id, 'sendgrid', '{}', '', 'processing')",
            id=delivery,
        )
        assert len(await dispatch.claim(queue=dispatch.timeouts)) == 1
        await flush(dispatch)
        await dispatch.open()
        assert [state(row) for row in await world.actions()] == [("pending", 1)]
        rows = await world.run("select state, g from deliveries where tenant_id = :t")
        assert [tuple(row.values()) for row in rows] == [("received", 1)]
        await dispatch.rounds.time_out()
        (job,) = await dispatch.claim(queue=dispatch.timeouts)
        assert job.id == f"timeout:{(await world.actions())[0]['id']}:1"


async def test_a_partition_is_opened_alone(database: Database, valkey_url: str) -> None:
    worlds = [await World.create(database, HELLO) for _ in range(6)]
    async with dispatching(database, valkey_url, partitions=2) as dispatch:
        await dispatch.open()
        for world in worlds:
            await enqueue_all(world, dispatch)
        lost = dispatch.sends.partition_of(str(worlds[0].tenant_id))
        await dispatch.redis.delete(f"{{outreach:outreach:send/{lost}}}:meta")
        await dispatch.open()
        back = {
            dispatch.sends.partition_of(str(world.tenant_id)): state((await world.actions())[0])
            for world in worlds
        }
    assert back == {lost: ("pending", 1), 1 - lost: ("enqueued", 0)} or back == {lost: ("pending", 1)}
    assert (await epochs(worlds[0]))["outreach:send"][lost] == 2


async def test_a_full_window_is_full_after_a_flush(database: Database, valkey_url: str) -> None:
    world = await World.create(database, HELLO, contacts=30)
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await enqueue_all(world, dispatch)
        first = await dispatch.claim()
        assert len(first) == 20
        for job in first:
            assert await submit(world, job)
        await flush(dispatch)
        await dispatch.open()
        await dispatch.send_round()
        assert await dispatch.claim() == []
        rows = await world.run("select count(*) as n from attempts where tenant_id = :t")
        assert rows[0]["n"] == 20


@pytest.mark.parametrize(
    ("minute_ago", "given_back", "free"), [(0.1, False, 8), (0.1, True, 20), (2, False, 20)]
)
async def test_windows_hold_again_what_was_charged_within_them_and_not_given_back(
    database: Database, valkey_url: str, minute_ago: float, given_back: bool, free: int
) -> None:
    world = await World.create(database, HELLO, contacts=25)
    await charged(world, 12, given_back, minutes=minute_ago)
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await enqueue_all(world, dispatch)
        assert len(await dispatch.claim()) == free


async def test_the_days_window_remembers_yesterday_evening(database: Database, valkey_url: str) -> None:
    world = await World.create(database, HELLO, contacts=25)
    await charged(world, 9_995, hours=23)
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await enqueue_all(world, dispatch)
        assert len(await dispatch.claim()) == 5


async def test_no_charge_of_a_day_falls_between_the_spans_that_it_is_read_in(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=25)
    for hours in range(24):
        await charged(world, 10, hours=hours, minutes=59)
    await limit(world, "day", 245)
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await enqueue_all(world, dispatch)
        assert len(await dispatch.claim()) == 5


async def test_sends_with_their_provider_count_under_the_cap_until_they_surely_ended(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=6)
    await limit(world, "concurrent", 3)
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await enqueue_all(world, dispatch)
        running = await dispatch.claim()
        assert len(running) == 3
        for job in running:
            assert await submit(world, job)
        ended = UUID(running[0].id.split(":")[1])
        await world.set_action(ended, status_at=now(seconds=SUBMISSION.total_seconds() + 1))
        await flush(dispatch)
        await dispatch.open()
        await dispatch.send_round()
        assert len(await dispatch.claim()) == 1


@pytest.mark.parametrize("queue", ["outreach:send", None])
@pytest.mark.parametrize("tenants", ["one", "all"])
async def test_a_pause_survives_a_flush(
    database: Database, valkey_url: str, queue: str | None, tenants: str
) -> None:
    world = await World.create(database, HELLO, contacts=2)
    pause = Pause(queue, world.tenant_id if tenants == "one" else None)
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await enqueue_all(world, dispatch)
        async with database.begin() as tx:
            await pauses.add(tx, pause)
        await dispatch.configuration.refresh()
        assert await dispatch.claim() == []
        await flush(dispatch)
        await dispatch.open()
        await dispatch.send_round()
        assert await dispatch.claim() == []
        assert {state(row) for row in await world.actions()} == {("pending", 1)}
        async with database.begin() as tx:
            await pauses.lift(tx, pause)
        await dispatch.configuration.refresh()
        await dispatch.send_round()
        assert len(await dispatch.claim()) == 2


STEPS = ("begin_opening", "seed_configs", "seed_charges", "open")


@pytest.mark.parametrize("step", STEPS)
async def test_a_second_flush_between_any_two_steps_starts_the_opening_over(
    database: Database, valkey_url: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    world = await World.create(database, HELLO, contacts=22)
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await enqueue_all(world, dispatch)
        (job, *_) = await dispatch.claim(5)
        assert await submit(world, job)
        await flush(dispatch)
        real = getattr(dispatch.sends, step)
        once = iter([None])

        async def then_flushed(*args: Any) -> None:
            await real(*args)
            for _ in once:
                await flush(dispatch)

        monkeypatch.setattr(dispatch.sends, step, then_flushed)
        while not all([await queue.is_open(0) for queue in dispatch.queues]):
            await dispatch.open()
        await dispatch.send_round()
        assert len(await dispatch.claim()) == 19
    assert (await epochs(world))["outreach:send"] == [3]
    rows = await world.actions()
    assert sorted(row["status"] for row in rows) == ["enqueued"] * 21 + ["submitting"]


async def test_a_partition_that_cannot_be_opened_keeps_no_other_from_serving(
    database: Database, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with dispatching(database, valkey_url, partitions=2) as dispatch:

        async def never(*_: Any) -> None:
            raise StoreUnavailable

        monkeypatch.setattr(dispatch.sends, "seed_configs", never)
        await dispatch.configuration.refresh()
        for _ in range(6):
            with suppress(StoreUnavailable):
                await dispatch.openings.step()
        opened = [[await queue.is_open(partition) for partition in range(2)] for queue in dispatch.queues]
    assert opened == [[False, False], [True, True], [True, True]]


async def test_of_two_replicas_one_opens(database: Database, valkey_url: str) -> None:
    world = await World.create(database, HELLO)
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(dispatching(database, valkey_url)) for _ in range(2)]
        await asyncio.gather(*(replica.open() for replica in replicas))
        assert [await replica.sends.is_open(0) for replica in replicas] == [True, True]
    assert await epochs(world) == {queue.name: [1] for queue in replicas[0].queues}


@pytest.mark.parametrize("step", STEPS)
async def test_an_opening_that_another_replica_overtakes_writes_nothing_more(
    database: Database, valkey_url: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    async def nobody_else(*_: Any) -> bool:
        return True

    monkeypatch.setattr(queue_rows, "hold_opening", nobody_else)  # as if its holder had lost its connection
    world = await World.create(database, HELLO, contacts=22)
    await charged(world, 15, seconds=1)
    async with AsyncExitStack() as stack:
        slow, fast = [await stack.enter_async_context(dispatching(database, valkey_url)) for _ in range(2)]
        await fast.open()
        await enqueue_all(world, fast)
        await flush(fast)
        real = getattr(slow.sends, step)

        async def overtaken(*args: Any) -> None:
            await fast.open()
            await real(*args)

        monkeypatch.setattr(slow.sends, step, overtaken)
        with pytest.raises(OpeningSuperseded):
            await slow.openings.open(Place(slow.sends, 0))
        await fast.send_round()
        assert len(await fast.claim()) == 5
    assert (await epochs(world))["outreach:send"] == [3]
    assert {state(row) for row in await world.actions()} == {("enqueued", 1)}


async def test_a_pause_that_came_during_the_opening_is_in_force_when_it_ends(
    database: Database, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        await world.enrol()
        real = dispatch.sends.open

        async def paused_meanwhile(*args: Any) -> None:
            async with database.begin() as tx:
                await pauses.add(tx, Pause(None, None))
            await real(*args)

        monkeypatch.setattr(dispatch.sends, "open", paused_meanwhile)
        await dispatch.open()
        assert (await dispatch.sends.claim(0, 1)).status is ClaimStatus.PAUSED


async def test_another_number_of_partitions_is_refused(database: Database, valkey_url: str) -> None:
    async with dispatching(database, valkey_url, partitions=2):
        pass
    with pytest.raises(PartitionMismatch, match="QUEUE_PARTITIONS"):
        async with dispatching(database, valkey_url, partitions=3):
            pass


async def test_another_installations_redis_is_refused_also_by_an_opening(
    database: Database, valkey_url: str
) -> None:
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.redis.set("outreach:installation", "another")
        with pytest.raises(ForeignInstallation):
            await dispatch.open()
        with pytest.raises(ForeignInstallation):
            async with dispatching(database, valkey_url):
                pass
        assert [await queue.is_open(0) for queue in dispatch.queues] == [False] * 3
