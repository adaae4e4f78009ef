"""Where the engine is measured: a server of its own, and what that server used."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from redis.asyncio import Redis

from services.cli.bench.workers import WorkerProcess, worker_process
from shared.jobs import QueueSpec
from shared.queue.queue import Queue
from shared.redis.client import connect
from shared.redis.embedded import EmbeddedValkey
from shared.settings import RedisSettings

PREFIX = "bench"


@dataclass(frozen=True, slots=True)
class Place:
    """A server that nobody else uses, a connection to it, and two processes to work on it."""

    server: EmbeddedValkey
    redis: Redis
    workers: tuple[WorkerProcess, WorkerProcess]

    async def empty(self) -> None:
        """Let the server forget everything but its scripts, and free the memory before it answers."""
        flush: Callable[..., Awaitable[object]] = self.redis.execute_command
        await flush("FLUSHALL", "SYNC")

    async def queue(self, name: str, clock: Callable[[], int] | None = None) -> Queue:
        """A plain queue of one partition, open."""
        queue = Queue(self.redis, QueueSpec(name, concurrency=10, priority=1), prefix=PREFIX, clock=clock)
        await queue.open_plain(0)
        return queue

    async def cpu_us(self) -> float:
        """The CPU time that the server has used: parsing, network, scripts and its own chores."""
        used = await self.redis.info("cpu")
        return float(used["used_cpu_user"] + used["used_cpu_sys"]) * 1e6

    async def bytes(self) -> int:
        """The memory that the server has allocated."""
        return int((await self.redis.info("memory"))["used_memory"])


def settings(url: str) -> RedisSettings:
    """How the benchmark's processes connect."""
    return RedisSettings(url=SecretStr(url), prefix=PREFIX)


@asynccontextmanager
async def private_place() -> AsyncIterator[Place]:
    """Start a server in a temporary folder; it ends with the context.

    Raises:
        SettingsError: there is no embedded Valkey here.
        BenchmarkFailed: a worker process did not start.
    """
    with tempfile.TemporaryDirectory(prefix="outreach-bench-") as folder:
        async with (
            EmbeddedValkey(Path(folder)) as server,
            connect(settings(server.url), role="bench") as redis,
            worker_process(server.url) as first,
            worker_process(server.url) as second,
        ):
            yield Place(server, redis, (first, second))
