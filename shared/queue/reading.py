"""Looking at a queue without changing it; every answer is bounded."""

from collections.abc import Sequence
from typing import Any

from shared.jobs import JobState
from shared.queue.codec import unpack_record, unpack_seen
from shared.queue.standing import Standing
from shared.queue.types import ClaimedJob, Counts, Ended, Measures, Seen

_AT_ONCE = 500


class Reading(Standing):
    """Counts, pages, single jobs."""

    async def measure(self, partition: int) -> Measures:
        """Depths, parked lanes, refusals, and how long the next in line have waited."""
        *depths, parked, now, oldest, refused = await self._run("measure", partition)
        counts = Counts(*depths)
        refusals = {scope.decode(): int(times) for scope, times in zip(*[iter(refused)] * 2, strict=True)}
        return Measures(counts, parked, now, oldest or None, refusals)

    async def ended(self, partition: int, limit: int = 100) -> Ended:
        """When the last jobs ended, at most `limit` of each kind and no more than are kept."""
        argv = {"limit": min(limit, _AT_ONCE)}
        now, completed, failed = await self._run("ended", partition, argv)
        return Ended(now, tuple(completed), tuple(failed))

    async def counts(self, partition: int) -> Counts:
        """Jobs by state."""
        return (await self.measure(partition)).counts

    async def lane_counts(self, partition: int, lanes: Sequence[str]) -> list[int]:
        """How many entries each lane's line has; jobs that left count until the line has passed them."""
        lengths: list[int] = []
        for at in range(0, len(lanes), _AT_ONCE):
            lengths += await self._run("lane_counts", partition, rest=lanes[at : at + _AT_ONCE])
        return lengths

    async def configured(self, partition: int) -> list[str]:
        """The subjects that something out of the ordinary is in force for; read some at a time."""
        found = self._redis.hscan_iter(self._key(partition, "config"), count=_AT_ONCE)
        return [subject.decode() async for subject, _ in found]

    async def look_up(self, partition: int, ids: Sequence[str]) -> list[Seen]:
        """What is known of each id, in order."""
        seen: list[Seen] = []
        for at in range(0, len(ids), _AT_ONCE):
            batch = ids[at : at + _AT_ONCE]
            found = await self._run("look_up", partition, rest=batch)
            seen += [unpack_seen(job_id, raw) for job_id, raw in zip(batch, found, strict=True)]
        return seen

    async def page(
        self, partition: int, state: JobState, cursor: str = "0", limit: int = 50
    ) -> tuple[str, list[Seen]]:
        """Some jobs in a state, and the cursor for the next; it is `"0"` after the last.

        Delayed, active and failed jobs come by time, completed ones as they ended, waiting ones in no order.
        """
        argv = {"state": state.value, "cursor": cursor, "limit": min(limit, _AT_ONCE)}
        following, flat = await self._run("page", partition, argv)
        rows = zip(*[iter(flat)] * 2, strict=True)
        return following.decode(), [unpack_seen(job_id.decode(), raw or b"fresh") for job_id, raw in rows]

    async def job(self, partition: int, job_id: str) -> tuple[Seen, ClaimedJob] | None:
        """One job, where it is and what it carries; None if it is absent."""
        raw: Any = await self._redis.hget(self._key(partition, "jobs"), job_id)
        (seen,) = await self.look_up(partition, [job_id])
        if raw is None or seen.state is None:
            return None
        return seen, unpack_record(job_id.encode(), raw, seen.attempt, "", 0)
