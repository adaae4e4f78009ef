"""What a person does to one job: its row first, which decides, and then Redis (design §2, Generations)."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from shared.campaigns import sending
from shared.errors import Conflict
from shared.jobs import JobState, job_id
from shared.loop import AWAY
from shared.operate.finding import QUEUE_OF, Finding, cannot
from shared.operate.retrying import retry_sends
from shared.store import due, enrollments, operating, visits
from shared.store.database import AsyncConnection, Row
from shared.store.operating import Claim

REMOVED = "removed"
"""The reason of what an operator took out."""

_IN_LINE = (JobState.WAITING, JobState.DELAYED, JobState.ACTIVE)
_OPEN = ("pending", "enqueued", "held")


class Jobs(Finding):
    """Retry, promote, remove and cancel sends and timeouts by their jobs' ids.

    All raise NotFound, and Conflict which says why a row cannot be acted on.
    """

    async def _retry_action(self, kind: str, row: Row[Any], unconfirmed: bool) -> str:
        """Let a send that failed, or an action whose job did, wait again; its new id."""
        old = job_id(kind, row.id, row.g)
        if row.status == "enqueued":
            state = await self._state(kind, row)
            if state in _IN_LINE:
                raise Conflict(f"It cannot be retried: it is {state}.")
        elif row.status != "failed":
            raise cannot("retried", row)
        elif row.reason == "unconfirmed" and not unconfirmed:
            raise Conflict(
                "It may have been sent: nobody knows. To risk that it arrives twice, --unconfirmed."
            )

        async def work(tx: AsyncConnection) -> None:
            claim = Claim(row.tenant_id, row.id, row.g)
            done = await (due.put_back(tx, [claim]) if row.status == "enqueued" else retry_sends(tx, [row]))
            if not done:
                now = await self._again(tx, kind, row)
                if now.status != "failed":
                    raise cannot("retried", now)
                raise Conflict("It cannot be retried: its contact moved on, or its campaign was cancelled.")
            await self._note(tx, "jobs.retry", old, row.tenant_id)

        await self._database.run(work)
        await self._forget(self._queues[QUEUE_OF[kind]], [(row.tenant_id, old)])
        return job_id(kind, row.id, row.g + 1)

    async def _hasten_action(self, kind: str, row: Row[Any]) -> None:
        """Let a send or an enqueued job that waits for a time go now."""
        if row.status == "enqueued":
            await self._promote_job(kind, row)
            return
        if row.status != "pending":
            raise cannot("promoted", row)
        if kind == "timeout":
            raise Conflict("A timeout keeps its time: until then its contact may still answer.")

        async def work(tx: AsyncConnection) -> None:
            if not await operating.hasten(tx, [Claim(row.tenant_id, row.id, row.g)]):
                now = await self._again(tx, kind, row)
                if now.status != "pending":
                    raise cannot("promoted", now)
                raise Conflict("It is due already: it waits for its turn.")
            await self._note(tx, "jobs.promote", job_id(kind, row.id, row.g), row.tenant_id)

        await self._database.run(work)

    async def _promote_job(self, kind: str, row: Row[Any]) -> None:
        """Let a delayed job wait in its lane now. Raises Conflict: it is not delayed."""
        state = await self._state(kind, row)
        if state is not JobState.DELAYED:
            raise Conflict(f"It is not delayed: it is {state or 'gone, and dispatch brings it back'}.")
        wanted = job_id(kind, row.id, row.g)
        await self._database.run(lambda tx: self._note(tx, "jobs.promote", wanted, row.tenant_id))
        queue = self._queues[QUEUE_OF[kind]]
        if not await queue.promote(queue.partition_of(str(row.tenant_id)), [wanted]):
            raise Conflict("It is not delayed any more: just now it moved on.")

    async def _end_action(self, kind: str, row: Row[Any], action: str) -> None:
        """End an action that is not with a provider. A send's visit takes its failed edge.

        A timeout's contact leaves the campaign, who would wait for ever.
        """
        done = job_id(kind, row.id, row.g)

        async def work(tx: AsyncConnection) -> None:
            if row.status not in _OPEN:
                raise cannot("cancelled", row)
            if not await self._end_actions(tx, kind, [row]):
                now = await self._again(tx, kind, row)
                if now.status not in _OPEN:
                    raise cannot("cancelled", now)
                raise Conflict("It cannot be cancelled: it moved on just now.")
            await self._note(tx, action, done, row.tenant_id)

        await self._database.run(work)
        await self._forget(self._queues[QUEUE_OF[kind]], [(row.tenant_id, done)])

    async def _end_actions(self, tx: AsyncConnection, kind: str, rows: Sequence[Row[Any]]) -> set[UUID]:
        """End actions of a kind that are not with a provider; the ids of those that were still as read."""
        if kind == "send":
            return await self._end_sends(tx, rows)
        return await self._end_timeouts(tx, rows)

    async def _end_sends(self, tx: AsyncConnection, rows: Sequence[Row[Any]]) -> set[UUID]:
        await visits.lock(tx, {(row.tenant_id, row.visit_id) for row in rows})
        claims = [Claim(row.tenant_id, row.id, row.g) for row in rows]
        ended = await operating.cancel(tx, claims, REMOVED)
        await sending.fail(tx, self._transitions, ended)
        return {row.id for row in ended}

    async def _end_timeouts(self, tx: AsyncConnection, rows: Sequence[Row[Any]]) -> set[UUID]:
        found = await visits.lock(tx, {(row.tenant_id, row.visit_id) for row in rows})
        leaving: dict[UUID, set[UUID]] = defaultdict(set)
        for row in rows:
            if found[row.visit_id].here:
                leaving[row.tenant_id].add(row.enrollment_id)
        left: set[UUID] = set()
        for tenant_id in sorted(leaving):
            left |= await enrollments.cancel(tx, tenant_id, leaving[tenant_id], REMOVED)
        return {row.id for row in rows if row.enrollment_id in left}

    async def _not_active(self, kind: str, row: Row[Any]) -> None:
        """Raises Conflict for a job that a worker holds; where Redis is away the row decides alone."""
        try:
            state = await self._state(kind, row)
        except AWAY:
            return
        if state is JobState.ACTIVE:
            raise Conflict("A worker holds it: cancel it instead.")
