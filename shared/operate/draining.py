"""Many jobs taken out at once: rows first, page by page, and each page's jobs out of Redis behind it."""

import time
from collections.abc import Sequence, Set
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal
from uuid import UUID

from shared.errors import Conflict
from shared.jobs import WEBHOOKS, JobState, job_id
from shared.operate.finding import KIND_OF
from shared.operate.jobs import REMOVED, Jobs
from shared.operate.retrying import PAGE, Progress
from shared.operate.standing import known_queue, target
from shared.queue.clearing import Obliterated
from shared.queue.types import Counts
from shared.store import audit, delivery_rows, draining, pauses, restoring, tenants
from shared.store.database import AsyncConnection, Row
from shared.store.delivery_rows import Place
from shared.store.draining import Waiting
from shared.store.restoring import Cursor

Ended = Literal[JobState.COMPLETED, JobState.FAILED]

_MEANWHILE = 100
"""Jobs that may have come since somebody looked: posts of webhooks do not wait for a pause."""

_LOOKS = 20
"""Pages that are counted before something is drained."""


@dataclass(frozen=True, slots=True)
class Drainable:
    """How many rows a drain would end; `more`: no more were counted, and there may be."""

    rows: int
    more: bool


@dataclass(frozen=True, slots=True)
class Cleared:
    """How many rows were ended, and how many jobs Redis had, ended ones too: it has none of them now."""

    rows: int
    jobs: int


class Draining(Jobs):
    """Drain, clean, obliterate; all can be begun again, and go on where they were."""

    async def drain(
        self,
        queue: str,
        tenant: str | None,
        progress: Progress = lambda _: None,
        *,
        within: timedelta = timedelta.max,
    ) -> int:
        """End what waits in a queue or was due for it, of a tenant or of all; how many rows.

        As `cancel` does to one job: sends' visits take their failed edges, timeouts' contacts leave their
        campaigns, deliveries fail and can be replayed. What is with a provider, deliveries in work, and what
        comes due meanwhile stay. Where `within` passed and some ended, it stops: drain again. Raises
        UnknownQueue, NotFound.
        """
        known_queue(queue)
        return await self._drain("queues.drain", queue, tenant, progress, within)

    async def drainable(self, queue: str, tenant: str | None) -> Drainable:
        """How many rows a drain would end now. Raises UnknownQueue, NotFound."""
        known_queue(queue)

        async def begin(tx: AsyncConnection) -> tuple[UUID | None, datetime]:
            return (
                await tenants.named(tx, tenant) if tenant is not None else None,
                await restoring.clock(tx),
            )

        only, until = await self._database.run(begin)
        looks, rows = _LOOKS, 0
        for status in _statuses(queue):
            after: Cursor | None = None
            while True:
                found = await self._database.run(
                    partial(_look, queue=queue, status=status, only=only, until=until, after=after)
                )
                looks, rows, after = looks - 1, rows + len(found.rows), found.after
                if after is None:
                    break
                if looks == 0:
                    return Drainable(rows, more=True)
        return Drainable(rows, more=False)

    async def clean(
        self, queue: str, state: Ended, older_than: timedelta, progress: Progress = lambda _: None
    ) -> int:
        """Forget jobs that finished so long ago; how many. Their rows stay. Raises UnknownQueue."""
        known_queue(queue)
        age = older_than.total_seconds()
        entry = await self._database.run(
            lambda tx: self._note(tx, "queues.clean", queue, count=0, state=state, older_than_seconds=age)
        )
        engine, total = self._queues[queue], 0
        for partition in range(engine.partitions):
            while gone := await engine.clean(partition, state, older_than):
                await self._count(entry, len(gone))
                total += len(gone)
                progress(len(gone))
        return total

    async def obliterate(
        self, queue: str, jobs: int, *, force: bool = False, progress: Progress = lambda _: None
    ) -> Cleared:
        """Drain a paused queue, and take every job of it out of Redis, ended ones too.

        `jobs` is how many there are, as whoever asks saw them: with many more nothing is done. While any are
        active, only by `force`: their workers lose them; what rows say of them stands. Raises UnknownQueue,
        and Conflict which says why not.
        """
        known_queue(queue)
        there = await self._may_obliterate(queue, jobs, force)
        rows = await self._drain("queues.obliterate", queue, None, progress)
        engine = self._queues[queue]
        for partition in range(engine.partitions):
            word = Obliterated.MORE
            while word is Obliterated.MORE:
                word, gone = await engine.obliterate(partition, force=force)
                progress(len(gone))
            if word is not Obliterated.DONE:
                raise Conflict(_UNTIL_THEN[word])
        return Cleared(rows, there)

    async def jobs_in(self, queue: str) -> int:
        """How many jobs Redis has of a queue, ended ones too. Raises UnknownQueue."""
        known_queue(queue)
        engine = self._queues[queue]
        counts = [await engine.counts(partition) for partition in range(engine.partitions)]
        return sum(astuple(Counts.total(counts)))

    async def _may_obliterate(self, queue: str, jobs: int, force: bool) -> int:
        """How many jobs there are. Raises Conflict."""
        standing = await self._database.run(pauses.current)
        if not any(pause.holds(queue) for pause in standing):
            raise Conflict(f"It is not paused: `outreach pause --queue {queue}` first.")
        there = await self.jobs_in(queue)
        if there > jobs + max(_MEANWHILE, jobs // 10):
            raise Conflict(f"There are {there} jobs in it, not {jobs}: look again.")
        engine = self._queues[queue]
        for partition in range(engine.partitions):
            word, _ = await engine.obliterate(partition, force=force, limit=0)
            if word is not Obliterated.MORE:
                raise Conflict(_UNTIL_THEN[word])
        return there

    async def _drain(
        self,
        action: str,
        queue: str,
        tenant: str | None,
        progress: Progress,
        within: timedelta = timedelta.max,
    ) -> int:
        async def begin(tx: AsyncConnection) -> tuple[UUID | None, datetime, UUID]:
            only = await tenants.named(tx, tenant) if tenant is not None else None
            entry = await self._note(tx, action, target(queue, tenant), only, count=0)
            return only, await restoring.clock(tx), entry

        only, until, entry = await self._database.run(begin)
        total, begun = 0, time.monotonic()
        for status in _statuses(queue):
            after: Cursor | None = None
            while True:
                done, after = await self._drain_page(queue, status, only, until, after, entry)
                total += done
                progress(done)
                if total and time.monotonic() - begun >= within.total_seconds():
                    return total
                if after is None:
                    break
        return total

    async def _drain_page(
        self, queue: str, status: str, only: UUID | None, until: datetime, after: Cursor | None, entry: UUID
    ) -> tuple[int, Cursor | None]:
        """End what waits of a page of rows; how many, and where to go on."""
        kind = KIND_OF[queue]

        async def work(tx: AsyncConnection) -> tuple[Waiting, list[Row[Any]]]:
            over: Set[UUID]
            found = await _look(tx, queue, status, only, until, after)
            if kind == "webhook":
                over = await _fail(tx, found.rows)
            else:
                over = await self._end_actions(tx, kind, found.rows) if found.rows else frozenset()
            await audit.add_count(tx, entry, len(over))
            return found, [row for row in found.rows if row.id in over]

        found, ended = await self._database.run(work)
        gone = [(row.tenant_id, job_id(kind, row.id, row.g)) for row in ended]
        await self._forget(self._queues[queue], gone)
        return len(ended), found.after

    async def _count(self, entry: UUID, gone: int) -> None:
        await self._database.run(lambda tx: audit.add_count(tx, entry, gone))


_UNTIL_THEN = {
    Obliterated.SERVING: "Its pause is not in force yet: ask again in a second or two.",
    Obliterated.ACTIVE: "Jobs of it run: wait until they ended, or force it.",
}


def _statuses(queue: str) -> Sequence[str]:
    return (draining.RECEIVED,) if queue == WEBHOOKS.name else draining.STATUSES


async def _look(
    tx: AsyncConnection, queue: str, status: str, only: UUID | None, until: datetime, after: Cursor | None
) -> Waiting:
    """The next page of what waits in a queue, or is due for it."""
    if queue == WEBHOOKS.name:
        return await draining.deliveries(tx, only, until, after, PAGE)
    return await draining.actions(tx, KIND_OF[queue], status, only, until, after, PAGE)


async def _fail(tx: AsyncConnection, rows: Sequence[Row[Any]]) -> Set[UUID]:
    places = [Place(row.tenant_id, row.id, row.g, row.received_at) for row in rows]
    return await delivery_rows.fail(tx, places, (draining.RECEIVED,), REMOVED) if rows else frozenset()
