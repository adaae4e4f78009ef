"""How fast one producer enqueues: one by one, concurrently, in bulk."""

import asyncio
import time

from services.cli.bench.load import AT_ONCE, Load
from services.cli.bench.place import Place
from services.cli.bench.rows import Samples
from services.cli.bench.sizes import Sizes

PRODUCERS = 50
TENANTS = 100


async def enqueues(place: Place, sizes: Sizes) -> Samples:
    """Jobs a second; making the jobs is part of it, as in the peer's client."""
    await place.empty()
    load = Load(await place.queue("bench:enqueue"), TENANTS)
    start = time.monotonic()
    for _ in range(sizes.singles):
        await load.queue.enqueue(load.make(1))
    one = time.monotonic()
    await asyncio.gather(*(_producer(load, sizes.jobs // PRODUCERS) for _ in range(PRODUCERS)))
    concurrent = time.monotonic()
    for _ in range(0, sizes.jobs, AT_ONCE):
        await load.queue.enqueue(load.make(min(AT_ONCE, sizes.jobs)))
    bulk = time.monotonic()
    return {
        "enqueue_1": [sizes.singles / (one - start)],
        "enqueue_50": [sizes.jobs / (concurrent - one)],
        "enqueue_bulk": [sizes.jobs / (bulk - concurrent)],
    }


async def _producer(load: Load, count: int) -> None:
    for _ in range(count):
        await load.queue.enqueue(load.make(1))
