"""Brokers and workers on a test's own server, with short leases."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from pydantic import SecretStr

from shared.broker import JobBroker, Worker
from shared.jobs import QueueSpec
from shared.queue.types import Seen
from shared.settings import EngineSettings, RedisSettings

SOON = timedelta(milliseconds=100)
SPEC = QueueSpec("tests:jobs", concurrency=4, priority=1, backoff=timedelta(milliseconds=1))
PATIENCE = 20.0  # seconds, for what should take milliseconds


def redis_settings(url: str, **changes: Any) -> RedisSettings:
    return RedisSettings(url=SecretStr(url), **changes)


def engine_settings(**changes: Any) -> EngineSettings:
    # Short, but longer than a busy machine's pauses.
    short = {"lease": SOON * 50, "renew": SOON * 10, "reap_every": SOON}
    return EngineSettings(**(short | changes))


@asynccontextmanager
async def sending(
    url: str, spec: QueueSpec = SPEC, *, ids: Any = "random", redis: Any = None, **engine: Any
) -> AsyncIterator[JobBroker]:
    """A broker that is closed at the end."""
    broker = JobBroker(redis or redis_settings(url), engine_settings(**engine), spec, ids=ids)
    try:
        yield broker
    finally:
        await broker.shutdown()


@asynccontextmanager
async def working(broker: JobBroker, grace: timedelta = timedelta(seconds=10)) -> AsyncIterator[Worker]:
    """A worker that drains at the end."""
    async with Worker(broker, grace) as worker:
        yield worker


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition holds; a test that waits in vain fails."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110  # what is waited for happens on a server
            await asyncio.sleep(0.01)


async def seen(broker: JobBroker, job_id: str, partition: int = 0) -> Seen:
    """What the engine knows of a job."""
    (found,) = await broker.queue.look_up(partition, [job_id])
    return found


async def ended(broker: JobBroker, job_id: str, partition: int = 0) -> Seen:
    """The job once it is in an end state."""
    last = await seen(broker, job_id, partition)

    async def over() -> bool:
        nonlocal last
        last = await seen(broker, job_id, partition)
        return last.state in ("completed", "failed")

    await until(over)
    return last
