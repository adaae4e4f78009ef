"""Jobs under our lease, each with the task that works on it."""

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import structlog

from shared.broker.context import JobContext
from shared.queue.queue import Queue

log = structlog.get_logger()

_AT_ONCE = 100


class Stop(StrEnum):
    """Why a handler was stopped."""

    TIMEOUT = "timeout"
    LEASE_LOST = "lease_lost"
    SHUTDOWN = "shutdown"
    CANCELLED = "cancelled"


class Held:
    """A job under our lease, and the task that works on it."""

    __slots__ = ("cancelled", "context", "lost", "partition", "stopped", "task")

    def __init__(self, context: JobContext, partition: int) -> None:
        self.context = context
        self.partition = partition
        self.lost = self.cancelled = False
        self.stopped: Stop | None = None
        self.task: asyncio.Task[Any] | None = None

    def stop(self, why: Stop) -> None:
        """Cancel the handler; past its point of no return only a shutdown does."""
        if self.task is None or (self.context.committed and why is not Stop.SHUTDOWN):
            return
        self.stopped = self.stopped or why
        self.task.cancel()


async def renew(queue: Queue, held: Sequence[Held]) -> None:
    """Hold the jobs for another lease, and stop the handlers of those that are lost or were cancelled."""
    for partition in range(queue.partitions):
        here = [each for each in held if each.partition == partition and not each.lost]
        ours = {each.context.id: each for each in sorted(here, key=_claimed_at)}
        for each in here:
            # Claimed again by ourselves: asked together, the two would share one answer.
            if ours[each.context.id] is not each:
                _lose(each)
        kept = list(ours.values())
        for at in range(0, len(kept), _AT_ONCE):
            batch = kept[at : at + _AT_ONCE]
            lost, cancelled = await queue.extend(partition, [each.context.job for each in batch])
            for each in batch:
                if each.context.id in lost:
                    _lose(each)
                elif each.context.id in cancelled:
                    _cancel(each)


def _claimed_at(held: Held) -> float:
    return held.context.claimed_at


def _lose(held: Held) -> None:
    # One that ended while we asked was settled, and is no loss.
    if held.task is not None and not held.task.done():
        held.lost = True
        log.warning("lease.lost", job_id=held.context.id, committed=held.context.committed)
        held.stop(Stop.LEASE_LOST)


def _cancel(held: Held) -> None:
    # Told at each renewal, stopped once: a handler may take its time to tidy up.
    if held.cancelled or held.task is None or held.task.done():
        return
    held.cancelled = True
    log.info("job.cancelled", job_id=held.context.id, committed=held.context.committed)
    held.stop(Stop.CANCELLED)
