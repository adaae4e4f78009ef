"""Jobs by hand: as many as are asked for, one after the other, though their queue is paused."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from shared.broker import JobBroker, current_job
from shared.broker.by_hand import ByHand, Done
from shared.errors import QueueClosed, Unrecoverable
from shared.jobs import JobState
from shared.queue.operating import Cancelled
from shared.queue.queue import Queue
from shared.redis.client import connect
from tests.brokers import SOON, SPEC, redis_settings, seen, sending
from tests.integration.queue_state import limits

PAST = datetime(2020, 1, 1, tzinfo=UTC)
LAPSED = timedelta(milliseconds=-1)

Lines = list[tuple[str, int, str, str]]


async def by_hand(broker: JobBroker, most: int) -> Lines:
    """What is told of at most so many jobs: id, attempt, outcome and reason."""
    told: list[Done] = []

    async def tell(done: Done) -> None:
        told.append(done)

    assert await ByHand(broker).work(most, tell) == len(told)
    return [(done.id, done.attempt, done.outcome, done.reason) for done in told]


async def states(broker: JobBroker, *ids: str) -> dict[str, JobState | None]:
    return {each.id: each.state for each in await broker.queue.look_up(0, ids)}


async def test_jobs_of_a_paused_queue_run_by_hand_one_at_a_time_and_no_more_than_asked(
    valkey_url: str,
) -> None:
    running = 0
    async with sending(valkey_url) as broker:

        @broker.task("tests:work")
        async def work(n: int) -> None:
            nonlocal running
            running += 1
            await asyncio.sleep(0.01)
            assert running == 1
            running -= 1
            current_job().log(f"did {n}")
            if n == 1:
                raise Unrecoverable("never")
            if n == 2:
                raise ValueError("this time")

        await broker.queue.open_plain(0)
        await broker.queue.pause(0)
        for n in range(5):
            await work.kicker().with_task_id(f"job-{n}").kiq(n)
        assert await by_hand(broker, 3) == [
            ("job-0", 1, "completed", ""),
            ("job-1", 1, "failed", "Unrecoverable: never"),
            ("job-2", 1, "retry", "ValueError: this time"),
        ]
        assert [each.state for each in await broker.queue.look_up(0, ["job-3", "job-4"])] == ["waiting"] * 2
        assert [line.text for line in (await broker.queue.reported(0, "job-0")).lines] == ["did 0"]
        rest = await by_hand(broker, 100)
        assert [line[:3] for line in rest if line[0] != "job-2"] == [
            ("job-3", 1, "completed"),
            ("job-4", 1, "completed"),
        ]
        assert (await seen(broker, "job-1")).state is JobState.FAILED


async def test_by_hand_limits_and_the_pauses_of_tenants_hold_and_what_expired_fails(
    valkey_url: str,
) -> None:
    async with sending(valkey_url, partitions=2) as broker:

        @broker.task("tests:work")
        async def work() -> None:
            """Nothing."""

        queue = broker.queue
        near, far = [next(t for t in "abcdef" if queue.partition_of(t) == n) for n in range(2)]
        paused = next(t for t in "ghijkl" if queue.partition_of(t) == 0)
        for partition in range(2):
            await queue.open_plain(partition)
            await queue.pause(partition)
        await queue.configure(0, [limits(near, (60, 1))])
        await queue.pause(0, paused)
        for tenant in (near, far, paused):
            for n in range(2):
                await work.kicker().with_task_id(f"{tenant}-{n}").with_labels(tenant=tenant).kiq()
        late = work.kicker().with_task_id("late").with_labels(tenant=far, expires_at=PAST)
        await late.kiq()
        assert await by_hand(broker, 100) == [
            (f"{near}-0", 1, "completed", ""),
            (f"{far}-0", 1, "completed", ""),
            (f"{far}-1", 1, "completed", ""),
            ("late", 0, "failed", "expired"),
        ]
        left = await queue.look_up(0, [f"{near}-1", f"{paused}-0", f"{paused}-1"])
        assert [each.state for each in left] == [JobState.WAITING] * 3


async def test_what_a_worker_left_behind_that_crashed_is_worked_on_by_hand_though_no_worker_is_there(
    valkey_url: str,
) -> None:
    async with sending(valkey_url) as broker:

        @broker.task("tests:work")
        async def work() -> None:
            """Nothing."""

        queue = broker.queue
        await queue.open_plain(0)
        await work.kicker().with_task_id("poison").kiq()
        for _ in range(SPEC.max_stalls):
            await queue.claim(0, 1, lease=LAPSED)
            assert await queue.reap(0) == (["poison"], [])
        await work.kicker().with_task_id("left").kiq()
        assert len((await queue.claim(0, 2, lease=LAPSED)).jobs) == 2
        await queue.pause(0)
        assert await by_hand(broker, 100) == [
            ("poison", 1, "failed", "stalled"),
            ("left", 1, "completed", ""),
        ]


async def test_a_closed_partition_is_said(valkey_url: str) -> None:
    async with sending(valkey_url) as broker:
        with pytest.raises(QueueClosed):
            await by_hand(broker, 1)


async def test_by_hand_the_lease_is_renewed_and_a_cancelled_job_is_stopped(valkey_url: str) -> None:
    async with sending(valkey_url, lease=SOON * 10, renew=SOON) as broker:
        begun = asyncio.Event()

        @broker.task("tests:work", timeout=20.0)
        async def work() -> None:
            begun.set()
            await asyncio.Event().wait()

        await broker.queue.open_plain(0)
        await broker.queue.pause(0)
        await work.kicker().with_task_id("job").kiq()
        working = asyncio.create_task(by_hand(broker, 1))
        await begun.wait()
        assert await broker.queue.cancel(0, ["job"]) == [Cancelled.CANCELLING]
        assert await working == [("job", 1, "cancelled", "cancelled")]


@pytest.mark.parametrize(
    ("times", "commits", "outcome", "state"),
    [
        (1, False, "completed", JobState.COMPLETED),
        (2, False, "released", JobState.WAITING),
        (2, True, "shutdown", JobState.ACTIVE),
    ],
)
async def test_enough_lets_the_job_in_work_end_and_said_again_gives_it_back_or_leaves_it_to_its_lease(
    valkey_url: str, times: int, commits: bool, outcome: str, state: JobState
) -> None:
    async with sending(valkey_url) as broker:
        begun, may_end = asyncio.Event(), asyncio.Event()

        @broker.task("tests:work", timeout=20.0)
        async def work() -> None:
            if commits:
                current_job().commit()
            begun.set()
            await may_end.wait()

        await broker.queue.open_plain(0)
        for n in range(2):
            await work.kicker().with_task_id(f"job-{n}").kiq()
        told: list[Done] = []

        async def tell(done: Done) -> None:
            told.append(done)

        hand = ByHand(broker)
        working = asyncio.create_task(hand.work(9, tell))
        await begun.wait()
        for _ in range(times):
            hand.enough()
        await asyncio.sleep(0)
        if times == 1:
            may_end.set()
        assert await working == 1
        assert [(done.id, done.outcome) for done in told] == [("job-0", outcome)]
        assert await states(broker, "job-0", "job-1") == {"job-0": state, "job-1": JobState.WAITING}


async def test_a_job_that_somebody_else_took_meanwhile_is_not_ended_by_hand(valkey_url: str) -> None:
    async with sending(valkey_url) as broker:

        @broker.task("tests:work")
        async def work() -> None:
            async with connect(redis_settings(valkey_url), role="thief") as client:
                later = int((time.time() + 300) * 1000)
                await Queue(client, SPEC, prefix="outreach", clock=lambda: later).reap(0)

        await broker.queue.open_plain(0)
        await work.kicker().with_task_id("job").kiq()
        assert await by_hand(broker, 1) == [("job", 1, "lease_lost", "")]
        assert (await seen(broker, "job")).state is JobState.WAITING
