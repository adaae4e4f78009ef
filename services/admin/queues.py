"""How the queues stand: what Redis is asked for, a bounded share of work a partition."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from redis.asyncio import Redis

from services.admin.words import duration
from shared.jobs import QUEUES
from shared.queue.queue import Queue
from shared.queue.standing import WorkerSeen
from shared.queue.types import Counts, longest_wait
from shared.settings import EngineSettings, RedisSettings

RATE_OVER = timedelta(seconds=10)
_KEPT = 300
"""Samples of a chart: five minutes at one a second."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A point of the charts: jobs ended a second, completed and failed, and the wait of the next in line."""

    ended: float
    wait: timedelta


@dataclass(frozen=True, slots=True)
class QueueView:
    """One queue. `wait`: how long the longest waiting of those next in line has waited, if any waits."""

    name: str
    counts: Counts
    parked: int
    closed: tuple[int, ...]
    workers: tuple[WorkerSeen, ...]
    wait: timedelta | None
    samples: tuple[Sample, ...]

    @property
    def line(self) -> str:
        """Who is next, in a sentence. What waits may all be in lanes that are parked or paused."""
        if self.wait is not None:
            return f"The next in line has waited for {duration(self.wait)}."
        return "What is in line may not start yet." if self.counts.waiting else "Nobody is in line."


@dataclass
class Looker:
    """Looks at every partition of the queues, and remembers a while of it for the charts."""

    queues: Sequence[Queue]
    history: dict[str, deque[Sample]] = field(default_factory=dict)

    @classmethod
    def of(cls, redis: Redis, settings: RedisSettings, engine: EngineSettings) -> "Looker":
        """At the three queues."""
        place = {"prefix": settings.prefix, "partitions": engine.partitions}
        return cls([Queue(redis, spec, **place) for spec in QUEUES.values()])

    @property
    def named(self) -> dict[str, Queue]:
        """The queues by name."""
        return {queue.name: queue for queue in self.queues}

    @property
    def places(self) -> int:
        """How many partitions a look visits."""
        return sum(queue.partitions for queue in self.queues)

    async def look(self) -> list[QueueView]:
        """How every queue stands."""
        return [await self._queue(queue) for queue in self.queues]

    async def _queue(self, queue: Queue) -> QueueView:
        numbers = range(queue.partitions)
        measured = await asyncio.gather(*(queue.measure(number) for number in numbers))
        ended = await asyncio.gather(*(queue.ended(number) for number in numbers))
        opened = await asyncio.gather(*(queue.is_open(number) for number in numbers))
        workers = await queue.workers()
        wait = longest_wait(measured)
        failed = sum(_rate(each.failed, each.now_ms, queue.spec.keep_failed) for each in ended)
        completed = sum(_rate(each.completed, each.now_ms, queue.spec.keep_completed) for each in ended)
        history = self.history.setdefault(queue.name, deque(maxlen=_KEPT))
        history.append(Sample(completed + failed, wait or timedelta()))
        return QueueView(
            queue.name,
            Counts.total(each.counts for each in measured),
            sum(each.parked for each in measured),
            tuple(number for number in numbers if not opened[number]),
            tuple(workers),
            wait,
            tuple(history),
        )


def _rate(ended: Sequence[int], now_ms: int, kept: int) -> float:
    """Jobs a second, lately. Where more ended than are kept, those tell: in how short a time they did."""
    over = RATE_OVER / timedelta(milliseconds=1)
    lately = [at for at in ended if at > now_ms - over]
    if len(lately) == len(ended) and len(ended) >= min(kept, 100):
        over = max(now_ms - min(lately), 1)
    return len(lately) / over * 1000
