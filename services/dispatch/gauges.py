"""Gauges: what only somebody who looks at whole queues and tables can measure, at a pace of its own.

A scrape reads what was measured last; so however many scrape, the servers are asked equally little.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta

from services.dispatch.scaling import Scaling, Standing
from shared.loop import AWAY
from shared.metrics import Metrics
from shared.queue.types import Counts, Measures
from shared.store import gauging, sweeping
from shared.store.database import AsyncConnection, Database
from shared.store.limit_rows import InForce

_LATE = timedelta(minutes=1)
_KINDS = ("send", "timeout")
_REASONS = ("unauthorized", "rate_limited", "ambiguous")

Place = tuple[str, int]
"""A queue and a partition of it."""


class QueueGauges:
    """How the queues stand, what was refused, who works, and how many workers there should be."""

    def __init__(self, scaling: Scaling, metrics: Metrics) -> None:
        self._scaling = scaling
        self._metrics = metrics
        self._refused: dict[Place, Mapping[str, int]] = {}
        self._shown = (
            metrics.depth,
            metrics.runnable,
            metrics.oldest,
            metrics.parked,
            metrics.workers,
            metrics.slots,
            metrics.desired_workers,
        )

    async def step(self) -> None:
        """Measure in Redis. While it is away nothing is shown: what was is no answer to what is."""
        rows = await self._scaling.rows()
        try:
            await self._measure(rows)
        except AWAY:
            self._metrics.server_up.labels("redis").set(0)
            for gauge in self._shown:
                gauge.clear()
            raise
        self._metrics.server_up.labels("redis").set(1)

    async def _measure(self, rows: InForce) -> None:
        for queue in self._scaling.queues:
            measured = [await queue.measure(partition) for partition in range(queue.partitions)]
            self._show(queue.name, measured)
            for partition, measures in enumerate(measured):
                self._count((queue.name, partition), measures.refusals)
            self._tell(queue.name, await self._scaling.weigh(queue, measured, rows))

    def _tell(self, queue: str, standing: Standing) -> None:
        self._metrics.runnable.labels(queue).set(standing.load.runnable)
        self._metrics.oldest.labels(queue).set(standing.load.waited.total_seconds())
        self._metrics.workers.labels(queue).set(standing.workers)
        self._metrics.slots.labels(queue).set(standing.slots)
        self._metrics.desired_workers.labels(queue).set(standing.desired)

    def _show(self, queue: str, measured: list[Measures]) -> None:
        for state, depth in asdict(Counts.total(measures.counts for measures in measured)).items():
            self._metrics.depth.labels(queue, state).set(depth)
        self._metrics.parked.labels(queue).set(sum(measures.parked for measures in measured))

    def _count(self, place: Place, refusals: Mapping[str, int]) -> None:
        before = self._refused.get(place, {})
        for scope, times in refusals.items():
            # Fewer than before: Redis forgot, and counts from nothing.
            known = before.get(scope, 0)
            self._metrics.refusals.labels(place[0], scope).inc(times - known if times >= known else times)
        self._refused[place] = refusals


class RowGauges:
    """What rows tell: sends unknown, actions overdue, deliveries unprocessed, senders closed, days ahead."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._shown = (
            metrics.overdue,
            metrics.overdue_seconds,
            metrics.unprocessed,
            metrics.unprocessed_seconds,
            metrics.senders_closed,
            metrics.partitions_ahead,
        )

    async def step(self) -> None:
        """Count in Postgres. While it is away nothing is shown."""
        try:
            for work in (self._actions, self._deliveries, self._others):
                await self._database.run(work)
        except AWAY:
            self._metrics.server_up.labels("postgres").set(0)
            self._metrics.unknown.set(math.nan)
            for gauge in self._shown:
                gauge.clear()
            raise
        self._metrics.server_up.labels("postgres").set(1)

    async def _actions(self, tx: AsyncConnection) -> None:
        self._metrics.unknown.set(await sweeping.count_unknown(tx))
        for kind in _KINDS:
            late = await gauging.overdue(tx, kind, _LATE)
            self._metrics.overdue.labels(kind).set(late.rows)
            self._metrics.overdue_seconds.labels(kind).set(late.seconds)

    async def _deliveries(self, tx: AsyncConnection) -> None:
        for state, waiting in (await gauging.deliveries(tx)).items():
            self._metrics.unprocessed.labels(state).set(waiting.rows)
            self._metrics.unprocessed_seconds.labels(state).set(waiting.seconds)

    async def _others(self, tx: AsyncConnection) -> None:
        closed = await gauging.closed_senders(tx)
        for reason in _REASONS:
            self._metrics.senders_closed.labels(reason).set(closed.get(reason, 0))
        for table, days in (await gauging.partitions_ahead(tx)).items():
            self._metrics.partitions_ahead.labels(table).set(days)
