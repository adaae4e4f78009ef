"""Gauges: what only somebody who looks at whole queues can measure."""

from collections.abc import Sequence
from dataclasses import asdict

from services.dispatch.configuration import Place
from shared.metrics import Metrics
from shared.store import sweeping
from shared.store.database import Database


class Gauges:
    """Depth by state, refusals by scope, and sends unknown, as of the last step."""

    def __init__(self, database: Database, places: Sequence[Place], metrics: Metrics) -> None:
        self._database = database
        self._places = places
        self._metrics = metrics
        self._refused: dict[tuple[Place, str], int] = {}

    async def step(self) -> None:
        """Measure."""
        self._metrics.unknown.set(await self._database.run(sweeping.count_unknown))
        depths: dict[tuple[str, str], int] = {}
        for place in self._places:
            measures = await place.queue.measure(place.partition)
            for state, count in asdict(measures.counts).items():
                key = place.queue.name, state
                depths[key] = depths.get(key, 0) + count
            for scope, times in measures.refusals.items():
                self._count(place, scope, times)
        for (queue, state), depth in depths.items():
            self._metrics.depth.labels(queue, state).set(depth)

    def _count(self, place: Place, scope: str, times: int) -> None:
        before = self._refused.get((place, scope), 0)
        # Fewer than before: Redis forgot, and counts from nothing.
        new = times - before if times >= before else times
        self._metrics.refusals.labels(place.queue.name, scope).inc(new)
        self._refused[place, scope] = times
