"""Another priority, or another time, for one job."""

from datetime import UTC, datetime, timedelta

from shared.errors import Conflict, OutOfRange
from shared.jobs import JobState, job_id
from shared.operate.finding import QUEUE_OF, Finding, cannot
from shared.queue.checks import PRIORITIES
from shared.queue.operating import Changed
from shared.store import operating, restoring
from shared.store.database import AsyncConnection
from shared.store.operating import Claim

_JUST_NOW = timedelta(minutes=1)  # from when somebody chose a time until we read it
_IN_LINE = ("enqueued", "received", "processing")


class Changing(Finding):
    """Changes jobs that no worker holds. All raise NotFound, and Conflict which says why not."""

    async def reprioritise(self, job: str, priority: int) -> None:
        """Give a job in line another priority, 0 to 3, the lowest first; it goes to the end of its like.

        It holds for this job, not for another that its row may have later. Raises OutOfRange.
        """
        if not 0 <= priority < PRIORITIES:
            raise OutOfRange(f"A priority is from 0, the first to run, to {PRIORITIES - 1}.")
        kind, row = await self._database.run(lambda tx: self._find(tx, job))
        if (row.state if kind == "webhook" else row.status) not in _IN_LINE:
            raise cannot("given another priority", row)
        state = await self._state(kind, row)
        if state not in (JobState.WAITING, JobState.DELAYED):
            raise Conflict(f"It keeps its priority: it is {state or 'gone, and dispatch brings it back'}.")
        await self._database.run(
            lambda tx: self._note(tx, "jobs.reprioritise", job, row.tenant_id, priority=priority)
        )
        queue = self._queues[QUEUE_OF[kind]]
        (word,) = await queue.reprioritise(queue.partition_of(str(row.tenant_id)), [job], priority)
        if word not in (Changed.CHANGED, Changed.UNCHANGED):
            raise Conflict(f"It keeps its priority: just now it became {word}.")

    async def reschedule(self, job: str, at: datetime) -> str:
        """Let a send that nobody has begun to submit go out at a time; its job's id from now on.

        Its lateness counts from that time, so one that is past is OutOfRange. A worker that holds it stops.
        """
        if at.tzinfo is None:
            raise OutOfRange("Give the time with its zone, as 2026-01-31T03:00:00Z.")
        kind, row = await self._database.run(lambda tx: self._find(tx, job))
        if kind == "webhook":
            raise Conflict("A delivery is processed as it comes: to let it wait, pause its queue or tenant.")
        if kind == "timeout":
            raise Conflict("A timeout keeps its time: until then its contact may still answer.")
        if row.status not in ("pending", "enqueued"):
            raise cannot("rescheduled", row)

        async def work(tx: AsyncConnection) -> Claim:
            if at < await restoring.clock(tx) - _JUST_NOW:
                raise OutOfRange("That time is past: to let it go out now, promote it.")
            moved = await operating.reschedule(tx, [Claim(row.tenant_id, row.id, row.g)], at)
            if not moved:
                raise Conflict("It cannot be rescheduled: it moved on just now.")
            told = at.astimezone(UTC).isoformat()
            await self._note(tx, "jobs.reschedule", job, row.tenant_id, at=told)
            return moved[0]

        moved = await self._database.run(work)
        await self._forget(self._queues[QUEUE_OF[kind]], [(row.tenant_id, job)])
        return job_id(kind, row.id, moved.g)
