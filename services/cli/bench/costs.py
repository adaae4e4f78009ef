"""What the server pays per job: its CPU from enqueue to removal, and what limits add while they bind."""

from collections.abc import Awaitable

from services.cli.bench.load import SIX_WINDOWS, Load
from services.cli.bench.place import Place
from services.cli.bench.rows import Samples
from services.cli.bench.sizes import Sizes


async def server_costs(place: Place, sizes: Sizes) -> Samples:
    """CPU per job, enqueued in scripts of 100, then claimed and settled in batches."""
    found: dict[str, list[float]] = {}
    for tenants, batch in ((1, 50), (1000, 50), (1000, 10), (1000, 1)):
        jobs = sizes.singles if batch == 1 else sizes.jobs
        for suffix in ("", "_limits"):
            await place.empty()
            queue = await place.queue("bench:cost")
            if suffix:
                await queue.configure(0, [SIX_WINDOWS])
            cost = await per_job(place, jobs, _through(Load(queue, tenants), jobs, batch))
            found[f"redis_{tenants}_{batch}{suffix}"] = [cost]
    return found


async def per_job(place: Place, jobs: int, work: Awaitable[None]) -> float:
    """The server's CPU for the work, in µs for each of so many jobs."""
    before = await place.cpu_us()
    await work
    return (await place.cpu_us() - before) / jobs


async def _through(load: Load, jobs: int, batch: int) -> None:
    await load.enqueue(jobs)
    await load.work_off(jobs, batch)
