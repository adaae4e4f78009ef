"""Looking at a queue without changing it; every answer is bounded."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from shared.jobs import JobState
from shared.queue.codec import unpack_record, unpack_seen
from shared.queue.standing import Standing
from shared.queue.types import ClaimedJob, Counts, Ended, Measures, Running, Seen
from shared.redis.scripts import Argument

_AT_ONCE = 500
_JOBS_AT_ONCE = 100  # where each is read whole


class Placed(NamedTuple):
    """A job in its place; `at_ms`: when it was enqueued (waiting), is due, its lease ends, or it ended."""

    id: str
    state: JobState | None
    lane: str
    attempt: int
    reason: str
    at_ms: int


class Timing(NamedTuple):
    """Since when and until when, at `now_ms` of the server's clock, a job is where it is.

    `at_ms` is as in `Placed`. `claimed_ms`: when its lease began, under `token`; 0: nobody has it.
    """

    now_ms: int
    at_ms: int
    claimed_ms: int
    stalls: int
    token: str


class Reading(Standing):
    """Counts, pages, single jobs."""

    async def measure(self, partition: int) -> Measures:
        """Depths, parked lanes, what is due, refusals, and how long the next in line have waited."""
        *depths, parked, due, now, oldest, refused = await self._run("measure", partition)
        counts = Counts(*depths)
        refusals = {scope.decode(): int(times) for scope, times in zip(*[iter(refused)] * 2, strict=True)}
        return Measures(counts, parked, due, now, oldest or None, refusals)

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

    async def running(self, partition: int, tenant: str) -> Running:
        """How many of a tenant's jobs are active, among the 500 whose leases end first."""
        count, active = await self._run("running", partition, {"tenant": tenant, "limit": _AT_ONCE})
        return Running(count, active > _AT_ONCE)

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
        self, partition: int, state: JobState, cursor: str = "0", limit: int = 50, whose: str = ""
    ) -> tuple[str, list[Placed]]:
        """Some jobs in a state, and the cursor for the next; it is `"0"` after the last.

        Delayed, active and failed jobs come by time, completed ones as they ended, waiting ones in no order:
        those of a lane come in theirs by `line`. Of a lane or of a tenant (`whose`), at most `limit` of all
        are looked at.
        """
        argv: dict[str, Argument] = {
            "state": state.value,
            "cursor": cursor,
            "limit": min(limit, _JOBS_AT_ONCE),
            "whose": whose,
        }
        following, flat = await self._run("page", partition, argv)
        return following.decode(), _placed(flat)

    async def line(
        self, partition: int, lane: str, first: int = 0, limit: int = 50
    ) -> tuple[int, list[Placed]]:
        """Some jobs that wait in a lane as they start, `first` entries left out; how many to leave out next.

        That is 0 after the last. What jobs left behind that were removed counts, and is not shown.
        """
        argv: dict[str, Argument] = {"lane": lane, "first": first, "limit": min(limit, _JOBS_AT_ONCE)}
        following, flat = await self._run("line", partition, argv)
        return following, _placed(flat)

    async def timing(self, partition: int, job_id: str) -> Timing | None:
        """Since when and until when a job is where it is; None if it is absent."""
        answer = await self._run("timing", partition, {"id": job_id})
        if not answer:
            return None
        now, at, claimed, stalls, epoch, seq = answer
        return Timing(now, at, claimed, stalls, f"{epoch}-{seq}" if claimed else "")

    async def job(self, partition: int, job_id: str) -> tuple[Seen, ClaimedJob] | None:
        """One job, where it is and what it carries; None if it is absent."""
        raw: Any = await self._redis.hget(self._key(partition, "jobs"), job_id)
        (seen,) = await self.look_up(partition, [job_id])
        if raw is None or seen.state is None:
            return None
        return seen, unpack_record(job_id.encode(), raw, seen.attempt, "", 0)


def _placed(flat: list[Any]) -> list[Placed]:
    found: list[Placed] = []
    for job_id, raw, lane, at in zip(*[iter(flat)] * 4, strict=True):
        seen = unpack_seen(job_id.decode(), raw or b"fresh")
        found.append(Placed(seen.id, seen.state, lane.decode(), seen.attempt, seen.reason, at))
    return found
