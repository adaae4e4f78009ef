"""What holds when nobody sets anything: each default of the design, by what it does."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.broker import JobBroker, current_job
from shared.broker.held import Stop
from shared.jobs import QUEUES, SENDS, TIMEOUTS, WEBHOOKS, JobState, QueueSpec
from shared.loop import rest
from shared.queue.types import Counts, Seen, Settlement, Verdict
from shared.redis.client import connect
from shared.redis.embedded import EmbeddedValkey
from shared.settings import EngineSettings, RedisSettings
from tests.brokers import ended, until, working
from tests.integration.queue_state import bench, job

every_queue = pytest.mark.parametrize("spec", list(QUEUES.values()), ids=list(QUEUES))


@asynccontextmanager
async def untouched(url: str, spec: QueueSpec) -> AsyncIterator[JobBroker]:
    """A broker of a queue of ours, opened, on settings that nobody touched."""
    broker = JobBroker(RedisSettings(url=SecretStr(url)), EngineSettings(), spec, ids="random")
    try:
        await broker.queue.begin_opening(0, 1)
        await broker.queue.open(0, 1)
        yield broker
    finally:
        await broker.shutdown()


@pytest.mark.parametrize(("spec", "most"), [(WEBHOOKS, 10), (SENDS, 3), (TIMEOUTS, 2)])
async def test_a_queue_runs_so_many_jobs_at_once(valkey_url: str, spec: QueueSpec, most: int) -> None:
    gate = asyncio.Event()
    async with untouched(valkey_url, spec) as broker:

        @broker.task("tests:gated")
        async def gated() -> None:
            await gate.wait()

        for _ in range(2 * most):
            await gated.kiq()
        async with working(broker):

            async def full() -> bool:
                return (await broker.queue.counts(0)).active >= most

            await until(full)
            await asyncio.sleep(0.2)  # a claim too many would have come by now
            assert await broker.queue.counts(0) == Counts(waiting=most, active=most)
            gate.set()


@pytest.mark.parametrize(("spec", "priority"), [(WEBHOOKS, 0), (SENDS, 1), (TIMEOUTS, 2)])
async def test_a_job_that_names_no_priority_has_its_queues(
    valkey_url: str, spec: QueueSpec, priority: int
) -> None:
    async with bench(valkey_url, spec) as b:
        await b.queue.enqueue(
            [job("after", priority=priority + 1), job("plain"), job("same", priority=priority)]
        )
        if priority:
            await b.queue.enqueue([job("before", priority=priority - 1)])
        claimed = [each.id for each in (await b.queue.claim(0, 9)).jobs]
    assert claimed == [*(["before"] if priority else []), "plain", "same", "after"]


@every_queue
async def test_a_job_has_three_attempts(
    valkey_url: str, spec: QueueSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)
    attempts: list[int] = []
    async with untouched(valkey_url, spec) as broker:

        @broker.task("tests:failing")
        async def failing() -> None:
            attempts.append(current_job().attempt)
            raise ValueError("no")

        async with working(broker):
            sent = await failing.kiq()
            assert await ended(broker, sent.task_id) == Seen(
                sent.task_id, JobState.FAILED, "ValueError: no", 3
            )
    assert attempts == [1, 2, 3]


@every_queue
async def test_the_last_100_completed_and_50_failed_jobs_are_kept_for_a_day(
    valkey_url: str, spec: QueueSpec
) -> None:
    async with bench(valkey_url, spec) as b:
        for verdict in (Verdict.COMPLETED, Verdict.FAILED):
            for at in range(0, 120, 40):
                await b.queue.enqueue([job(f"{verdict}-{at + n}") for n in range(40)])
                claimed = (await b.queue.claim(0, 40)).jobs
                await b.queue.settle(0, [Settlement(each, verdict) for each in claimed])
        assert await b.queue.counts(0) == Counts(completed=100, failed=50)
        b.clock.forward(days=1)
        await b.queue.reap(0)
        assert await b.queue.counts(0) == Counts(completed=100, failed=50)
        b.clock.forward(seconds=1)
        for _ in range(2):
            await b.queue.reap(0)
        assert await b.queue.counts(0) == Counts()


@every_queue
async def test_a_job_that_stalls_after_30_s_runs_once_more_and_is_then_dead(
    valkey_url: str, spec: QueueSpec
) -> None:
    async with bench(valkey_url, spec) as b:
        await b.queue.enqueue([job("one")])
        for reaped in ((["one"], []), ([], [Seen("one", JobState.FAILED, "stalled", 1)])):
            (claimed,) = (await b.queue.claim(0, 1)).jobs
            assert claimed.attempt == 1
            b.clock.forward(seconds=29.999)
            assert await b.queue.reap(0) == ([], [])
            b.clock.forward(milliseconds=2)
            assert await b.queue.reap(0) == reaped


@every_queue
async def test_a_lease_of_30_s_is_renewed_every_10(
    valkey_url: str, redis: Redis, monkeypatch: pytest.MonkeyPatch, spec: QueueSpec
) -> None:
    pauses: list[timedelta] = []
    passed, renewed = asyncio.Event(), asyncio.Event()

    async def noted(until: asyncio.Event, longest: timedelta) -> None:
        task = asyncio.current_task()
        if task is None or task.get_name() != "renewal":
            return await rest(until, longest)
        pauses.append(longest)
        if len(pauses) == 1:
            await passed.wait()
        else:
            renewed.set()
            await until.wait()
        return None

    monkeypatch.setattr("shared.loop.rest", noted)
    async with at_work(valkey_url, spec) as work:
        first = await deadline(redis, work)
        await asyncio.sleep(0.002)  # the server's clock counts milliseconds
        passed.set()
        await renewed.wait()
        second = await deadline(redis, work)
    assert first - work.claimed_ms == 30_000 and second > first
    assert pauses == [timedelta(seconds=10)] * 2


@every_queue
async def test_a_job_may_run_for_25_s(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch, spec: QueueSpec
) -> None:
    loop = asyncio.get_running_loop()
    limits: list[float] = []
    call_later = loop.call_later

    def at_once(seconds: float, callback: Any, *arguments: Any) -> Any:
        if arguments == (Stop.TIMEOUT,):
            limits.append(seconds)
            seconds = 0.05
        return call_later(seconds, callback, *arguments)

    monkeypatch.setattr(loop, "call_later", at_once)
    async with at_work(valkey_url, replace(spec, attempts=1)) as work:
        found = await ended(work.broker, work.job_id)
    assert limits == [25.0]
    assert found.reason == "TimeoutError: the job ran longer than its timeout"


async def test_a_command_is_tried_again_three_times() -> None:
    tries = 0

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connecting(f"redis://127.0.0.1:{port}") as redis:
            assert tries == 0  # nothing is opened before it is needed
            with pytest.raises(RedisConnectionError):
                await redis.get("a")
    assert tries == 1 + 3


async def test_a_command_waits_5_s_for_its_answer(
    valkey: EmbeddedValkey, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connecting(valkey_url, retries=0) as redis:
        await redis.ping()
        waits = impatient(monkeypatch)
        os.kill(valkey.pid, signal.SIGSTOP)
        try:
            with pytest.raises(RedisTimeoutError):
                await redis.get("a")
        finally:
            os.kill(valkey.pid, signal.SIGCONT)
    assert waits[0] == 5


async def test_a_connection_is_waited_for_for_10_s(monkeypatch: pytest.MonkeyPatch) -> None:
    never = asyncio.Event()

    async def nobody_answers(**_: Any) -> None:
        await never.wait()

    monkeypatch.setattr(asyncio, "open_connection", nobody_answers)
    waits = impatient(monkeypatch)
    async with connecting("redis://127.0.0.1:1", retries=0) as redis:
        with pytest.raises(RedisTimeoutError):
            await redis.ping()
    assert waits[:2] == [5, 10]  # for its turn on the connection, and for the connection


async def test_a_connection_is_probed_after_30_s_of_silence(valkey_url: str) -> None:
    async with connecting(valkey_url) as redis:
        await redis.ping()
        connection: Any = redis.connection
        found = connection._writer.get_extra_info("socket")
        assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle = getattr(socket, "TCP_KEEPIDLE", None) or socket.TCP_KEEPALIVE  # Linux's, macOS's
        assert found.getsockopt(socket.IPPROTO_TCP, idle) == 30


async def test_keys_stand_under_the_prefix_outreach(valkey_url: str, redis: Redis) -> None:
    async with untouched(valkey_url, SENDS):
        keys = await redis.keys()
    assert {key.partition(b"}")[0] for key in keys} == {b"{outreach:outreach:send/0"}


@dataclass
class Work:
    """A job that a worker on untouched settings has begun, and that ends when it may."""

    broker: JobBroker
    may_end: asyncio.Event
    job_id: str = ""
    claimed_ms: int = 0


@asynccontextmanager
async def at_work(url: str, spec: QueueSpec) -> AsyncIterator[Work]:
    begun = asyncio.Event()
    async with untouched(url, spec) as broker:
        work = Work(broker, asyncio.Event())

        @broker.task("tests:gated")
        async def gated() -> None:
            work.job_id, work.claimed_ms = current_job().id, current_job().job.claimed_ms
            begun.set()
            await work.may_end.wait()

        async with working(broker):
            await gated.kiq()
            await begun.wait()
            try:
                yield work
            finally:
                work.may_end.set()


@asynccontextmanager
async def connecting(url: str, **changes: Any) -> AsyncIterator[Redis]:
    """A client on untouched settings; it has not connected yet."""
    redis = connect(RedisSettings(url=SecretStr(url), **changes), role="test")
    try:
        yield redis
    finally:
        await redis.aclose()


async def deadline(redis: Redis, work: Work) -> int:
    """When the one active job's lease ends, ms."""
    ((_, found),) = await redis.zrange(work.broker.queue._key(0, "active"), 0, -1, withscores=True)
    return int(found)


def impatient(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Cut redis-py's waits short; how long each was to be, s."""
    waits: list[float] = []

    def soon(seconds: float) -> asyncio.Timeout:
        waits.append(seconds)
        return asyncio.timeout(0.05)

    monkeypatch.setattr("redis.asyncio.connection.async_timeout", soon)
    return waits
