"""Leases: held from the claim, lost to somebody else, given back at a shutdown."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs
from taskiq import AsyncTaskiqDecoratedTask

from shared.broker import JobBroker, JobContext, current_job
from shared.broker.held import Held, Stop, renew
from shared.jobs import JobState
from shared.queue.operating import Cancelled
from shared.queue.queue import Queue
from shared.queue.types import ClaimedJob, Counts, Settled, Settlement, Verdict
from shared.redis.client import connect
from tests.brokers import PATIENCE, SOON, SPEC, ended, redis_settings, seen, sending, until, working

LATER = timedelta(minutes=5)
# A steal comes between two renewals, and the worker has no slot free to take the job back.
UNHURRIED = {"lease": SOON * 20, "renew": SOON * 8, "concurrency": 1}


class Gate:
    """A handler that says when it began, waits to be let go, and tells how it ended."""

    def __init__(self, *, commits: bool = False) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.told: list[str] = []
        self._commits = commits

    def on(self, broker: JobBroker, **labels: float) -> AsyncTaskiqDecoratedTask[[], Any]:
        """Make it a task of the broker."""

        @broker.task("tests:gate", **labels)
        async def gate() -> None:
            await self._pass()

        return gate

    async def _pass(self) -> None:
        if self._commits:
            current_job().commit()
        self.begun.set()
        try:
            await self.may_end.wait()
            self.told.append("whole")
        except asyncio.CancelledError:
            self.told.append("cancelled")
            raise


@asynccontextmanager
async def gated(url: str, gate: Gate, **engine: object) -> AsyncIterator[tuple[JobBroker, str]]:
    """A broker with one job of a gated task."""
    async with sending(url, **engine) as broker:
        await gate.on(broker, timeout=PATIENCE * 2).kicker().with_task_id("job").kiq()
        yield broker, "job"


@asynccontextmanager
async def thief(url: str) -> AsyncIterator[Queue]:
    """The same queue, five minutes later: every lease has run out."""
    async with connect(redis_settings(url), role="thief") as client:

        def clock() -> int:
            return int((time.time() + LATER.total_seconds()) * 1000)

        yield Queue(client, SPEC, prefix="outreach", clock=clock)


async def steal(url: str) -> ClaimedJob:
    """Reap the job and claim it, as another worker would."""
    async with thief(url) as queue:
        back, _ = await queue.reap(0)
        assert back == ["job"]
        claimed = await queue.claim(0, 1)
        return claimed.jobs[0]


async def test_pain_17_a_job_longer_than_its_lease_runs_once_while_its_worker_renews_it(
    valkey_url: str, redis: Redis
) -> None:
    gate = Gate()
    async with gated(valkey_url, gate, **UNHURRIED) as (broker, job_id), working(broker):
        await gate.begun.wait()
        first = await _deadline(redis)

        async def renewed_past_its_first_lease() -> bool:
            return await _deadline(redis) > first + SOON * 20

        await until(renewed_past_its_first_lease)
        gate.may_end.set()
        found = await ended(broker, job_id)
    assert (found.state, found.attempt, gate.told) == (JobState.COMPLETED, 1, ["whole"])


async def test_pain_5_a_handler_whose_lease_was_lost_is_stopped_and_changes_nothing(valkey_url: str) -> None:
    gate = Gate()
    async with gated(valkey_url, gate, **UNHURRIED) as (broker, _), working(broker):
        await gate.begun.wait()
        stolen = await steal(valkey_url)

        async def stopped() -> bool:
            return bool(gate.told)

        await until(stopped)
        await asyncio.sleep(SOON.total_seconds())
        assert gate.told == ["cancelled"]
        assert await broker.queue.counts(0) == Counts(active=1)
        async with thief(valkey_url) as queue:
            words, _ = await queue.settle(0, [Settlement(stolen, Verdict.COMPLETED)])
    assert words == [Settled.OK]


async def test_pain_5_past_its_point_of_no_return_a_handler_ends_whole_and_still_changes_nothing(
    valkey_url: str,
) -> None:
    gate = Gate(commits=True)
    async with gated(valkey_url, gate, **UNHURRIED) as (broker, _), working(broker):
        await gate.begun.wait()
        stolen = await steal(valkey_url)

        def lost() -> float:
            labels = {"queue": "tests:jobs", "outcome": "lease_lost"}
            return broker.metrics.registry.get_sample_value("outreach_jobs_total", labels) or 0

        with capture_logs() as logs:

            async def noticed() -> bool:
                return any(entry["event"] == "lease.lost" for entry in logs)

            await until(noticed)
            assert gate.told == []
            gate.may_end.set()

            async def settled() -> bool:
                return lost() == 1

            await until(settled)
        assert gate.told == ["whole"]
        assert await broker.queue.counts(0) == Counts(active=1)
        async with thief(valkey_url) as queue:
            words, _ = await queue.settle(0, [Settlement(stolen, Verdict.COMPLETED)])
    assert words == [Settled.OK]


async def test_a_worker_that_claims_its_own_job_again_holds_the_new_claim_and_loses_the_old(
    valkey_url: str,
) -> None:
    async with sending(valkey_url) as broker:

        @broker.task("tests:note")
        async def note() -> None: ...

        await note.kicker().with_task_id("job").kiq()
        await broker.queue.open_plain(0)
        (old,) = (await broker.queue.claim(0, 1, lease=SOON)).jobs

        async def let_go() -> bool:
            return (await broker.queue.reap(0))[0] == ["job"]

        await until(let_go)  # as after an outage longer than a lease
        (new,) = (await broker.queue.claim(0, 1)).jobs
        held = [Held(JobContext(new, claimed_at=2), 0), Held(JobContext(old, claimed_at=1), 0)]
        for each in held:
            each.task = asyncio.create_task(asyncio.sleep(PATIENCE))
        await renew(broker.queue, held)
        assert [(each.lost, each.stopped) for each in held] == [(False, None), (True, Stop.LEASE_LOST)]
        words, _ = await broker.queue.settle(0, [Settlement(new, Verdict.COMPLETED)])
        held[0].stop(Stop.SHUTDOWN)
    assert words == [Settled.OK]


async def test_past_its_point_of_no_return_a_handler_is_not_stopped_by_its_timeout(valkey_url: str) -> None:
    gate = Gate(commits=True)
    async with sending(valkey_url) as broker:
        task = gate.on(broker, timeout=0.01)
        async with working(broker):
            sent = await task.kiq()
            await gate.begun.wait()
            await asyncio.sleep(0.1)
            gate.may_end.set()
            assert (await ended(broker, sent.task_id)).state is JobState.COMPLETED
    assert gate.told == ["whole"]


async def test_pain_24_the_jobs_of_a_dead_worker_run_again_without_any_traffic(valkey_url: str) -> None:
    attempts: list[int] = []
    async with sending(valkey_url) as broker:

        @broker.task("tests:note")
        async def note() -> None:
            attempts.append(current_job().attempt)

        task = await note.kiq()
        await broker.queue.open_plain(0)
        dead = await broker.queue.claim(0, 1, lease=SOON)
        assert [job.id for job in dead.jobs] == [task.task_id]
        async with working(broker):
            assert (await ended(broker, task.task_id)).state is JobState.COMPLETED
    assert attempts == [1]


async def test_a_job_that_stalls_twice_is_dead_with_its_reason(valkey_url: str) -> None:
    async with sending(valkey_url) as broker:

        @broker.task("tests:note")
        async def note() -> None: ...

        task = await note.kiq()
        await broker.queue.open_plain(0)
        for _ in range(2):
            assert (await broker.queue.claim(0, 1, lease=SOON)).jobs

            async def let_go() -> bool:
                await broker.queue.reap(0)
                return (await seen(broker, task.task_id)).state is not JobState.ACTIVE

            await until(let_go)
        found = await seen(broker, task.task_id)
    assert (found.state, found.reason) == (JobState.FAILED, "stalled")


async def test_a_shutdown_finishes_what_runs_and_leaves_what_waits(valkey_url: str) -> None:
    gate = Gate()
    async with gated(valkey_url, gate, concurrency=1) as (broker, job_id):
        await gate.on(broker, timeout=PATIENCE * 2).kicker().with_task_id("next").kiq()
        async with working(broker) as worker:
            await gate.begun.wait()
            leaving = asyncio.create_task(worker.__aexit__(None, None, None))

            async def draining() -> bool:
                return broker.health.draining

            await until(draining)
            assert not worker.ready(LATER)
            gate.may_end.set()
            await leaving
        assert (await seen(broker, job_id)).state is JobState.COMPLETED
        assert await broker.queue.counts(0) == Counts(waiting=1, completed=1)


async def test_a_shutdown_gives_back_what_it_claimed_and_has_not_started(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, claimed, may_answer = Gate(), asyncio.Event(), asyncio.Event()
    settle = Queue.settle

    async def slow_settle(queue: Queue, partition: int, ends: list[Settlement], slots: int = 0):
        answer = await settle(queue, partition, ends, slots)
        if answer[1] is not None and answer[1].jobs:
            claimed.set()
            await may_answer.wait()
        return answer

    monkeypatch.setattr(Queue, "settle", slow_settle)
    async with gated(valkey_url, gate) as (broker, job_id):
        async with working(broker) as worker:
            await claimed.wait()
            assert (await seen(broker, job_id)).state is JobState.ACTIVE
            leaving = asyncio.create_task(worker.__aexit__(None, None, None))

            async def draining() -> bool:
                return broker.health.draining

            await until(draining)
            may_answer.set()
            await leaving
        assert gate.told == []
        found = await seen(broker, job_id)
        assert found.state is JobState.WAITING
        (again,) = (await broker.queue.claim(0, 1)).jobs
    assert (found.state, again.attempt) == (JobState.WAITING, 1)


async def test_a_shutdown_stops_what_outlasts_its_grace_and_gives_it_back(valkey_url: str) -> None:
    gate = Gate()
    async with gated(valkey_url, gate) as (broker, job_id):
        async with working(broker, grace=timedelta(milliseconds=50)):
            await gate.begun.wait()
        found = await seen(broker, job_id)
        (again,) = (await broker.queue.claim(0, 1)).jobs
    assert gate.told == ["cancelled"]
    assert (found.state, again.attempt) == (JobState.WAITING, 1)


async def test_a_shutdown_leaves_the_lease_of_what_has_passed_its_point_of_no_return(valkey_url: str) -> None:
    gate = Gate(commits=True)
    async with gated(valkey_url, gate) as (broker, job_id):
        async with working(broker, grace=timedelta(milliseconds=50)):
            await gate.begun.wait()
        assert (await seen(broker, job_id)).state is JobState.ACTIVE
    assert gate.told == ["cancelled"]


async def _deadline(redis: Redis) -> timedelta:
    """When the one active job's lease ends, by the server's clock."""
    ((_, deadline),) = await redis.zrange(f"{{outreach:{SPEC.name}/0}}:active", 0, -1, withscores=True)
    return timedelta(milliseconds=deadline)


async def cancelled(broker: JobBroker, job_id: str) -> None:
    assert await broker.queue.cancel(0, [job_id]) == [Cancelled.CANCELLING]


async def test_a_handler_whose_job_is_cancelled_elsewhere_is_stopped_and_does_not_run_again(
    valkey_url: str,
) -> None:
    gate = Gate()
    async with gated(valkey_url, gate, **UNHURRIED) as (broker, job_id):
        with capture_logs() as logs:
            async with working(broker):
                await gate.begun.wait()
                await cancelled(broker, job_id)
                found = await ended(broker, job_id)
    assert (found.state, found.reason, gate.told) == (JobState.COMPLETED, "cancelled", ["cancelled"])
    assert {"event": "job.cancelled", "job_id": "job", "committed": False, "log_level": "info"} in logs
    assert [each["outcome"] for each in logs if each["event"] == "job.settled"] == ["cancelled"]


async def test_a_handler_past_its_point_of_no_return_is_not_stopped_and_ends_as_it_ends(
    valkey_url: str,
) -> None:
    gate = Gate(commits=True)
    async with gated(valkey_url, gate, **UNHURRIED) as (broker, job_id), working(broker):
        await gate.begun.wait()
        with capture_logs() as logs:
            await cancelled(broker, job_id)

            async def told() -> bool:
                return any(each["event"] == "job.cancelled" and each["committed"] for each in logs)

            await until(told)
        gate.may_end.set()
        found = await ended(broker, job_id)
    assert (found.state, found.reason, gate.told) == (JobState.COMPLETED, "", ["whole"])


async def test_a_handler_that_fails_while_it_is_stopped_does_not_run_again(valkey_url: str) -> None:
    async with sending(valkey_url, **UNHURRIED) as broker:
        runs: list[str] = []
        begun = asyncio.Event()

        @broker.task("tests:stubborn")
        async def stubborn() -> None:
            runs.append("run")
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise RuntimeError("cannot tidy up") from None

        await stubborn.kicker().with_task_id("job").kiq()
        async with working(broker):
            await begun.wait()
            await cancelled(broker, "job")
            found = await ended(broker, "job")
        assert (found.state, found.reason, runs) == (JobState.COMPLETED, "cancelled", ["run"])
