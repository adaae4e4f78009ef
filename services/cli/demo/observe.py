"""Looking on while the demo runs: how far everybody is, and how often a limit said no."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from redis.asyncio import Redis

from shared.jobs import QUEUES
from shared.queue.queue import Queue
from shared.queue.types import Counts
from shared.store import books
from shared.store.database import Database

EVERY = timedelta(seconds=0.5)

_WINDOWS = ("tenant", "sender")
"""The scopes of refusals by a window, rather than a cap or a closure."""


@dataclass(frozen=True, slots=True)
class Glance:
    """How things stand: a row for each tenant, and the jobs of all queues by state."""

    tenants: Sequence[books.Progress]
    jobs: Counts

    @property
    def enrolled(self) -> int:
        """Contacts in a campaign, now or before."""
        return sum(row.contacts for row in self.tenants)

    @property
    def exited(self) -> int:
        """Contacts that left theirs."""
        return sum(row.exited for row in self.tenants)

    @property
    def undone(self) -> int:
        """Rows that are in no end state, deliveries among them."""
        return sum(row.waiting + row.in_doubt + row.timeouts + row.unprocessed for row in self.tenants)


class Observer:
    """Reads figures that a flush makes Redis forget often enough to miss little of them."""

    def __init__(self, database: Database, redis: Redis, prefix: str, partitions: int) -> None:
        self._database = database
        self._queues = [Queue(redis, spec, prefix=prefix, partitions=partitions) for spec in QUEUES.values()]
        self._seen: dict[tuple[str, int], Mapping[str, int]] = {}
        self._refusals: Counter[str] = Counter()

    @property
    def refusals(self) -> int:
        """How often a window left a job waiting, whatever Redis still knows of it."""
        return sum(self._refusals[scope] for scope in _WINDOWS)

    async def jobs(self) -> Counts:
        """Jobs of all queues by state, now."""
        found: list[Counts] = []
        for queue in self._queues:
            for partition in range(queue.partitions):
                measures = await queue.measure(partition)
                self._note(queue.name, partition, measures.refusals)
                found.append(measures.counts)
        return Counts.total(found)

    async def glance(self) -> Glance:
        """How things stand now."""
        return Glance(await self._database.run(books.progress), await self.jobs())

    def _note(self, queue: str, partition: int, refusals: Mapping[str, int]) -> None:
        before = self._seen.get((queue, partition), {})
        self._seen[queue, partition] = refusals
        for scope, times in refusals.items():
            known = before.get(scope, 0)
            # Fewer than before: Redis forgot, and counts anew.
            self._refusals[scope] += times - known if times >= known else times
