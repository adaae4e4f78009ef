"""Worker processes as the benchmark sees them."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from pydantic import BaseModel, ConfigDict

from shared.errors import BenchmarkFailed

READY = "ready"
PATIENCE = timedelta(minutes=5)


class Order(BaseModel):
    """What a worker process is to work on, and how long its handlers sleep."""

    model_config = ConfigDict(frozen=True)

    queue: str
    concurrency: int
    sleep: timedelta = timedelta(0)


class Report(BaseModel):
    """What a worker process measured; moments by the monotonic clock, which processes share."""

    model_config = ConfigDict(frozen=True)

    jobs: int
    started: float
    last: float
    cpu_us: float
    late_us: list[int]


class WorkerProcess:
    """A process that works as it is told."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def ready(self) -> None:
        """Wait until it takes orders."""
        await self._answer()

    async def begin(self, order: Order) -> None:
        """Let it work until it is stopped."""
        await self._tell(order.model_dump_json())

    async def stop(self) -> Report:
        """Let it drain; what it measured."""
        await self._tell("stop")
        return Report.model_validate_json(await self._answer())

    async def end(self) -> None:
        """End it; it has nothing to lose."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def _tell(self, line: str) -> None:
        assert self._process.stdin is not None  # it was started with a pipe
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()

    async def _answer(self) -> bytes:
        assert self._process.stdout is not None  # as above
        async with asyncio.timeout(PATIENCE.total_seconds()):
            line = await self._process.stdout.readline()
        if not line:
            raise BenchmarkFailed("A worker process ended early; its last words are on stderr.")
        return line


@asynccontextmanager
async def worker_process(url: str) -> AsyncIterator[WorkerProcess]:
    """Start a process on the server at `url`; it ends with the context.

    Raises:
        BenchmarkFailed: it did not start.
    """
    worker = WorkerProcess(
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.cli.bench.worker", url, stdin=PIPE, stdout=PIPE, limit=1 << 20
        )
    )
    try:
        await worker.ready()
        yield worker
    finally:
        await worker.end()
