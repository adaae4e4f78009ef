"""What an operator does to jobs, always after their rows: bounded per call, and loopable."""

from collections.abc import Sequence
from enum import StrEnum

from shared.queue.checks import LAST_MS, PRIORITIES, check_bounds
from shared.queue.engine import Engine

_AT_ONCE = 100


class Removed(StrEnum):
    """What became of a removal."""

    REMOVED = "removed"
    ACTIVE = "active"
    ABSENT = "absent"


class Cancelled(StrEnum):
    """What became of a cancellation.

    `CANCELLING`: a worker has the job and is told; unless it passed its point of no return, it is stopped.
    """

    REMOVED = "removed"
    CANCELLING = "cancelling"
    FINISHED = "finished"
    ABSENT = "absent"


class Changed(StrEnum):
    """What became of a change to a job; only waiting and delayed ones can be changed."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    ACTIVE = "active"
    FINISHED = "finished"
    ABSENT = "absent"


class Operating(Engine):
    """Promote, reprioritise, reschedule, retry, remove, cancel, pause and resume."""

    async def promote(self, partition: int, ids: Sequence[str]) -> list[str]:
        """Let delayed jobs wait in their lanes now; the ids that were delayed."""
        return await self._in_batches("promote", partition, ids)

    async def reprioritise(self, partition: int, ids: Sequence[str], priority: int) -> list[Changed]:
        """Give jobs another priority (0 to 3, the lowest first); one that waits goes to the tail of its like.

        Raises:
            InvalidJob: there is no such priority.
        """
        check_bounds("priority", priority, PRIORITIES - 1)
        words = await self._in_batches("reprioritise", partition, ids, priority=priority)
        return [Changed(word) for word in words]

    async def reschedule(self, partition: int, ids: Sequence[str], at_ms: int) -> list[Changed]:
        """Let jobs wait for a time of the server's clock, in ms; those that waited in line are delayed then.

        Raises:
            InvalidJob: the time cannot be stored.
        """
        check_bounds("time", at_ms, LAST_MS)
        return [Changed(word) for word in await self._in_batches("reschedule", partition, ids, at=at_ms)]

    async def retry(self, partition: int, ids: Sequence[str]) -> list[str]:
        """Let failed jobs wait again, with lane, priority and all attempts; the ids that had failed."""
        return await self._in_batches("retry", partition, ids, limit=0)

    async def retry_oldest(self, partition: int, limit: int = _AT_ONCE) -> list[str]:
        """As `retry`, for the jobs that failed first: call again until nothing comes back."""
        answer = await self._run("retry", partition, {"limit": min(limit, _AT_ONCE)})
        return [found.decode() for found in answer]

    async def remove(self, partition: int, ids: Sequence[str]) -> list[Removed]:
        """Take jobs out that are not active. A waiting job's id is not remembered: it never ended."""
        return [Removed(word) for word in await self._in_batches("remove", partition, ids)]

    async def cancel(self, partition: int, ids: Sequence[str]) -> list[Cancelled]:
        """Take jobs out that no worker has, and mark those that one has: they never run again.

        A marked job's worker learns of it when it next extends its lease. The job completes, reason
        `cancelled`, unless its handler completed it before it could be stopped.
        """
        return [Cancelled(word) for word in await self._in_batches("cancel", partition, ids)]

    async def pause(self, partition: int, tenant: str = "") -> None:
        """Stop serving a tenant, or the whole queue; its jobs stay waiting, and active ones go on."""
        await self._run("pause", partition, {"subject": tenant, "paused": "paused"})

    async def resume(self, partition: int, tenant: str = "") -> None:
        """Serve a tenant, or the queue, again."""
        await self._run("pause", partition, {"subject": tenant, "paused": "resumed"})

    async def _in_batches(self, script: str, partition: int, ids: Sequence[str], **argv: int) -> list[str]:
        found: list[str] = []
        for at in range(0, len(ids), _AT_ONCE):
            answer = await self._run(script, partition, argv, ids[at : at + _AT_ONCE])
            found += [each.decode() for each in answer]
        return found
