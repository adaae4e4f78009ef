"""Browsing: a queue's jobs, a page at a time, however many there are."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.jobs import JobState
from shared.queue.queue import Queue
from shared.queue.types import ClaimedJob, Seen

LIMIT = 50
LONGEST_ID = 512
"""Characters: no job has a longer one."""

_CALLS = 20  # a page asks no more often: where few wait among many others, it may be short
_PATIENCE = timedelta(seconds=3)
_CURSOR = re.compile(r"(\d{1,3})-(\d{1,15})")


@dataclass(frozen=True, slots=True)
class Listing:
    """Some jobs in a state; `following` is the cursor of the next page, None after the last."""

    jobs: Sequence[Seen]
    following: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """A job: where it is, and what it carries."""

    seen: Seen
    carries: ClaimedJob


class Browsing:
    """Looks through queues. Every call raises what a Redis that is away raises, after seconds."""

    def __init__(self, queues: Sequence[Queue]) -> None:
        self._queues = {queue.name: queue for queue in queues}

    def knows(self, name: str) -> bool:
        """Whether there is such a queue."""
        return name in self._queues

    async def listing(self, name: str, state: JobState, cursor: str = "") -> Listing:
        """The page of jobs that begins at a cursor; a cursor that is none begins at the first."""
        queue = self._queues[name]
        parsed = _CURSOR.fullmatch(cursor)
        partition, place = (int(parsed[1]), parsed[2]) if parsed is not None else (0, "0")
        jobs: list[Seen] = []
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            for _ in range(_CALLS):
                if partition >= queue.partitions:
                    return Listing(jobs, None)
                place, found = await queue.page(partition, state, place, LIMIT)
                jobs += found
                partition += place == "0"
                if len(jobs) >= LIMIT:
                    break
        return Listing(jobs, f"{partition}-{place}" if partition < queue.partitions else None)

    async def job(self, name: str, job_id: str) -> Found | None:
        """A job by its id, in whichever partition it is; None where there is none, or none any more."""
        queue = self._queues[name]
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            for partition in range(queue.partitions):
                found = await queue.job(partition, job_id)
                if found is not None:
                    return Found(*found)
        return None
