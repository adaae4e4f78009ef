"""Jobs by hand: one after the other, in the foreground, and though their queue is paused.

It is the emergency path: a person looks on, and says when it is enough. All else is as a worker does it: the
claim is charged and fenced, the lease is renewed, the handler is the service's.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from shared.broker.books import Books
from shared.broker.broker import JobBroker
from shared.broker.context import JobContext
from shared.broker.held import Held, Stop, renew
from shared.broker.receiver import JobReceiver
from shared.broker.reports import Reports
from shared.broker.running import Runner
from shared.errors import QueueClosed
from shared.loop import Loop
from shared.queue.types import ClaimedJob, ClaimStatus, Seen, Settled

_LOOK = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Done:
    """A job that ended: how it ended, why, and how long it took, in seconds."""

    id: str
    attempt: int
    outcome: str
    reason: str
    seconds: float


class ByHand:
    """Works on the jobs of a broker's queue, as many as are asked for."""

    def __init__(self, broker: JobBroker) -> None:
        self._queue = broker.queue
        self._books = Books(broker.spec.name, broker.metrics)
        self._runner = Runner(broker.spec, self._books, JobReceiver(broker, 1, run_startup=False).work)
        self._held: set[Held] = set()
        self._reports = Reports(broker.queue, self._held)
        self._enough = False
        self._chores = (
            Loop("renewal", self._renew, every=broker.spec.renew),
            Loop("reports", self._reports.write_running, every=_LOOK),
        )

    async def work(self, most: int, tell: Callable[[Done], Awaitable[None]]) -> int:
        """Work on at most so many jobs, telling of each when it has ended; how many.

        The partitions take turns, and it ends when none has anything that may start now; what a worker left
        behind that crashed may, once its lease lapsed. Jobs that can only fail, as expired ones, fail without
        being worked on; of these there may be more. Raises QueueClosed.
        """
        done = idle = turn = 0
        async with self._chores[0], self._chores[1]:
            while done < most and idle < self._queue.partitions and not self._enough:
                partition, turn = turn, (turn + 1) % self._queue.partitions
                stalled, over = await self._queue.reap(partition)  # there may be no worker that does
                self._books.stalled(stalled)
                sent = time.monotonic()
                claimed = await self._queue.claim(partition, 1, through_pause=True)
                if claimed.status is ClaimStatus.CLOSED:
                    raise QueueClosed
                doomed = [*over, *claimed.doomed]
                self._books.ended(doomed)
                for seen in doomed:
                    await tell(_doomed(seen))
                for job in claimed.jobs:
                    await tell(await self._one(job, partition, sent))
                done += len(doomed) + len(claimed.jobs)
                idle = 0 if doomed or claimed.jobs or claimed.more else idle + 1
        return done

    def enough(self) -> None:
        """Let the job in work end, and take no more; called again: stop it, where it can be stopped."""
        if self._enough:
            for held in self._held:
                held.stop(Stop.SHUTDOWN)
        self._enough = True

    async def _one(self, job: ClaimedJob, partition: int, sent: float) -> Done:
        self._books.claimed(job)
        held = Held(JobContext(job, sent), partition)
        self._held.add(held)
        held.task = asyncio.create_task(self._runner.run(held))
        settlement = await held.task
        self._held.discard(held)
        self._reports.ended(held)
        seconds = time.monotonic() - sent
        if settlement is None:
            # Lost, or stopped where it cannot be given back: its lease lapses.
            return Done(job.id, job.attempt, (held.stopped or Stop.LEASE_LOST).value, "", seconds)
        await self._reports.write_ended(partition)
        words, _ = await self._queue.settle(partition, [settlement])
        self._books.settled([settlement], words)
        outcome = settlement.verdict.value if words == [Settled.OK] else words[0].value
        return Done(job.id, job.attempt, outcome, settlement.reason, seconds)

    async def _renew(self) -> None:
        await renew(self._queue, list(self._held))


def _doomed(seen: Seen) -> Done:
    return Done(seen.id, seen.attempt, str(seen.state), seen.reason, 0.0)
