"""Rounds: due rows to their queues, in fair pages (design §7.1).

A row is marked enqueued before its job is enqueued. If Redis does not take a page, its rows go back under
the next generation, so whatever it took after all is a no-op; if this process ends in between, the sweeper
finds them.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog

from shared.campaigns import messages, sending
from shared.campaigns.checks import Refusal, Stop
from shared.campaigns.compiled import Compiled
from shared.campaigns.graph import SendNode
from shared.campaigns.graphs import Version
from shared.campaigns.transitions import Transitions
from shared.errors import RenderError
from shared.jobs import SENDS, TIMEOUTS, SendJob, TimeoutJob, job_id
from shared.providers.segments import segments
from shared.queue.queue import Queue
from shared.queue.types import Enqueued, NewJob
from shared.settings import DispatchSettings
from shared.store import due
from shared.store.database import AsyncConnection, Database, Row
from shared.store.due import Lane, Page, Taken

log = structlog.get_logger()

Stopped = tuple[Row[Any], Refusal]


class Round:
    """Goes round the lanes of one kind of action, page after page."""

    def __init__(self, kind: str, queue: str, settings: DispatchSettings, usual: Mapping[str, int]) -> None:
        self._kind = kind
        self._queue = queue
        self._settings = settings
        self._usual = usual
        self._after: Lane | None = None
        self._full = False

    def page(self, ahead: Mapping[Lane, int]) -> Page:
        """What to take next."""
        return Page(
            kind=self._kind,
            queue=self._queue,
            rows=self._settings.page,
            lanes=self._settings.page,
            per_tenant=self._settings.per_tenant,
            most=self._settings.ahead_max,
            usual=self._usual,
            ahead=ahead,
            after=self._after,
        )

    def turned(self, taken: Taken) -> bool:
        """Whether to take another page at once: there are more lanes, or this round had a full page."""
        self._full |= taken.full
        self._after = taken.last
        if self._after is not None:
            return True
        again, self._full = self._full, False
        return again


class Rounds:
    """Takes due sends and timeouts to their queues. Several dispatchers may: each row is taken by one.

    `ahead` tells how many rows of a lane may be in Redis at once, where that is not `usual` on its channel.
    """

    def __init__(
        self,
        database: Database,
        sends: Queue,
        timeouts: Queue,
        transitions: Transitions,
        settings: DispatchSettings,
        max_lateness: timedelta,
        usual: Mapping[str, int],
        ahead: Callable[[], Mapping[Lane, int]],
    ) -> None:
        self._database = database
        self._sends = sends
        self._timeouts = timeouts
        self._transitions = transitions
        self._max_lateness = max_lateness
        self._ahead = ahead
        self._send_round = Round("send", SENDS.name, settings, usual)
        self._timeout_round = Round("timeout", TIMEOUTS.name, settings, usual)

    async def send(self) -> bool:
        """Take a page of due sends; whether to go on at once."""
        page = self._send_round.page(self._ahead())
        taken = await self._database.run(lambda tx: due.page(tx, page))
        if taken.rows:
            ready, stopped = await self._database.run(lambda tx: self._take_sends(tx, taken))
            await self._enqueue(self._sends, [(row, _send(row, cost)) for row, cost in ready])
            if stopped:
                await self._database.run(lambda tx: sending.stop(tx, self._transitions, stopped))
        return self._send_round.turned(taken)

    async def time_out(self) -> bool:
        """Take a page of due timeouts; whether to go on at once."""
        page = self._timeout_round.page({})
        taken = await self._database.run(lambda tx: due.page(tx, page))
        if taken.rows:
            rows = await self._database.run(lambda tx: due.take_timeouts(tx, taken.rows))
            await self._enqueue(self._timeouts, [(row, _timeout(row)) for row in rows])
        return self._timeout_round.turned(taken)

    async def _take_sends(
        self, tx: AsyncConnection, taken: Taken
    ) -> tuple[list[tuple[Row[Any], int]], list[Stopped]]:
        """Mark the sends of a page enqueued that may go out, with their cost; the others, and why not."""
        rows = await due.take_sends(tx, taken.rows, self._max_lateness)
        graphs = await self._transitions.graphs.load(tx, (_version(row) for row in rows if _is_sms(row)))
        ready: list[tuple[Row[Any], int]] = []
        stopped: list[Stopped] = []
        for row in rows:
            why = sending.refused(row)
            cost = 1
            if why is None and _is_sms(row):
                try:
                    cost = _segments(row, graphs[_version(row)])
                except RenderError as error:
                    why = Refusal(Stop.SKIPPED, f"render: {error}")
            if why is None:
                ready.append((row, cost))
            else:
                stopped.append((row, why))
        await due.mark_enqueued(tx, [(row.tenant_id, row.id, cost) for row, cost in ready])
        return ready, stopped

    async def _enqueue(self, queue: Queue, pairs: Sequence[tuple[Row[Any], NewJob]]) -> None:
        if not pairs:
            return
        try:
            words = await queue.enqueue([job for _, job in pairs])
        except Exception:  # whatever it is, the rows must not wait for the sweeper
            back = [(row.tenant_id, row.id, row.g) for row, _ in pairs]
            count = await self._database.run(lambda tx: due.put_back(tx, back))
            log.warning("page.put_back", queue=queue.name, rows=count)
            raise
        conflicts = words.count(Enqueued.CONFLICT)
        if conflicts:
            log.error("page.conflicts", queue=queue.name, jobs=conflicts)
        log.debug("page.enqueued", queue=queue.name, jobs=len(words))


def _version(row: Row[Any]) -> Version:
    return Version(row.tenant_id, row.campaign_id, row.campaign_version)


def _is_sms(row: Row[Any]) -> bool:
    return bool(row.channel == "sms")


def _segments(row: Row[Any], graph: Compiled) -> int:
    node = graph.node(row.node_id)
    assert isinstance(node, SendNode)  # a send's row is made for a send node, and versions never change
    names = messages.context(dict(row._mapping), {"name": row.campaign_name}, None)
    return segments(messages.content(node, names).text)


def _send(row: Row[Any], cost: int) -> NewJob:
    envelope = SendJob(
        tenant_id=row.tenant_id,
        scheduled_action_id=row.id,
        campaign_id=row.campaign_id,
        contact_id=row.contact_id,
        node_id=row.node_id,
        channel=row.channel,
        sender_id=row.sender_id,
    )
    return NewJob(job_id("send", row.id, row.g), envelope.lane, envelope.wire(), cost=cost)


def _timeout(row: Row[Any]) -> NewJob:
    envelope = TimeoutJob(
        tenant_id=row.tenant_id,
        campaign_id=row.campaign_id,
        contact_id=row.contact_id,
        node_id=row.node_id,
        event_type=row.event_type,
        scheduled_at=row.scheduled_at,
        visit_id=row.visit_id,
        scheduled_action_id=row.id,
    )
    return NewJob(job_id("timeout", row.id, row.g), envelope.lane, envelope.wire())
