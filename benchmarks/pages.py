"""What looking costs: `python -m benchmarks.pages [--quick] [--json FILE]`, on servers of its own.

A million jobs of 10,000 tenants wait in a queue; a thousand senders are closed, ten thousand deliveries
parked and as many sends of unknown outcome. The pages and dispatch run as processes of their own.

The overview asks nobody when it is loaded: its process looks at the queues once a second and at the rows half
as often, whoever watches. Its *server time* is therefore what a page takes, asked for over HTTP until its
last byte, plus the CPU of Redis for one look at the queues, plus that of Postgres for one look at the rows.

A queue is drained by a worker's process for a while, in turns while the pages' process stands still, and
while it works and a browser has the overview open. The rates of such a pair are no steadier than the machine;
what looking takes of Redis is, and where the pages have a core of their own it is all that a drain can miss.

Ends with 0 also where a target is missed: figures of a busy machine are to be read, not obeyed.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median

import httpx

from benchmarks.scene import Scene, scene, shows
from services.admin.queues import Looker
from services.cli.bench.place import settings
from services.cli.bench.rows import Result, Row, Samples, at_least, at_most
from services.cli.bench.table import table
from services.cli.bench.workers import Order
from services.cli.demo.polling import until
from shared import log
from shared.jobs import WEBHOOKS
from shared.settings import EngineSettings, LogSettings
from shared.store import looking


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of each; in a round, `pairs` of drains go on for so many `seconds` each."""

    rounds: int
    jobs: int
    tenants: int
    requests: int
    looks: int
    pairs: int
    seconds: float


FULL = Sizes(rounds=5, jobs=1_000_000, tenants=10_000, requests=100, looks=200, pairs=6, seconds=1.5)
QUICK = Sizes(rounds=1, jobs=5_000, tenants=100, requests=5, looks=20, pairs=1, seconds=0.5)
FEW = 1_000
"""Jobs of a shallow queue, of which no look may cost less commands than of a deep one."""

ROWS = (
    Row("overview", "overview: the page, Redis and Postgres together", "ms", at_most(100)),
    Row("overview_page", "of it the page, to its last byte", "ms", at_most(100)),
    Row("overview_redis", "of it Redis' CPU, a look at the queues", "ms", at_most(100)),
    Row("overview_postgres", "of it Postgres' CPU, a look at the rows", "ms", at_most(100)),
    Row("overview_commands", "commands of a look, at 1,000,000 jobs against 1,000", "×", at_most(1)),
    Row("scrape", "a scrape of dispatch, to its last byte", "ms", at_most(50)),
    Row("drain_watched", "rate of a drain, the overview open against no pages", "×", at_least(0.97)),
    Row("looking", "what looking takes of Redis, a core's share", "%", at_most(0.5)),
)
"""What is measured; a page more is a row more, and a path in `PAGES`."""

PAGES = {"overview": "/"}
LOOK_EVERY = timedelta(seconds=1)  # the pages' default, with which they run


async def measure(folder: Path, sizes: Sizes) -> list[Result]:
    """Measure every row."""
    figures: dict[str, list[float]] = defaultdict(list)
    async with scene(folder, sizes.tenants) as there:
        await there.fill(min(FEW, sizes.jobs))
        few = await look_commands(there)
        await there.fill(sizes.jobs - min(FEW, sizes.jobs))
        await shows(there.pages, f"{sizes.jobs:,}")
        figures["overview_commands"].append(await look_commands(there) / few)
        for _ in range(sizes.rounds):
            for scenario in (pages, scrapes, drains):
                for name, found in (await scenario(there, sizes)).items():
                    figures[name] += found
    return [Result(row, tuple(figures[row.name])) for row in ROWS]


async def look_commands(there: Scene) -> int:
    """The commands of one look at the queues, while nobody else asks."""
    looker = _looker(there)
    async with there.without("admin", "dispatch"):
        await looker.look()  # Redis is told of the scripts
        before = await there.commands()
        await looker.look()
        return await there.commands() - before - 1  # but for the one that asked


async def pages(there: Scene, sizes: Sizes) -> Samples:
    """Every page, and the looks that the overview shows."""
    looker = _looker(there)

    async def glance() -> None:
        await there.database.run(looking.glance)

    async with there.without("admin", "dispatch"):
        redis = await _each(sizes.looks, looker.look, there.redis_ms)
        postgres = await _each(sizes.looks, glance, there.postgres_ms)
    took = {name: await asked(there.pages + path, sizes.requests) for name, path in PAGES.items()}
    return {
        "overview": [took["overview"] + redis + postgres],
        "overview_redis": [redis],
        "looking": [100 * redis / (LOOK_EVERY / timedelta(milliseconds=1))],
        "overview_postgres": [postgres],
        **{f"{name}_page": [ms] for name, ms in took.items()},
    }


async def scrapes(there: Scene, sizes: Sizes) -> Samples:
    """What Prometheus asks for."""
    await shows(there.metrics, "outreach_desired_workers")
    return {"scrape": [await asked(there.metrics, sizes.requests)]}


async def drains(there: Scene, sizes: Sizes) -> Samples:
    """Drains that are watched, each against one that is not; either goes first in turn."""
    found = []
    for number in range(sizes.pairs):
        rates = {}
        for watched in (True, False) if number % 2 else (False, True):
            async with there.watched() if watched else there.without("admin"):
                rates[watched] = await drain(there, sizes.seconds)
        found.append(rates[True] / rates[False])
    return {"drain_watched": found}


async def drain(there: Scene, seconds: float) -> float:
    """Jobs a second of a worker; what it took is put back."""
    worker, waiting = there.place.workers[0], (await there.load.queue.counts(0)).waiting

    async def begun() -> bool:
        return (await there.load.queue.counts(0)).waiting < waiting

    await worker.begin(Order(queue=WEBHOOKS.name, concurrency=100))
    await until(begun)
    await asyncio.sleep(seconds)
    report = await worker.stop()
    await there.fill(report.jobs)
    return report.jobs / (report.last - report.started)


async def asked(url: str, times: int) -> float:
    """What an answer takes, median ms of several, one after the other."""
    took = []
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        for _ in range(times):
            began = time.perf_counter()
            (await client.get(url)).raise_for_status()
            took.append((time.perf_counter() - began) * 1000)
    return median(took)


def _looker(there: Scene) -> Looker:
    return Looker.of(there.place.redis, settings(there.place.server.url), EngineSettings())


async def _each(
    times: int, work: Callable[[], Awaitable[object]], used: Callable[[], Awaitable[float]]
) -> float:
    """What a server uses for a piece of work, ms of its CPU."""
    await work()  # it learns the scripts, or plans the statements
    before = await used()
    for _ in range(times):
        await work()
    return (await used() - before) / times


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description="What looking costs.")
    parser.add_argument("--quick", action="store_true", help="few jobs: the figures mean nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as JSON")
    arguments = parser.parse_args()
    log.configure("bench", LogSettings(level="WARNING"))
    with tempfile.TemporaryDirectory(prefix="outreach-pages-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        folder.chmod(0o711)  # root's Postgres runs as another account
        results = asyncio.run(measure(folder, QUICK if arguments.quick else FULL))
    print(table(results, {}))
    if arguments.json:
        arguments.json.write_text(json.dumps([each.as_json({}) for each in results], indent=2))


if __name__ == "__main__":
    main()
