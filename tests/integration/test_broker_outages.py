"""Redis goes away: workers stay, say so, and go on when it is back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from shared.broker import JobBroker, Worker, current_job
from shared.jobs import JobState
from shared.queue.queue import Queue
from shared.queue.types import Counts, Settlement
from shared.redis.embedded import EmbeddedValkey
from shared.settings import RedisSettings
from tests.brokers import SOON, SPEC, ended, redis_settings, sending, until, working

MINUTE = timedelta(minutes=1)


def impatient(url: str) -> RedisSettings:
    """Gives up on an answer soon, so that an outage outlasts it."""
    return redis_settings(url, command_timeout=SOON * 3, connect_timeout=SOON * 3)


@asynccontextmanager
async def echoing(url: str) -> AsyncIterator[tuple[JobBroker, Worker, list[int]]]:
    """A worker that has run a job."""
    ran: list[int] = []
    async with sending(url, redis=impatient(url)) as broker:

        @broker.task("tests:echo")
        async def echo(n: int) -> None:
            ran.append(n)

        async with working(broker) as worker:
            await send(broker, 0)
            assert worker.ready(MINUTE)
            yield broker, worker, ran


async def send(broker: JobBroker, n: int) -> None:
    """Send a job and see it done."""
    task = broker.find_task("tests:echo")
    assert task is not None
    sent = await task.kiq(n)
    assert (await ended(broker, sent.task_id)).state is JobState.COMPLETED


async def not_ready(worker: Worker) -> None:
    """Wait until readiness tells the truth about an outage."""

    async def stale() -> bool:
        return not worker.ready(SOON * 5)

    await until(stale)


async def test_pain_1_an_idle_worker_consumes_again_after_redis_restarted(
    valkey: EmbeddedValkey, valkey_url: str
) -> None:
    with capture_logs() as logs:
        async with echoing(valkey_url) as (broker, worker, ran):
            await valkey.stop()
            await not_ready(worker)
            await valkey.start()
            await send(broker, 1)
            assert worker.ready(MINUTE)
        assert ran == [0, 1]
    # Once for each loop that met the absence, not once for each try.
    away = [entry["loop"] for entry in logs if entry["event"] == "server.away"]
    back = [entry["loop"] for entry in logs if entry["event"] == "server.back"]
    assert len(away) == len(set(away)) and set(back) <= set(away)


async def test_pain_1_an_idle_worker_consumes_again_after_redis_was_killed(
    valkey: EmbeddedValkey, valkey_url: str
) -> None:
    async with echoing(valkey_url) as (broker, worker, ran):
        await valkey.kill()
        await not_ready(worker)
        await valkey.start()
        await send(broker, 1)
    assert ran == [0, 1]


async def test_pain_1_a_worker_consumes_again_after_redis_hung(
    valkey: EmbeddedValkey, valkey_url: str
) -> None:
    async with echoing(valkey_url) as (broker, worker, ran):
        os.kill(valkey.pid, signal.SIGSTOP)
        try:
            await not_ready(worker)
        finally:
            os.kill(valkey.pid, signal.SIGCONT)
        await send(broker, 1)
    assert ran == [0, 1]


async def test_pain_23_what_runs_while_redis_hangs_ends_and_is_settled_when_it_is_back(
    valkey: EmbeddedValkey, valkey_url: str
) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()
    attempts: list[int] = []
    async with sending(valkey_url, redis=impatient(valkey_url), concurrency=2) as broker:

        @broker.task("tests:gate")
        async def gate() -> None:
            attempts.append(current_job().attempt)
            begun.set()
            await may_end.wait()

        async with working(broker) as worker:
            sent = await gate.kiq()
            await begun.wait()
            os.kill(valkey.pid, signal.SIGSTOP)
            try:
                may_end.set()
                await not_ready(worker)
            finally:
                os.kill(valkey.pid, signal.SIGCONT)
            found = await ended(broker, sent.task_id)
            assert await broker.queue.counts(0) == Counts(completed=1)
    assert (found.state, found.attempt, attempts) == (JobState.COMPLETED, 1, [1])


async def test_a_settlement_that_did_not_reach_redis_is_sent_again(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[str] = []
    settle = Queue.settle

    async def losing(queue: Queue, partition: int, ends: list[Settlement], slots: int = 0) -> Any:
        if ends and not lost:
            lost.extend(each.job.id for each in ends)
            raise RedisConnectionError("cut before it was sent")
        return await settle(queue, partition, ends, slots)

    monkeypatch.setattr(Queue, "settle", losing)
    async with echoing(valkey_url) as (broker, _, ran):
        assert len(lost) == 1
        assert await broker.queue.counts(0) == Counts(completed=1)
    assert ran == [0]


async def test_pain_1_a_busy_worker_goes_on_after_redis_came_back_empty(
    valkey: EmbeddedValkey, valkey_url: str
) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()
    async with echoing(valkey_url) as (broker, worker, ran):

        @broker.task("tests:gate")
        async def gate() -> None:
            begun.set()
            await may_end.wait()

        await gate.kiq()
        await begun.wait()
        await valkey.kill()
        await not_ready(worker)
        await valkey.start()
        await send(broker, 1)
        may_end.set()
        # Its job went with the server; settling it changes nothing of the new books.
        await send(broker, 2)
        assert await broker.queue.counts(0) == Counts(completed=2)
    assert ran == [0, 1, 2]


async def test_jobs_claimed_by_an_answer_that_was_lost_run_after_their_lease(
    valkey: EmbeddedValkey, valkey_url: str
) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()
    ran: list[tuple[str, int]] = []
    short = {"lease": SOON * 10, "renew": SOON * 3, "concurrency": 1}
    async with sending(valkey_url, redis=impatient(valkey_url), **short) as broker:

        @broker.task("tests:note")
        async def note() -> None:
            ran.append((current_job().id, current_job().attempt))
            begun.set()
            await may_end.wait()

        ids = [f"job-{n}" for n in range(5)]
        for job_id in ids:
            await note.kicker().with_task_id(job_id).kiq()
        async with working(broker) as worker:
            await begun.wait()
            os.kill(valkey.pid, signal.SIGSTOP)
            try:
                may_end.set()  # now it settles and claims, and does not hear the answer
                await not_ready(worker)
            finally:
                os.kill(valkey.pid, signal.SIGCONT)

            async def all_done() -> bool:
                return await broker.queue.counts(0) == Counts(completed=5)

            await until(all_done)
    assert sorted(ran) == [(job_id, 1) for job_id in ids]


async def test_a_worker_that_starts_without_redis_waits_for_it(
    valkey: EmbeddedValkey, valkey_url: str
) -> None:
    ran: list[int] = []
    await valkey.stop()
    async with sending(valkey_url, redis=impatient(valkey_url)) as broker:

        @broker.task("tests:echo")
        async def echo(n: int) -> None:
            ran.append(n)

        async with working(broker) as worker:
            assert not worker.ready(MINUTE)
            await valkey.start()
            await send(broker, 1)
            assert worker.ready(MINUTE)
    assert ran == [1]


async def test_a_worker_can_be_stopped_while_redis_is_away(valkey: EmbeddedValkey, valkey_url: str) -> None:
    async with echoing(valkey_url) as (_, worker, _):
        await valkey.stop()
        await not_ready(worker)
    await valkey.start()


@pytest.mark.parametrize("queue", ["outreach:send", "outreach:timeout", "webhook:process"])
async def test_a_queue_of_rows_waits_for_dispatch_to_open_it_and_is_not_ready(
    valkey_url: str, queue: str
) -> None:
    ran: list[int] = []
    async with sending(valkey_url, replace(SPEC, name=queue)) as broker:

        @broker.task("tests:echo")
        async def echo(n: int) -> None:
            ran.append(n)

        async with working(broker) as worker:
            await echo.kiq(1)

            async def found_closed() -> bool:
                return broker.health.closed == {0}

            await until(found_closed)
            assert not worker.ready(MINUTE)
            assert await broker.queue.counts(0) == Counts(waiting=1)

            await broker.queue.begin_opening(0, 1)
            await broker.queue.open(0, 1)

            async def done() -> bool:
                return ran == [1]

            await until(done)
            assert worker.ready(MINUTE)
