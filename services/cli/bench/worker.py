"""A worker process of the benchmark: the real receiver on handlers that do nothing, or sleep.

It says that it is ready; then it reads an `Order`, works until the next line, prints a `Report`, and so on.
"""

import asyncio
import sys
import time
from datetime import timedelta

import typer
import uvloop

from services.cli.bench.load import wall_us
from services.cli.bench.place import settings
from services.cli.bench.workers import READY, Order, Report
from shared import log
from shared.broker import JobBroker, Worker
from shared.jobs import QueueSpec, WebhookJob
from shared.settings import EngineSettings, LogSettings

GRACE = timedelta(seconds=10)


class Handler:
    """Counts what it is given, and notes how late a job that asks for it began."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.jobs = 0
        self.last = 0.0
        self.late_us: list[int] = []

    async def __call__(self, job: WebhookJob) -> None:
        """Handle a job: sleep if so told."""
        late_from, _ = job.payload
        if late_from:
            self.late_us.append(wall_us() - late_from)
        if self._seconds:
            await asyncio.sleep(self._seconds)
        self.jobs += 1
        self.last = time.monotonic()


async def serve(url: str) -> None:
    """Carry out orders until there are no more."""
    typer.echo(READY)
    while line := await _line():
        typer.echo((await work(url, Order.model_validate_json(line))).model_dump_json())


async def work(url: str, order: Order) -> Report:
    """Work on a queue until the next line."""
    handler = Handler(order.sleep.total_seconds())
    broker = JobBroker(settings(url), EngineSettings(), QueueSpec(order.queue, order.concurrency, priority=1))

    async def webhook(job: WebhookJob) -> None:
        await handler(job)

    broker.register_task(webhook, "webhook")
    started, cpu = time.monotonic(), time.process_time()
    async with Worker(broker, GRACE):
        await _line()
        cpu = time.process_time() - cpu
    return Report(
        jobs=handler.jobs,
        started=started,
        last=handler.last,
        cpu_us=cpu * 1e6,
        late_us=handler.late_us,
    )


async def _line() -> str:
    return await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    log.configure("bench", LogSettings(level="WARNING"))
    uvloop.run(serve(sys.argv[1]))
