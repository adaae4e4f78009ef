"""The sweeper: rows that nobody works on any more are found, and set right (design §7).

What a job became is asked of Redis; a Redis that does not answer makes nothing absent. A pass is bounded and
goes on where the last one stopped.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from shared.campaigns import enrollments, sending
from shared.campaigns.transitions import Transitions
from shared.jobs import JobState, WebhookJob, job_id
from shared.queue.queue import Queue
from shared.queue.types import NewJob
from shared.settings import DispatchSettings
from shared.store import due, sweeping, visits
from shared.store.database import AsyncConnection, Database, Row
from shared.store.sends import Change
from shared.store.sweeping import Claim, Cursor, Found

log = structlog.get_logger()

_AT_ONCE = 1000
_AGAIN = timedelta(minutes=1)  # until a timeout whose job failed is tried anew


class Pass:
    """Goes through the rows of one kind in one status, page after page."""

    def __init__(self, database: Database, kind: str, status: str, age: timedelta) -> None:
        self.kind = kind
        self.status = status
        self._database = database
        self._age = age
        self._after: Cursor | None = None

    async def next(self) -> Found:
        """The next page; from the beginning after the last."""
        found = await self._database.run(
            lambda tx: sweeping.look(tx, self.kind, self.status, self._age, self._after, _AT_ONCE)
        )
        self._after = found.after
        if found.rows:
            log.info("sweep.found", kind=self.kind, status=self.status, rows=len(found.rows))
        return found


@dataclass(frozen=True, slots=True)
class Fates:
    """What became of rows' jobs: it is `gone`, or it failed and why. Others are left alone."""

    gone: Sequence[Row[Any]]
    failed: Sequence[tuple[Row[Any], str]]

    @property
    def count(self) -> int:
        """How many rows there are to set right."""
        return len(self.gone) + len(self.failed)


class RowSweeper:
    """Sets right what Postgres alone can tell: lost submissions, unknown ends, holds without a pause."""

    def __init__(
        self,
        database: Database,
        transitions: Transitions,
        submission: timedelta,
        unknown_window: timedelta,
    ) -> None:
        self._database = database
        self._transitions = transitions
        self._submitting = Pass(database, "send", "submitting", submission)
        self._unknown = Pass(database, "send", "unknown", unknown_window)

    async def step(self) -> bool:
        """One page of each; whether to go on at once."""
        more = [await self._lose(), await self._unconfirm()]
        for work in (_release, _resume, _cancel):
            more.append(await self._database.run(work))
        return any(more)

    async def _lose(self) -> bool:
        found = await self._submitting.next()
        if not found.rows:
            return False
        lost = await self._database.run(lambda tx: sweeping.lose(tx, _claims(found.rows)))
        return _again(found, lost)

    async def _unconfirm(self) -> bool:
        found = await self._unknown.next()
        if not found.rows:
            return False

        async def work(tx: AsyncConnection) -> int:
            await visits.lock(tx, {(row.tenant_id, row.visit_id) for row in found.rows})
            ended = await sweeping.unconfirmed(tx, _claims(found.rows))
            await sending.fail(tx, self._transitions, ended)
            return len(ended)

        return _again(found, await self._database.run(work))


class JobSweeper:
    """Sets right rows whose job is not what they say it is; `queues` of sends, timeouts and webhooks."""

    def __init__(
        self,
        database: Database,
        queues: tuple[Queue, Queue, Queue],
        transitions: Transitions,
        settings: DispatchSettings,
        lease: timedelta,
    ) -> None:
        self._database = database
        self._sends, self._timeouts, self._webhooks = queues
        self._transitions = transitions
        self._send_pass = Pass(database, "send", "enqueued", settings.enqueued_stale)
        self._timeout_pass = Pass(database, "timeout", "enqueued", settings.enqueued_stale)
        self._delivery_passes = (
            Pass(database, "delivery", "received", settings.received_stale),
            Pass(database, "delivery", "processing", lease),
            Pass(database, "delivery", "parked", timedelta(0)),
        )

    async def step(self) -> bool:
        """One page of each; whether to go on at once."""
        more = [await self._sweep_sends(), await self._sweep_timeouts()]
        for each in self._delivery_passes:
            more.append(await self._sweep_deliveries(each))
        return any(more)

    async def _sweep_sends(self) -> bool:
        found = await self._send_pass.next()
        fates = await _fates(self._sends, "send", found.rows)
        await self._put_back(fates.gone)
        if fates.failed:
            changes = [
                Change(row.tenant_id, row.id, row.g, "failed", reason, None) for row, reason in fates.failed
            ]
            at = [(row.tenant_id, row.visit_id) for row, _ in fates.failed]
            await self._database.run(lambda tx: sending.change(tx, self._transitions, changes, at))
        return _again(found, fates.count)

    async def _sweep_timeouts(self) -> bool:
        """A timeout has no failed end: its visit would wait for ever. It is tried anew, a little later."""
        found = await self._timeout_pass.next()
        fates = await _fates(self._timeouts, "timeout", found.rows)
        await self._put_back(fates.gone)
        await self._put_back([row for row, _ in fates.failed], _AGAIN)
        return _again(found, fates.count)

    async def _sweep_deliveries(self, each: Pass) -> bool:
        found = await each.next()
        fates = await _fates(self._webhooks, "webhook", found.rows)
        if fates.failed:
            await self._database.run(lambda tx: sweeping.fail_deliveries(tx, each.status, fates.failed))
        if fates.gone:
            armed = await self._database.run(lambda tx: sweeping.rearm(tx, each.status, fates.gone))
            await self._webhooks.enqueue([_webhook(row) for row in armed])
        return _again(found, fates.count)

    async def _put_back(self, rows: Sequence[Row[Any]], delay: timedelta = timedelta(0)) -> None:
        if rows:
            claims = _claims(rows)
            await self._database.run(lambda tx: due.put_back(tx, claims, delay))


async def _fates(queue: Queue, kind: str, rows: Sequence[Row[Any]]) -> Fates:
    """What became of the rows' jobs. One that completed left its row behind: as good as gone."""
    at: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        at[queue.partition_of(str(row.tenant_id))].append(row)
    gone: list[Row[Any]] = []
    failed: list[tuple[Row[Any], str]] = []
    for partition, here in at.items():
        seen = await queue.look_up(partition, [job_id(kind, row.id, row.g) for row in here])
        for row, job in zip(here, seen, strict=True):
            if job.state is JobState.FAILED:
                failed.append((row, job.reason or "failed"))
            elif job.state in (None, JobState.COMPLETED):
                gone.append(row)
    return Fates(gone, failed)


async def _release(tx: AsyncConnection) -> bool:
    return await sweeping.release(tx, _AT_ONCE) == _AT_ONCE


async def _resume(tx: AsyncConnection) -> bool:
    return await enrollments.release_resumed(tx)


async def _cancel(tx: AsyncConnection) -> bool:
    return await enrollments.end_cancelled(tx)


def _claims(rows: Sequence[Row[Any]]) -> list[Claim]:
    return [Claim(row.tenant_id, row.id, row.g) for row in rows]


def _again(found: Found, changed: int) -> bool:
    """Where a page had something to set right, the next may too."""
    return changed > 0 and found.after is not None


def _webhook(row: Row[Any]) -> NewJob:
    envelope = WebhookJob(tenant_id=row.tenant_id, webhook_delivery_id=row.id, provider=row.provider)
    return NewJob(job_id("webhook", row.id, row.g), envelope.lane, envelope.wire())
