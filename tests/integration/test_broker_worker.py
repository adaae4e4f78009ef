"""A worker on the engine: slots, attempts, what nobody understands, how handlers' words end jobs."""

import asyncio
import os
import re
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.broker import Ended, JobBroker, current_job
from shared.errors import Defer, RateLimited, Unrecoverable
from shared.jobs import JobState
from shared.queue.queue import Queue
from shared.queue.types import Counts, NewJob, Seen, Verdict
from tests.brokers import SPEC, ended, seen, sending, until, working


async def counts(broker: JobBroker) -> Counts:
    return await broker.queue.counts(0)


async def test_pain_6_no_job_is_claimed_without_a_free_slot(valkey_url: str) -> None:
    gate = asyncio.Event()
    async with sending(valkey_url, concurrency=2) as broker:

        @broker.task("tests:gated")
        async def gated() -> None:
            await gate.wait()

        for _ in range(7):
            await gated.kiq()
        async with working(broker):

            async def full() -> bool:
                return (await counts(broker)).active == 2

            await until(full)
            await asyncio.sleep(0.3)  # a claim too many would have come by now
            assert await counts(broker) == Counts(waiting=5, active=2)
            gate.set()

            async def empty() -> bool:
                return (await counts(broker)).completed == 7

            await until(empty)


async def test_two_visits_at_once_share_the_slots_and_never_fill_one_twice(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = Queue.settle
    asked: list[int] = []
    peaks = {"visits": 0, "slots": 0, "jobs": 0}
    running = 0

    async def watched(queue: Queue, partition: int, ended: Any, slots: int = 0) -> Any:
        asked.append(slots)
        peaks["visits"] = max(peaks["visits"], len(asked))
        peaks["slots"] = max(peaks["slots"], sum(asked))
        try:
            return await settle(queue, partition, ended, slots)
        finally:
            asked.remove(slots)

    monkeypatch.setattr(Queue, "settle", watched)
    async with sending(valkey_url, replace(SPEC, keep_completed=300), concurrency=9) as broker:

        @broker.task("tests:short")
        async def short() -> None:
            nonlocal running
            running += 1
            peaks["jobs"] = max(peaks["jobs"], running)
            await asyncio.sleep(0.001)
            running -= 1

        await asyncio.gather(*(short.kiq() for _ in range(300)))
        async with working(broker):

            async def empty() -> bool:
                return await counts(broker) == Counts(completed=300)

            await until(empty)
    assert peaks == {"visits": 2, "slots": 9, "jobs": 9}


async def test_pain_15_two_workers_never_run_one_job_twice(valkey_url: str) -> None:
    runs: list[str] = []
    async with sending(valkey_url, concurrency=7) as one, sending(valkey_url, concurrency=3) as two:
        for broker in (one, two):

            @broker.task("tests:note")
            async def note() -> None:
                await asyncio.sleep(0)
                runs.append(current_job().id)

        ids = [f"job-{n}" for n in range(300)]
        async with working(one), working(two):
            await asyncio.gather(*(note.kicker().with_task_id(job_id).kiq() for job_id in ids))

            async def all_run() -> bool:
                return len(runs) >= len(ids) and (await counts(one)).active == 0

            await until(all_run)
    assert sorted(runs) == sorted(ids)


async def test_every_partition_is_visited_also_while_one_has_always_work(valkey_url: str) -> None:
    ran: set[str] = set()
    async with sending(valkey_url, partitions=4, concurrency=1) as broker:

        @broker.task("tests:tenant")
        async def tenant_job() -> None:
            lane = current_job().job.lane
            ran.add(lane)
            if lane == busy:  # its partition never runs out of work
                await tenant_job.kicker().with_labels(tenant=busy).kiq()

        tenants = [f"tenant-{n}" for n in range(12)]
        assert {broker.queue.partition_of(tenant) for tenant in tenants} == {0, 1, 2, 3}
        busy = tenants[0]
        for _ in range(10):
            await tenant_job.kicker().with_labels(tenant=busy).kiq()
        async with working(broker):
            for tenant in tenants:
                await tenant_job.kicker().with_labels(tenant=tenant).kiq()

            async def all_ran() -> bool:
                return ran == set(tenants)

            await until(all_ran)


async def test_pain_21_an_unknown_task_fails_with_its_reason_and_can_be_retried(valkey_url: str) -> None:
    async with sending(valkey_url) as producer, sending(valkey_url) as consumer:

        @producer.task("tests:elsewhere")
        async def elsewhere() -> None: ...

        async with working(consumer):
            task = await elsewhere.kiq()
            found = await ended(consumer, task.task_id)
            assert found == Seen(
                task.task_id,
                JobState.FAILED,
                "Unrecoverable: No task is named tests:elsewhere: import it in this worker, then retry.",
                1,
            )

            consumer.register_task(elsewhere.original_func, "tests:elsewhere")
            assert await consumer.queue.retry(0, [task.task_id]) == [task.task_id]
            assert (await ended(consumer, task.task_id)).state is JobState.COMPLETED


async def test_pain_21_an_unparsable_payload_fails_with_its_reason(valkey_url: str) -> None:
    async with sending(valkey_url) as broker:
        await broker.queue.enqueue([NewJob("odd", "default", b'{"kind":"send","contact":"ann@example.com"}')])
        async with working(broker):
            found = await ended(broker, "odd")
    assert (found.state, found.reason) == (
        JobState.FAILED,
        "Unrecoverable: The payload does not parse: send.tenantId: Field required",
    )


async def test_pain_23_retries_keep_their_count_and_end(valkey_url: str) -> None:
    attempts: list[int] = []
    async with sending(valkey_url) as broker:

        @broker.task("tests:failing")
        async def failing() -> None:
            attempts.append(current_job().attempt)
            raise ValueError("no")

        async with working(broker):
            task = await failing.kiq()
            found = await ended(broker, task.task_id)
    assert attempts == [1, 2, 3]
    assert found == Seen(task.task_id, JobState.FAILED, "ValueError: no", 3)


async def test_max_attempts_of_the_job_go_before_the_queues(valkey_url: str) -> None:
    attempts: list[int] = []
    async with sending(valkey_url) as broker:

        @broker.task("tests:failing", max_attempts=2)
        async def failing() -> None:
            attempts.append(current_job().attempt)
            raise ValueError("no")

        async with working(broker):
            await ended(broker, (await failing.kiq()).task_id)
    assert attempts == [1, 2]


async def test_a_retry_waits_out_its_back_off(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 1.0)
    async with sending(valkey_url, replace(SPEC, backoff=timedelta(hours=1))) as broker:

        @broker.task("tests:failing")
        async def failing() -> None:
            raise ValueError("no")

        async with working(broker):
            task = await failing.kiq()

            async def delayed() -> bool:
                return (await seen(broker, task.task_id)).state is JobState.DELAYED

            await until(delayed)
            assert await counts(broker) == Counts(delayed=1)


async def test_pain_9_a_job_that_runs_too_long_is_a_failed_attempt(valkey_url: str) -> None:
    stopped: list[int] = []
    async with sending(valkey_url) as broker:

        @broker.task("tests:endless", timeout=0.05, max_attempts=2)
        async def endless() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                stopped.append(current_job().attempt)

        async with working(broker):
            task = await endless.kiq()
            found = await ended(broker, task.task_id)
    assert stopped == [1, 2]
    assert found.reason == "TimeoutError: the job ran longer than its timeout"


async def test_pain_9_a_queues_own_timeout_holds_for_every_job(valkey_url: str) -> None:
    spec = replace(SPEC, job_timeout=timedelta(milliseconds=50), attempts=1)
    async with sending(valkey_url, spec) as broker:

        @broker.task("tests:endless")
        async def endless() -> None:
            await asyncio.Event().wait()

        async with working(broker):
            assert (await ended(broker, (await endless.kiq()).task_id)).state is JobState.FAILED


async def test_pain_9_a_job_that_expired_is_failed_without_running(valkey_url: str) -> None:
    runs: list[int] = []
    async with sending(valkey_url) as broker:

        @broker.task("tests:stale", expires_at="2026-01-01T00:00:00Z")
        async def stale() -> None:
            runs.append(1)

        async with working(broker):
            task = await stale.kiq()
            found = await ended(broker, task.task_id)
    assert (found.state, found.reason, runs) == (JobState.FAILED, "expired", [])


async def test_unrecoverable_is_not_tried_again(valkey_url: str) -> None:
    runs: list[int] = []
    async with sending(valkey_url) as broker:

        @broker.task("tests:hopeless")
        async def hopeless() -> None:
            runs.append(1)
            raise Unrecoverable("no such row")

        async with working(broker):
            found = await ended(broker, (await hopeless.kiq()).task_id)
    assert (found.state, found.reason, runs) == (JobState.FAILED, "Unrecoverable: no such row", [1])


async def test_a_limited_job_waits_at_the_head_of_its_closed_lane_and_uses_no_attempt(
    valkey_url: str,
) -> None:
    attempts: list[tuple[str, int]] = []
    async with sending(valkey_url, concurrency=1) as broker:

        @broker.task("tests:limited")
        async def limited() -> None:
            job = current_job()
            attempts.append((job.id, job.attempt))
            if len(attempts) == 1:
                raise RateLimited(datetime.now(UTC) + timedelta(milliseconds=300))

        lane = {"lane": "acme/email/s1"}
        await limited.kicker().with_task_id("first").with_labels(**lane).kiq()
        await limited.kicker().with_task_id("second").with_labels(**lane).kiq()
        await limited.kicker().with_task_id("other").with_labels(lane="acme/email/s2").kiq()
        async with working(broker):
            assert (await ended(broker, "other")).state is JobState.COMPLETED
            assert await counts(broker) == Counts(waiting=2, completed=1)
            await ended(broker, "second")
    assert attempts == [("first", 1), ("other", 1), ("first", 1), ("second", 1)]


async def test_a_deferred_job_runs_again_at_its_time_and_uses_no_attempt(valkey_url: str) -> None:
    attempts: list[int] = []
    async with sending(valkey_url) as broker:

        @broker.task("tests:deferred")
        async def deferred() -> None:
            attempts.append(current_job().attempt)
            if len(attempts) < 5:
                raise Defer(datetime.now(UTC))

        async with working(broker):
            found = await ended(broker, (await deferred.kiq()).task_id)
    assert (found.state, attempts) == (JobState.COMPLETED, [1] * 5)


@pytest.mark.parametrize(
    ("ending", "state", "reason"),
    [
        (Ended(Verdict.COMPLETED, refund=True), JobState.COMPLETED, ""),
        (Ended(Verdict.HELD, "paused"), JobState.COMPLETED, "paused"),
        (Ended(Verdict.SKIPPED, "suppressed"), JobState.COMPLETED, "suppressed"),
        (Ended(Verdict.FAILED, "gone"), JobState.FAILED, "gone"),
    ],
)
async def test_a_handler_may_say_exactly_how_its_job_ends(
    valkey_url: str, ending: Ended, state: JobState, reason: str
) -> None:
    async with sending(valkey_url) as broker:

        @broker.task("tests:said")
        async def said() -> Any:
            return ending

        async with working(broker):
            found = await ended(broker, (await said.kiq()).task_id)
    assert (found.state, found.reason) == (state, reason)


async def test_a_settlement_that_cannot_be_sent_holds_up_no_other(valkey_url: str) -> None:
    async with sending(valkey_url, concurrency=1) as broker:

        @broker.task("tests:odd")
        async def odd(n: int) -> Any:
            return Ended(Verdict.COMPLETED, close=("x" * 300, datetime.now(UTC))) if n == 0 else None

        async with working(broker):
            stuck = await odd.kiq(0)
            assert (await ended(broker, (await odd.kiq(1)).task_id)).state is JobState.COMPLETED
            assert (await seen(broker, stuck.task_id)).state is JobState.ACTIVE  # until its lease lapses


async def test_a_worker_says_that_it_works_and_how_long_its_jobs_take(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.broker.presence.BEAT", timedelta(milliseconds=20))
    async with sending(valkey_url, concurrency=7) as broker:

        @broker.task("tests:slow")
        async def slow() -> None:
            await asyncio.sleep(0.2)

        async with working(broker):

            async def idle() -> bool:
                seen = await broker.queue.workers()
                return [(worker.slots, worker.seconds) for worker in seen] == [(7, 0.0)]

            await until(idle)
            (worker,) = await broker.queue.workers()
            assert re.fullmatch(rf"{re.escape(socket.gethostname())}\.{os.getpid()}\.\w{{4}}", worker.process)
            await broker.client.flushall()
            await until(idle)
            await ended(broker, (await slow.kiq()).task_id)

            async def timed() -> bool:
                return [0.2 <= worker.seconds < 10 for worker in await broker.queue.workers()] == [True]

            await until(timed)


async def test_what_became_of_jobs_is_counted_with_bounded_labels(valkey_url: str) -> None:
    async with sending(valkey_url) as broker:

        @broker.task("tests:some")
        async def some(n: int) -> None:
            if n == 0:
                raise Unrecoverable("no")

        async with working(broker):
            for n in range(3):
                await ended(broker, (await some.kiq(n)).task_id)
    registry = broker.metrics.registry
    for outcome, times in (("completed", 2), ("failed", 1)):
        labels = {"queue": "tests:jobs", "outcome": outcome}
        assert registry.get_sample_value("outreach_jobs_total", labels) == times
    for figure in ("wait", "run"):
        name = f"outreach_job_{figure}_seconds_count"
        assert registry.get_sample_value(name, {"queue": "tests:jobs"}) == 3
