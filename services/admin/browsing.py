"""Browsing: a queue's jobs, a page at a time, however many there are."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.jobs import JobState
from shared.queue.queue import Queue
from shared.queue.reading import Placed, Timing
from shared.queue.reporting import Reported
from shared.queue.standing import Usage
from shared.queue.types import ClaimedJob, Seen

LIMIT = 50
LONGEST_ID = 512
"""Characters: no job has a longer one."""

_CALLS = 20  # a page asks no more often: where few wait among many others, it may be short
_PATIENCE = timedelta(seconds=3)
_CURSOR = re.compile("([0-9]{1,3})-([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class Listing:
    """Some jobs in a state; `following` is the cursor of the next page, None after the last."""

    jobs: Sequence[Placed]
    following: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """A job: where it is and since or until when, what it carries and is charged to, what its worker told."""

    seen: Seen
    carries: ClaimedJob
    timing: Timing | None
    usage: Sequence[Usage]
    reported: Reported


class Browsing:
    """Looks through queues. Every call raises what a Redis that is away raises, after seconds."""

    def __init__(self, queues: Sequence[Queue]) -> None:
        self._queues = {queue.name: queue for queue in queues}

    def knows(self, name: str) -> bool:
        """Whether there is such a queue."""
        return name in self._queues

    async def listing(self, name: str, state: JobState, cursor: str = "", whose: str = "") -> Listing:
        """The page of jobs that begins at a cursor; a cursor that is none begins at the first.

        Of all, of a tenant or of a lane; what waits in a lane comes in the order it starts in.
        """
        queue = self._queues[name]
        parsed = _CURSOR.fullmatch(cursor)
        partition, place = (int(parsed[1]), parsed[2]) if parsed is not None else (0, "0")
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            if not whose:
                return await self._page(queue, state, range(partition, queue.partitions), place)
            home = queue.partition_of(whose.partition("/")[0])
            if state is not JobState.WAITING:
                return await self._page(queue, state, range(home, home + 1), place, whose)
            following, jobs = await queue.line(home, whose, int(place), LIMIT)
        return Listing(jobs, f"{home}-{following}" if following else None)

    async def _page(
        self, queue: Queue, state: JobState, partitions: Sequence[int], place: str, whose: str = ""
    ) -> Listing:
        jobs: list[Placed] = []
        calls = 0
        for partition in partitions:
            while calls < _CALLS and len(jobs) < LIMIT:
                place, found = await queue.page(partition, state, place, LIMIT, whose)
                jobs, calls = jobs + found, calls + 1
                if place == "0":
                    break
            else:
                return Listing(jobs, f"{partition}-{place}")
        return Listing(jobs, None)

    async def waiting(self, name: str, lanes: Sequence[str]) -> list[int]:
        """How many entries the line of each lane has."""
        queue = self._queues[name]
        places: dict[int, list[str]] = defaultdict(list)
        for lane in lanes:
            places[queue.partition_of(lane.partition("/")[0])].append(lane)
        counts: dict[str, int] = {}
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            for partition, there in places.items():
                counts |= zip(there, await queue.lane_counts(partition, there), strict=True)
        return [counts[lane] for lane in lanes]

    async def job(self, name: str, job_id: str) -> Found | None:
        """A job by its id, in whichever partition it is; None where there is none, or none any more."""
        queue = self._queues[name]
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            for partition in range(queue.partitions):
                found = await queue.job(partition, job_id)
                if found is not None:
                    seen, carries = found
                    timing = await queue.timing(partition, job_id)
                    usage = await queue.usage(partition, subjects(carries.lane))
                    return Found(seen, carries, timing, usage, await queue.reported(partition, job_id))
        return None


def subjects(lane: str) -> list[str]:
    """What a job of the lane is charged to: the tenant, its channel, the lane; or the tenant alone."""
    parts = lane.split("/")
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]
