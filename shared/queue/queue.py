"""The queue: one method for each transition of a job."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis

from shared.coalesce import Coalescer
from shared.idempotency.digest import digests
from shared.jobs import ENVELOPE_VERSION, JobState, QueueSpec
from shared.queue.checks import check
from shared.queue.clearing import Clearing
from shared.queue.codec import milliseconds, pack_record, pack_settlement, unpack_record
from shared.queue.opening import Opening
from shared.queue.operating import Operating
from shared.queue.reading import Reading
from shared.queue.reporting import Reporting
from shared.queue.types import (
    Claimed,
    ClaimedJob,
    ClaimStatus,
    Enqueued,
    Extended,
    NewJob,
    Seen,
    Settled,
    Settlement,
    Verdict,
)
from shared.queue.waiting import Waiting
from shared.queue.watching import Watching
from shared.redis.client import RUN_ID
from shared.redis.scripts import Argument

_ENQUEUE_AT_ONCE = 100
_ENQUEUE_TOGETHER = 10  # fewer than two times that are not worth two calls
_SETTLE_AT_ONCE = 50
_BYTES_AT_ONCE = 4 * 1024 * 1024

_ENQUEUED = {word.encode(): word for word in Enqueued}
_SETTLED = {word.encode(): word for word in Settled}


class Queue(Operating, Clearing, Opening, Reading, Reporting, Waiting, Watching):
    """A queue of jobs in Redis. Every method is one script, or one script per 50 or 100 jobs.

    Needs a client of `shared.redis.client.connect` with a connection of its own; `beside` is a second one,
    for settlements while others are under way, and `waiting` one for `wait` alone. Methods raise redis-py's
    errors while the server is away.
    """

    def __init__(self, redis: Redis, spec: QueueSpec, **place: Any) -> None:
        super().__init__(redis, spec, **place)
        self._singles = Coalescer(self._enqueue_batch, _ENQUEUE_AT_ONCE, lanes=2, least=_ENQUEUE_TOGETHER)

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Take in jobs, each whole or not at all; what became of each, in order.

        A known id with the payload it is known with is a duplicate, with another a conflict; either way
        nothing is written. Ids are remembered after their job is gone for `spec.remember_for`, up to twice
        that. A single job travels with those that others enqueue in the same turn of the loop.

        Raises:
            InvalidJob: one of them cannot be enqueued, and none was.
        """
        for job in jobs:
            check(job)
        if len(jobs) == 1:
            return [await self._singles(jobs[0])]
        return await self._enqueue_batch(jobs)

    async def claim(
        self,
        partition: int,
        slots: int,
        *,
        lease: timedelta | None = None,
        version: int = ENVELOPE_VERSION,
        through_pause: bool = False,
    ) -> Claimed:
        """Lease at most `slots` jobs (and at most 50) of a partition, fairly, within every limit.

        Whoever processes by hand goes `through_pause`: the queue's, while its tenants' still hold.

        A job that can only fail, because it expired or waited a day for a worker of its `version`, or because
        its cost is over a limit, is failed here with that reason; `Claimed.doomed` has them.
        """
        if slots < 1:
            return Claimed(ClaimStatus.OK)
        argv = self._want(slots, lease, version) | {"pause": "passed" if through_pause else "heeded"}
        answer = await self._run("claim", partition, argv)
        return await self._claimed(partition, answer)

    async def settle(
        self,
        partition: int,
        settlements: Sequence[Settlement],
        slots: int = 0,
        *,
        lease: timedelta | None = None,
        version: int = ENVELOPE_VERSION,
    ) -> tuple[list[Settled], Claimed | None]:
        """End claimed jobs of a partition and, with `slots`, claim the next ones in the same round trip.

        Only the holder of a job's token settles it; for another the answer is LEASE_LOST and nothing changed.
        RETRY does not look at `max_attempts`: whoever settles decides when a job has had its attempts.
        """
        words: list[Settled] = []
        batches = [
            settlements[at : at + _SETTLE_AT_ONCE] for at in range(0, len(settlements), _SETTLE_AT_ONCE)
        ]
        answer: Any = b""
        for n, batch in enumerate(batches or [()], start=1):
            wanted = slots if n >= len(batches) else 0
            argv = self._want(wanted, lease, version) | {
                "ttl": milliseconds(self.spec.remember_for),
                "keep_completed": self.spec.keep_completed,
                "keep_failed": self.spec.keep_failed,
            }
            with self._connection() as client:
                answered, answer = await self._run("settle", partition, argv, _settled(batch), client)
            words += map(_SETTLED.__getitem__, answered)
        return words, await self._claimed(partition, answer) if answer != b"" else None

    async def extend(
        self, partition: int, jobs: Sequence[ClaimedJob], lease: timedelta | None = None
    ) -> Extended:
        """Hold jobs for another lease from now; who was lost, and who was cancelled and should be stopped."""
        if not jobs:
            return Extended([], [])
        rest = [each for job in jobs for each in (job.id, *job.token.split("-"))]
        argv = {"lease": milliseconds(lease or self.spec.lease)}
        lost, cancelled = await self._run("extend", partition, argv, rest)
        return Extended([each.decode() for each in lost], [each.decode() for each in cancelled])

    async def reap(self, partition: int, limit: int = 100) -> tuple[list[str], list[Seen]]:
        """Take back expired leases, at most so many: the jobs go to the head of their lanes, no attempt used.

        A job that already stalled `spec.max_stalls` times fails, reason `stalled`, and a cancelled one
        completes. Also forgets finished jobs older than `spec.keep_for`. The ids that wait again, and the
        jobs that ended.
        """
        argv: dict[str, Argument] = {
            "run": RUN_ID,
            "limit": limit,
            "lease": milliseconds(self.spec.lease),
            "max_stalls": self.spec.max_stalls,
            "keep_for": milliseconds(self.spec.keep_for),
        }
        answer = await self._run("reap", partition, argv)
        if answer[0] == b"closed":
            return [], []
        _, back, *claim = answer
        claimed = await self._claimed(partition, [b"ok", b"done", b"", *claim])
        return [job_id.decode() for job_id in back], list(claimed.doomed)

    async def _enqueue_batch(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        chunks = [
            (partition, chunk) for partition, places in self._places(jobs) for chunk in _chunks(places, jobs)
        ]
        if len(chunks) == 1:
            return await self._enqueue_chunk(chunks[0][0], jobs)
        answers: dict[int, Enqueued] = {}
        # Two at a time: while the server works on one, the next is being packed. On one connection, so that a
        # lane's jobs arrive in order.
        turn = asyncio.Semaphore(2)

        async def send(partition: int, chunk: Sequence[int]) -> None:
            async with turn:
                words = await self._enqueue_chunk(partition, [jobs[place] for place in chunk])
            answers.update(zip(chunk, words, strict=True))

        await asyncio.gather(*(send(partition, chunk) for partition, chunk in chunks))
        return [answers[place] for place in range(len(jobs))]

    async def _enqueue_chunk(self, partition: int, jobs: Sequence[NewJob]) -> list[Enqueued]:
        argv = {"ttl": milliseconds(self.spec.remember_for)}
        words = await self._run("enqueue", partition, argv, self._packed(jobs))
        return [_ENQUEUED[word] for word in words]

    def _places(self, jobs: Sequence[NewJob]) -> Iterable[tuple[int, Sequence[int]]]:
        """Where in `jobs` those of each partition are."""
        if self.partitions == 1:
            return [(0, range(len(jobs)))]
        places: dict[int, list[int]] = defaultdict(list)
        for place, job in enumerate(jobs):
            places[self.partition_of(job.tenant)].append(place)
        return places.items()

    def _packed(self, jobs: Iterable[NewJob]) -> list[Argument]:
        rest: list[Argument] = []
        for job in jobs:
            priority = self.spec.priority if job.priority is None else job.priority
            record = pack_record(job, priority, job.max_attempts or self.spec.attempts)
            delay = milliseconds(job.delay) if job.delay else 0
            rest += (job.id, *digests(job.id, job.payload), delay, record)
        return rest

    def _want(self, slots: int, lease: timedelta | None, version: int) -> dict[str, Argument]:
        return {
            "run": RUN_ID,
            "slots": min(slots, _SETTLE_AT_ONCE),
            "lease": milliseconds(lease or self.spec.lease),
            "version": version,
        }

    async def _claimed(self, partition: int, answer: Sequence[Any]) -> Claimed:
        status = ClaimStatus(answer[0].decode())
        if status is not ClaimStatus.OK:
            return Claimed(status)
        _, more, wake, seq, flat, epoch, now = answer
        token = f"{epoch}-{seq}"
        jobs: list[ClaimedJob] = []
        doomed: list[Settlement] = []
        for job_id, record, attempt, fate in zip(*[iter(flat)] * 4, strict=True):
            job = unpack_record(job_id, record, int(attempt), token, now)
            if fate:
                doomed.append(Settlement(job, _fated(fate), reason=fate.decode(), refund=False))
            else:
                jobs.append(job)
        if doomed:
            # Leased to us only for this: so their ids are remembered like those of all that ended.
            await self.settle(partition, doomed)
        ended = tuple(map(_seen, doomed))
        return Claimed(status, tuple(jobs), more == b"more", wake or None, now, ended)


def _fated(fate: bytes) -> Verdict:
    return Verdict.CANCELLED if fate == b"cancelled" else Verdict.FAILED


def _seen(doomed: Settlement) -> Seen:
    state = JobState.FAILED if doomed.verdict is Verdict.FAILED else JobState.COMPLETED
    return Seen(doomed.job.id, state, doomed.reason, doomed.job.attempt)


def _settled(settlements: Iterable[Settlement]) -> list[Argument]:
    rest: list[Argument] = []
    for each in settlements:
        rest += (each.job.id, pack_settlement(each), *digests(each.job.id, each.job.payload))
    return rest


def _chunks(places: Sequence[int], jobs: Sequence[NewJob]) -> Iterable[Sequence[int]]:
    """Runs of places whose jobs can travel in one call."""
    start = size = 0
    for at, place in enumerate(places):
        length = len(jobs[place].payload) + len(jobs[place].annotations)
        if at > start and (at - start == _ENQUEUE_AT_ONCE or size + length > _BYTES_AT_ONCE):
            yield places[start:at]
            start, size = at, 0
        size += length
    if places:
        yield places[start:]
