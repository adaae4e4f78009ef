"""The rows that need worker processes: drains, the worker's CPU, latency, lateness."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from services.cli.bench.load import SIX_WINDOWS, Load, lane_of, payload, wall_us
from services.cli.bench.place import Place
from services.cli.bench.rows import Samples
from services.cli.bench.sizes import Sizes
from services.cli.bench.workers import PATIENCE, Order, Report
from shared.queue.queue import Queue
from shared.queue.types import NewJob

TENANTS = 100
POLL = timedelta(milliseconds=50)
PACE = timedelta(milliseconds=20)
SLEEP = timedelta(milliseconds=5)
SHARES = {"p50": 0.5, "p99": 0.99}
US = timedelta(microseconds=1)


async def drains(place: Place, sizes: Sizes) -> Samples:
    """Jobs a second, and the worker's CPU."""
    hundred = await _drain(place, sizes.jobs, 100)
    limited = await _drain(place, sizes.jobs, 100, limits=True)
    ten = await _drain(place, sizes.jobs, 10)
    return {
        "drain_100": [_rate(hundred)],
        "drain_100_limits": [_rate(limited)],
        "drain_10": [_rate(ten)],
        "worker_100": [hundred[0].cpu_us / sizes.jobs],
        "worker_10": [ten[0].cpu_us / sizes.jobs],
    }


async def two_processes(place: Place, sizes: Sizes) -> Samples:
    """What a second process adds where handlers take 5 ms."""
    one = await _drain(place, sizes.jobs // 4, 10, sleep=SLEEP)
    two = await _drain(place, sizes.jobs // 2, 10, sleep=SLEEP, processes=2)
    return {"two_processes": [_rate(two) / _rate(one)]}


async def latency(place: Place, sizes: Sizes) -> Samples:
    """From enqueue to handler at 50 jobs a second."""
    await place.empty()
    queue = await place.queue("bench:latency")
    worker = place.workers[0]
    await worker.begin(Order(queue=queue.name, concurrency=10))
    loop = asyncio.get_running_loop()
    start = loop.time()
    for n in range(sizes.paced):
        await asyncio.sleep(start + n * PACE.total_seconds() - loop.time())
        await queue.enqueue([NewJob(f"paced-{n}", lane_of(n % TENANTS), payload(wall_us()))])
    await _drained(queue)
    return _percentiles("latency", await worker.stop())


async def lateness(place: Place, sizes: Sizes) -> Samples:
    """From when a delayed job is due to its handler."""
    await place.empty()
    queue = await place.queue("bench:delayed")
    worker = place.workers[0]
    await worker.begin(Order(queue=queue.name, concurrency=10))
    delays = [timedelta(milliseconds=200 + 10 * n) for n in range(sizes.delayed)]
    now = wall_us()
    await queue.enqueue(
        [NewJob(f"delayed-{delay}", lane_of(0), payload(now + delay // US), delay=delay) for delay in delays]
    )
    await _drained(queue)
    return _percentiles("lateness", await worker.stop())


async def _drain(
    place: Place,
    jobs: int,
    concurrency: int,
    *,
    limits: bool = False,
    sleep: timedelta = timedelta(0),
    processes: int = 1,
) -> list[Report]:
    await place.empty()
    queue = await place.queue("bench:drain")
    if limits:
        await queue.configure(0, [SIX_WINDOWS])
    await Load(queue, TENANTS).enqueue(jobs)
    workers = place.workers[:processes]
    for worker in workers:
        await worker.begin(Order(queue=queue.name, concurrency=concurrency, sleep=sleep))
    await _drained(queue)
    return [await worker.stop() for worker in workers]


async def _drained(queue: Queue) -> None:
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while True:
            counts = await queue.counts(0)
            if not counts.waiting and not counts.active and not counts.delayed:
                return
            await asyncio.sleep(POLL.total_seconds())


def _rate(reports: Sequence[Report]) -> float:
    seconds = max(each.last for each in reports) - min(each.started for each in reports)
    return sum(each.jobs for each in reports) / seconds


def _percentiles(name: str, report: Report) -> Samples:
    late = sorted(report.late_us)
    return {f"{name}_{label}": [late[int(share * len(late))] / 1000] for label, share in SHARES.items()}
