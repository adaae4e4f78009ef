"""Scaling: how many workers each queue is worth, from how it stands; what autoscalers ask for."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from services.dispatch import in_force
from services.dispatch.configuration import Configuration
from shared.errors import NotMeasured
from shared.jobs import SENDS
from shared.queue.queue import Queue
from shared.queue.standing import TENANTS_AT_ONCE, WorkerSeen
from shared.queue.types import Measures, longest_wait
from shared.scaling import Bounds, Load, desired_workers
from shared.settings import LimitSettings, ScalingSettings
from shared.store.limit_rows import InForce

_UNSEEN = 1.0  # seconds that a job takes of which none was seen
_MOST_PAGES = 100  # of a partition's line


@dataclass(frozen=True, slots=True)
class Standing:
    """How a queue stands: what there is to do, who works, and how many workers it is worth.

    `pin` is how many an operator wants, whatever it is worth.
    """

    load: Load
    workers: int
    slots: int
    pin: int | None
    desired: int
    at: float


class Scaling:
    """Weighs the queues; `slots` is what a worker runs at once where none is seen, by queue."""

    def __init__(
        self,
        queues: Sequence[Queue],
        configuration: Configuration,
        lengths: LimitSettings,
        settings: ScalingSettings,
        believe: timedelta,
    ) -> None:
        self.queues = queues
        self._configuration = configuration
        self._lengths = lengths
        self._settings = settings
        self._believe = believe
        self._seconds: dict[str, float] = {}
        self._standing: dict[str, Standing] = {}

    async def weigh(self, queue: Queue, measured: Sequence[Measures], rows: InForce) -> Standing:
        """How a queue stands whose partitions were just measured, under what rows say; kept for `answer`."""
        workers = await queue.workers()
        bounds, pin = self._settings.of(queue.name), rows.pins.get(queue.name)
        load = await self._load(queue, measured, workers, bounds, rows)
        standing = Standing(
            load,
            workers=len(workers),
            slots=sum(worker.slots for worker in workers),
            pin=pin,
            desired=desired_workers(load, bounds, pin),
            at=time.monotonic(),
        )
        self._standing[queue.name] = standing
        return standing

    async def rows(self) -> InForce:
        """What is in force: limits, pauses, an operator's pins. Never guessed: it is read if it never was."""
        return await self._configuration.known()

    async def answer(self, queue: str) -> dict[str, Any]:
        """What `GET /internal/scaling/{queue}` says. Raises NotMeasured: nobody should act on what was."""
        standing = self._standing.get(queue)
        if standing is None or time.monotonic() - standing.at > self._believe.total_seconds():
            raise NotMeasured
        return {
            "queue": queue,
            "desiredWorkers": standing.desired,
            "pinnedWorkers": standing.pin,
            "workers": standing.workers,
            "runnable": standing.load.runnable,
            "active": standing.load.active,
            "oldestRunnableSeconds": round(standing.load.waited.total_seconds(), 3),
            "secondsPerJob": round(standing.load.seconds, 6),
            "slotsPerWorker": standing.load.slots,
            "jobsPerSecondLimit": None if standing.load.rate is None else round(standing.load.rate, 3),
        }

    async def _load(
        self,
        queue: Queue,
        measured: Sequence[Measures],
        workers: Sequence[WorkerSeen],
        bounds: Bounds,
        rows: InForce,
    ) -> Load:
        load = Load(
            runnable=0,
            active=sum(measures.counts.active for measures in measured),
            waited=timedelta(0),
            seconds=self._seconds_of(queue.name, workers),
            slots=max((worker.slots for worker in workers), default=queue.spec.concurrency),
        )
        if any(pause.tenant_id is None and pause.holds(queue.name) for pause in rows.pauses):
            return load
        runnable, rate = await self._runnable(queue, measured, load, bounds, rows)
        waited = longest_wait(measured) if runnable else None
        return replace(load, runnable=runnable, waited=waited or timedelta(0), rate=rate)

    def _seconds_of(self, queue: str, workers: Sequence[WorkerSeen]) -> float:
        """What a job takes, as the workers seen say; else as those that were seen last said."""
        known = [worker for worker in workers if worker.seconds]
        if known:
            slots = sum(worker.slots for worker in known)
            self._seconds[queue] = sum(worker.seconds * worker.slots for worker in known) / slots
        return self._seconds.get(queue, _UNSEEN)

    async def _runnable(
        self, queue: Queue, measured: Sequence[Measures], load: Load, bounds: Bounds, rows: InForce
    ) -> tuple[int, float | None]:
        """Jobs that could start now, and the rate that their limits allow.

        What is due counts as a job each: with no worker nobody brings it back, and it would be worth none.
        """
        limited = queue.spec.name == SENDS.name
        due = sum(measures.due for measures in measured)
        if not limited and not any(measures.parked for measures in measured):
            return sum(measures.counts.waiting for measures in measured) + due, None
        # So many jobs, if limits release them, are worth the most workers there may be.
        enough = bounds.most * load.slots * bounds.drain.total_seconds() / load.seconds
        limits = rows if limited else None
        counts = [
            await self._walk(queue, partition, measures, limits, enough)
            for partition, measures in enumerate(measured)
        ]
        rate = (sum(released for _, released in counts) + due) / bounds.drain.total_seconds()
        return round(sum(jobs for jobs, _ in counts)) + due, rate if limited else None

    async def _walk(
        self, queue: Queue, partition: int, measures: Measures, limits: InForce | None, enough: float
    ) -> tuple[float, float]:
        """The runnable jobs of a partition, and how many of them its limits release within the drain.

        Those seen stand for the rest of the line where it is longer than makes a difference.
        """
        jobs = released = pages = 0
        whole = 1.0
        lengths, drain = self._lengths, self._settings.drain
        async for line in queue.runnable(partition):
            jobs += sum(count for _, count in line.lanes)
            if limits is not None:
                released += in_force.releasable(limits, (lane for lane, _ in line.lanes), lengths, drain)
            pages += 1
            if pages == _MOST_PAGES or (jobs >= enough and (released >= enough or limits is None)):
                whole = max(1.0, line.tenants / (pages * TENANTS_AT_ONCE))
                break
        return min(jobs * whole, measures.counts.waiting), released * whole
