"""What a person looks at: failed work by its rows, what is in motion by Redis, one job or delivery whole."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog

from shared.errors import NotFound
from shared.jobs import JobState, job_id
from shared.loop import AWAY
from shared.operate.finding import NO_PLACE, QUEUE_OF, Finding, parsed, place_of, said_place
from shared.operate.standing import known_queue
from shared.store import delivery_rows, operating
from shared.store.database import AsyncConnection, Row
from shared.store.operating import Found, Which
from shared.store.visits import Key

log = structlog.get_logger()

_LOOK = 500
_LOOKS = 20
_CALLS = 200
_DIGITS = 15  # of what a script reads exactly

_ACTION = (
    *(
        "status",
        "reason",
        "due_at",
        "scheduled_at",
        "status_at",
        "tries",
        "cost",
        "campaign_id",
        "contact_id",
    ),
    *("enrollment_id", "visit_id", "node_id", "channel", "sender_id", "event_type", "provider_message_id"),
    *("accepted_at", "delivery_status"),
)
_DELIVERY = (
    *("state", "reason", "received_at", "state_at", "retry_at", "tries", "events", "provider", "endpoint_id"),
    *("headers", "query"),
)


@dataclass(frozen=True, slots=True)
class Listed:
    """Rows by column, and what to go on behind; None: nothing is left."""

    rows: Sequence[Mapping[str, Any]]
    after: str | None


class Reading(Finding):
    """Bounded reads; none is audited."""

    async def failed_sends(self, which: Which, after: str | None, limit: int) -> Listed:
        """Failed sends, by tenant and in the order that they were made in.

        At most 10,000 are looked at: where few are of those asked for there may be more behind an empty page.
        Raises NotFound: `after` is none of ours.
        """
        rows: list[Row[Any]] = []
        place = place_of(after)
        for _ in range(_LOOKS):
            found = await self._look(which, place)
            rows += found.rows
            place = found.after
            if place is None or len(rows) >= limit:
                break
        if len(rows) > limit:
            rows = rows[:limit]
            place = (rows[-1].tenant_id, rows[-1].id)
        return Listed([_failed(row) for row in rows], said_place(place))

    async def count_failed(self, which: Which, after: str | None = None) -> tuple[int, bool]:
        """How many failed sends are asked for, of 10,000 looked at, and whether that is all of them.

        Raises NotFound: `after` is none of ours.
        """
        place = place_of(after)
        return await self._database.run(lambda tx: operating.count_failed(tx, which, place, _LOOK * _LOOKS))

    async def _look(self, which: Which, after: Key | None) -> Found:
        return await self._database.run(lambda tx: operating.failed(tx, which, after, _LOOK))

    async def in_motion(self, queue: str, state: JobState, after: str | None, limit: int) -> Listed:
        """Jobs in a state as Redis has them, partition by partition.

        Redis is asked so often at most: where few of many jobs wait, there may be more behind an empty page.
        Raises UnknownQueue, NotFound.
        """
        known_queue(queue)
        partition, cursor = _cursor(after)
        engine = self._queues[queue]
        rows: list[Mapping[str, Any]] = []
        for _ in range(_CALLS):
            if partition >= engine.partitions or len(rows) >= limit:
                break
            cursor, seen = await engine.page(partition, state, cursor, limit - len(rows))
            rows += [{"id": s.id, "state": s.state, "attempt": s.attempt, "reason": s.reason} for s in seen]
            if cursor == "0":
                partition += 1
        return Listed(rows, f"{partition}:{cursor}" if partition < engine.partitions else None)

    async def job(self, wanted: str) -> Mapping[str, Any]:
        """A job whole: as `row`, and where it is in Redis (None: not there, or Redis is away).

        Raises NotFound, and Conflict which says where it moved on to.
        """
        kind, row, made = await self._read(wanted)
        try:
            there = await self._in_redis(kind, row)
        except AWAY as error:
            log.warning("desk.redis_away", queue=QUEUE_OF[kind], jobs=1, error=type(error).__name__)
            there = None
        return {**_whole(wanted, kind, row, made), "in_redis": there}

    async def log(self, wanted: str) -> Sequence[Mapping[str, Any]] | None:
        """What its worker said of a job; None: it is not in Redis. Raises NotFound, and Conflict as `job`."""
        kind, row, _ = await self._read(wanted)
        there = await self._in_redis(kind, row)
        return None if there is None else there["log"]

    async def row(self, wanted: str) -> Mapping[str, Any]:
        """The row that a job points at, and the attempts of a send. Raises NotFound and Conflict as `job`."""
        return _whole(wanted, *await self._read(wanted))

    async def _read(self, wanted: str) -> tuple[str, Row[Any], list[Row[Any]]]:
        parsed(wanted)  # for what is no id of ours nobody need be asked

        async def work(tx: AsyncConnection) -> tuple[str, Row[Any], list[Row[Any]]]:
            kind, row = await self._find(tx, wanted)
            made = await operating.attempts(tx, (row.tenant_id, row.id)) if kind == "send" else []
            return kind, row, made

        return await self._database.run(work)

    async def _in_redis(self, kind: str, row: Row[Any]) -> Mapping[str, Any] | None:
        queue = self._queues[QUEUE_OF[kind]]
        partition, wanted = queue.partition_of(str(row.tenant_id)), job_id(kind, row.id, row.g)
        found = await queue.job(partition, wanted)
        told = await queue.reported(partition, wanted)
        if found is None:
            return None
        seen, job = found
        shown = {"lane": job.lane, "priority": job.priority, "max_attempts": job.max_attempts}
        lines = [
            {"at": datetime.fromtimestamp(line.at_ms / 1000, UTC), "text": line.text} for line in told.lines
        ]
        known = {name: value for name, value in asdict(seen).items() if name != "id"}
        return {**known, **shown, "progress": told.progress, "log": lines}

    async def delivery(self, delivery_id: UUID) -> Mapping[str, Any]:
        """A delivery whole, with its body as it was posted. Raises NotFound."""
        row = await self._database.run(lambda tx: delivery_rows.find(tx, delivery_id))
        if row is None:
            raise NotFound("There is no such delivery, or its day is no longer kept.")
        shown = {"id": row.id, "job": job_id("webhook", row.id, row.g), "tenant": row.tenant}
        return {**shown, **{name: getattr(row, name) for name in _DELIVERY}, "body": row.body}


def _whole(wanted: str, kind: str, row: Row[Any], made: Sequence[Row[Any]]) -> Mapping[str, Any]:
    fields = _DELIVERY if kind == "webhook" else _ACTION
    return {
        "id": wanted,
        "queue": QUEUE_OF[kind],
        "tenant": row.tenant,
        "tenant_id": row.tenant_id,
        **{name: getattr(row, name) for name in fields},
        "attempts": [dict(each._mapping) for each in made],
    }


def _failed(row: Row[Any]) -> Mapping[str, Any]:
    fields = ("tenant_id", "reason", "tries", "status_at", "channel", "sender_id", "campaign_id", "node_id")
    return {"id": job_id("send", row.id, row.g), **{name: getattr(row, name) for name in fields}}


def _cursor(after: str | None) -> tuple[int, str]:
    partition, _, cursor = (after or "0:0").partition(":")
    if not all(each.isascii() and each.isdecimal() and len(each) <= _DIGITS for each in (partition, cursor)):
        raise NotFound(NO_PLACE)
    return int(partition), cursor
