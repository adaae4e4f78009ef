"""What limits cost while they bind: each job is let out by an unpark, and followed by a park."""

from datetime import timedelta

from services.cli.bench.limits import BATCH, Clock, defaults, email
from services.cli.bench.load import Load, completed
from services.cli.bench.place import Place
from services.cli.bench.rows import Samples
from services.cli.bench.sizes import Sizes
from shared.errors import BenchmarkFailed

MS = timedelta(milliseconds=1)
BACKLOG = 3  # jobs of each tenant that wait all the time


class Saturation:
    """Groups of tenants in turn, each group due when it comes, for one job each.

    The minute's limit is spread evenly over its minute: so a tenant's next charge leaves its window exactly
    when its turn comes.
    """

    def __init__(self, load: Load, clock: Clock, tenants: int) -> None:
        self._load = load
        self._clock = clock
        self._group = min(BATCH, tenants)
        minute = defaults()[0]
        self._spacing_ms = minute.length // MS // minute.limit * self._group // tenants
        self.turns = tenants // self._group  # of all groups once
        self.full = self.turns * minute.limit  # until every window is full

    async def run(self, turns: int) -> int:
        """Enqueue and complete a job of each tenant of a group, group after group; the jobs completed."""
        done = 0
        for _ in range(turns):
            self._clock.now += self._spacing_ms
            await self._load.enqueue(self._group)
            more = True
            while more:
                claimed = await self._load.queue.claim(0, self._group)
                await self._load.queue.settle(0, completed(claimed.jobs))
                done, more = done + len(claimed.jobs), claimed.more
        return done


async def parking(place: Place, sizes: Sizes) -> Samples:
    """The cost of a job in steady saturation against one that no limit concerns."""
    ratios = []
    for _ in range(sizes.rounds):
        free = await _cost(place, sizes, limited=False)
        ratios.append(await _cost(place, sizes, limited=True) / free)
    return {"parking": ratios}


async def _cost(place: Place, sizes: Sizes, *, limited: bool) -> float:
    """The server's CPU per job, in µs."""
    await place.empty()
    clock = Clock()
    load = Load(await place.queue("bench:parking", clock), sizes.limited_tenants)
    if limited:
        await load.queue.configure(0, [email(*defaults())])
    saturation = Saturation(load, clock, sizes.limited_tenants)
    await saturation.run(saturation.full)
    await load.enqueue(BACKLOG * sizes.limited_tenants)
    await saturation.run(saturation.turns)
    turns = sizes.jobs // BATCH
    before = await place.cpu_us()
    done = await saturation.run(turns)
    cost = (await place.cpu_us() - before) / done
    refused = (await load.queue.measure(0)).refusals
    if bool(refused) is not limited:
        raise BenchmarkFailed(f"Jobs should {'' if limited else 'not '}have been limited: {refused}.")
    return cost
