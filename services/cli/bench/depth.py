"""What depth costs: a million waiting jobs, a hundred thousand tenants, the longest scripts, fairness."""

from services.cli.bench.costs import per_job
from services.cli.bench.load import SIX_WINDOWS, Load, completed
from services.cli.bench.place import Place
from services.cli.bench.rows import Samples
from services.cli.bench.sizes import Sizes

BATCH = 50  # the engine's caps for one script
ENQUEUED = 100
TENANTS = 1_000


async def depths(place: Place, sizes: Sizes) -> Samples:
    """The cost of a job at steady depth, in turns with a shallow queue on the same server."""
    await place.empty()
    shallow = await _filled(place, "shallow", TENANTS, TENANTS)
    deep = await _filled(place, "deep", TENANTS, sizes.deep)
    wide = await _filled(place, "wide", sizes.wide, 2 * sizes.wide)
    found: dict[str, list[float]] = {}
    for suffix in ("", "_limits"):
        for _ in range(sizes.rounds):
            costs = [await _steady(place, load, sizes.jobs) for load in (shallow, deep, wide)]
            found.setdefault(f"deep{suffix}", []).append(costs[1] / costs[0])
            found.setdefault(f"wide{suffix}", []).append(costs[2] / costs[0])
        for load in (shallow, deep, wide):
            await load.queue.configure(0, [SIX_WINDOWS])
    return {**found, **await _longest(place, deep, sizes.calls)}


async def fairness(place: Place, sizes: Sizes) -> Samples:
    """Where a quiet tenant's one job stands in the next claim, behind so many of another's."""
    await place.empty()
    loud = await _filled(place, "loud", 1, sizes.deep)
    worst = 0
    for slots in (1, 10, BATCH):
        await loud.work_off(sizes.calls, slots)
        (job,) = loud.make(1, f"quiet-{slots}/email/sender")
        await loud.queue.enqueue([job])
        worst = max(worst, await _place_of(job.id, loud, slots))
    return {"fairness": [worst]}


async def _filled(place: Place, name: str, tenants: int, jobs: int) -> Load:
    load = Load(await place.queue(f"bench:{name}"), tenants)
    await load.enqueue(jobs)
    return load


async def _steady(place: Place, load: Load, jobs: int) -> float:
    """The server's CPU for each of so many jobs that come and go while the depth stays."""

    async def pass_through() -> None:
        await load.enqueue(jobs)
        await load.work_off(jobs, BATCH)

    return await per_job(place, jobs, pass_through())


async def _longest(place: Place, load: Load, calls: int) -> Samples:
    """The most CPU of any one script with its arguments at their caps, in ms."""
    enqueue = settle = 0.0
    jobs = (await load.queue.claim(0, BATCH)).jobs
    for _ in range(calls):
        arriving, before = load.make(ENQUEUED), await place.cpu_us()
        await load.queue.enqueue(arriving)
        enqueued = await place.cpu_us()
        _, claimed = await load.queue.settle(0, completed(jobs), BATCH)
        settle = max(settle, await place.cpu_us() - enqueued)
        enqueue = max(enqueue, enqueued - before)
        jobs = claimed.jobs if claimed else ()
    await load.queue.settle(0, completed(jobs))
    return {"script_enqueue": [enqueue / 1000], "script_settle": [settle / 1000]}


async def _place_of(job_id: str, load: Load, slots: int) -> int:
    """Which job of the claims to come it is, from 1."""
    passed = 0
    while True:
        jobs = (await load.queue.claim(0, slots)).jobs
        await load.queue.settle(0, completed(jobs))
        for n, job in enumerate(jobs, start=1):
            if job.id == job_id:
                return passed + n
        passed += len(jobs)
