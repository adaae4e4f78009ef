"""The worker's side of the engine: claim batches, hold their leases, settle batches.

One visit is one round trip: it settles what ended in a partition and claims jobs for free slots, at most half
of all. So a busy worker talks to Redis once per batch, and two visits take turns: the server works on one
while handlers work off the other. An idle worker waits until it is told of work. What a job means is the
business of `work`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import Self

import structlog
from redis.exceptions import RedisError

from shared.broker.books import Books
from shared.broker.broker import JobBroker
from shared.broker.context import JobContext
from shared.broker.endings import released
from shared.broker.held import Held, Stop, renew
from shared.broker.reports import Reports
from shared.broker.running import Runner, Work
from shared.loop import AWAY, Loop
from shared.queue.queue import Queue
from shared.queue.types import Claimed, ClaimedJob, ClaimStatus, Settlement

log = structlog.get_logger()

_BATCH = 50  # what the engine claims or settles in one script
_VISITS = 2  # at once
_REAPED = 100  # what it reaps in one
_LOOK = timedelta(seconds=1)  # how long an idle worker waits for word of work before it looks
_GLANCE = 0.1  # seconds after which a busy one looks where it last found nothing
_BREATH = timedelta(milliseconds=2)  # between two looks at what is overdue and cannot be had
_SETTLING = timedelta(seconds=5)  # for the last settlements of a shutdown
_AT_ONCE = timedelta(0)

_UNANSWERED: tuple[type[BaseException], ...] = (RedisError, *AWAY, asyncio.CancelledError)


class Consumer:
    """Works on a queue from entering to leaving; leaving drains.

    A drain claims nothing more, gives back what has not started, waits for what runs as long as the grace,
    then stops it, and settles what ended.
    """

    def __init__(
        self, broker: JobBroker, queue: Queue, work: Work, concurrency: int, grace: timedelta
    ) -> None:
        self._broker = broker
        self._queue = queue
        self._slots = concurrency
        self._grace = grace
        self._books = Books(broker.spec.name, broker.metrics)
        self._runner = Runner(broker.spec, self._books, work)
        self._partitions = frozenset(range(queue.partitions))
        self._warm = set(self._partitions)  # those that may have work
        self._due: dict[int, float] = {}  # when a partition's next delayed job or parked lane is
        self._turn, self._look_at = 0, 0.0
        self._ended: list[deque[Settlement]] = [deque() for _ in self._partitions]
        self._held: set[Held] = set()
        self._reports = Reports(queue, self._held)
        self._room = asyncio.Event()  # a slot is free, and a partition is cold
        self._changed = asyncio.Event()  # a handler ended, or a visit did
        self._draining = False
        self._most = min((concurrency + 1) // 2, _BATCH)  # that one visit settles and asks for
        self._share = min(max(1, concurrency // 2), _BATCH)  # that a second one beside it is worth
        self._visiting = self._asked = 0  # visits under way, and slots that they may fill
        self._visits = [Loop(f"visits-{n}", self._visit, every=_LOOK) for n in range(_VISITS)]
        self._listening = Loop("listening", self._listen, every=_AT_ONCE)
        self._chores = (
            Loop("renewal", self._renew, every=broker.spec.renew),
            Loop("reaping", self._reap, every=broker.engine.reap_every),
            Loop("reports", self._reports.write_running, every=_LOOK),
        )
        self._loops = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for loop in (*self._chores, *self._visits, self._listening):
            await self._loops.enter_async_context(loop)
        return self

    async def __aexit__(self, error: type[BaseException] | None, *_: object) -> None:
        try:
            await self._drain(_AT_ONCE if error else self._grace)
        finally:
            await self._loops.aclose()

    # Visits

    async def _visit(self) -> bool:
        partition = self._next_partition()
        if partition is None:
            return False
        self._turn = partition + 1
        self._visiting += 1
        try:
            await self._settle_and_claim(partition)
        finally:
            self._visiting -= 1
            self._changed.set()
        return self._next_partition() is not None

    async def _settle_and_claim(self, partition: int) -> None:
        slots, ended = self._free_slots(), self._take_ended(partition)
        self._asked += slots
        try:
            await self._reports.write_ended(partition)
            sent = time.monotonic()
            words, claimed = await self._queue.settle(partition, ended, slots)
        except _UNANSWERED:
            # For the next visit. What cannot even be sent is not kept: it would hold up all the others.
            self._ended[partition].extendleft(reversed(ended))
            raise
        finally:
            self._asked -= slots
        self._broker.health.answered()
        self._books.settled(ended, words)
        if claimed is not None:
            await self._take_in(partition, claimed, slots, sent)

    def _next_partition(self) -> int | None:
        """The next in turn with something to settle, or with work where a slot is free."""
        if time.monotonic() >= self._look_at:
            self._look_everywhere()
        # Beside a visit under way, only for a whole share: two small ones would cost the server twice.
        least = self._share if self._visiting else 1
        claims = self._free_slots() >= least
        for step in range(len(self._partitions)):
            partition = (self._turn + step) % len(self._partitions)
            if len(self._ended[partition]) >= least or (claims and partition in self._warm):
                return partition
        return None

    def _wake(self, *, whole: bool = False) -> None:
        """Have it seen to that there is something to do, a whole share of it or less.

        Who visits looks again anyway, and an idle visit that looks in vain costs as much as a job.
        """
        if whole or not self._visiting:
            for loop in self._visits if whole else self._visits[:1]:
                loop.wake()

    def _free_slots(self) -> int:
        """For one visit."""
        return 0 if self._draining else min(self._slots - len(self._held) - self._asked, self._most)

    def _take_ended(self, partition: int) -> list[Settlement]:
        ended = self._ended[partition]
        return [ended.popleft() for _ in range(min(len(ended), self._most))]

    async def _take_in(self, partition: int, claimed: Claimed, slots: int, sent: float) -> None:
        """Start what was claimed, and note whether there is more."""
        self._books.ended(claimed.doomed)
        for job in claimed.jobs:
            self._start(job, partition, sent)
        if claimed.more or len(claimed.jobs) == slots:
            self._warm.add(partition)
        else:
            self._warm.discard(partition)
        self._due.pop(partition, None)
        if claimed.wake_ms is not None:
            self._due[partition] = time.monotonic() + (claimed.wake_ms - claimed.now_ms) / 1000
        if claimed.status is not ClaimStatus.CLOSED:
            self._broker.health.closed.discard(partition)
        elif self._broker.plain:
            await self._queue.open_plain(partition)
            self._warm.add(partition)
        else:
            self._broker.health.closed.add(partition)
        self._mind_room()
        self._wake(whole=bool(self._warm) and self._free_slots() >= self._share)

    def _mind_room(self) -> None:
        if self._free_slots() and self._warm != self._partitions:
            self._room.set()
        else:
            self._room.clear()

    async def _listen(self) -> bool:
        """Wait for word of work in the partitions that had none, while there is a slot for it."""
        await self._room.wait()
        self._room.clear()
        if cold := sorted(self._partitions - self._warm):
            found = await self._queue.wait(cold, self._until_due())
            if found is None:
                self._look_everywhere()
            elif self._free_slots():
                self._warm.add(found)
            else:
                await self._queue.nudge(found)  # the slots were taken meanwhile: it is for another worker
            self._wake()
        return True

    def _look_everywhere(self) -> None:
        self._warm.update(self._partitions)
        self._look_at = time.monotonic() + _GLANCE

    def _until_due(self) -> timedelta:
        seconds = min(self._due.values(), default=float("inf")) - time.monotonic()
        return max(_BREATH, timedelta(seconds=min(seconds, _LOOK.total_seconds())))

    # Jobs

    def _start(self, job: ClaimedJob, partition: int, sent: float) -> None:
        context = JobContext(job, sent)
        if self._draining:
            self._ended[partition].append(released(context))
            return
        self._books.claimed(job)
        held = Held(context, partition)
        self._held.add(held)
        held.task = asyncio.create_task(self._run(held))

    async def _run(self, held: Held) -> None:
        settlement = None
        try:
            settlement = await self._runner.run(held)
        finally:
            self._finish(held, settlement)

    def _finish(self, held: Held, settlement: Settlement | None) -> None:
        self._held.discard(held)
        self._reports.ended(held)
        ended = self._ended[held.partition]
        if settlement is not None:
            ended.append(settlement)
        self._wake(whole=len(ended) >= self._share)
        self._changed.set()

    # Chores

    async def _renew(self) -> None:
        if held := list(self._held):
            await renew(self._queue, held)
            self._broker.health.answered()

    async def _reap(self) -> bool:
        more = False
        for partition in self._partitions:
            stalled, ended = await self._queue.reap(partition, _REAPED)
            self._books.stalled(stalled)
            self._books.ended(ended)
            more = more or len(stalled) == _REAPED
        return more

    async def _drain(self, grace: timedelta) -> None:
        self._broker.health.draining = self._draining = True
        self._listening.cancel()
        self._wake()
        await self._until(lambda: not self._held, grace)
        for held in list(self._held):
            log.warning("job.cut_short", job_id=held.context.id, committed=held.context.committed)
            held.stop(Stop.SHUTDOWN)
        await self._until(lambda: not (self._held or self._visiting or any(self._ended)), _SETTLING)
        if left := len(self._held) + sum(map(len, self._ended)):
            log.error("jobs.left", jobs=left)  # their leases lapse, and they run again elsewhere

    async def _until(self, done: Callable[[], bool], longest: timedelta) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(longest.total_seconds()):
                while not done():
                    self._changed.clear()
                    await self._changed.wait()
