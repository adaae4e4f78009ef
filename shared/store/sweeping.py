"""Stuck rows: found by index, in pages that go on where the last one stopped, and set right.

Whoever sets a row right names the state it saw it in; a row that has moved on meanwhile is left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, TextClause, bindparam, text
from sqlalchemy.types import Interval

from shared.jobs import SENDS, TIMEOUTS
from shared.store.database import AsyncConnection
from shared.store.sets import checked, columns

Cursor = tuple[UUID, UUID, datetime, UUID]
"""Where a page ended: tenant, lane (of deliveries: nothing), time, id."""

_FIRST: Cursor = (UUID(int=0), UUID(int=0), datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))


class Claim(NamedTuple):
    """A row in a generation."""

    tenant_id: UUID
    id: UUID
    g: int


@dataclass(frozen=True, slots=True)
class Found:
    """The stuck rows among those looked at, and where to go on; None: from the beginning."""

    rows: Sequence[Row[Any]]
    after: Cursor | None


_BY_QUEUE = "'queue_paused', 'tenant_paused'"
# As in the predicate of the index by why, and of no other: the planner would sort all that is held for each
# leap where it takes it to be little.
_HELD = checked("a.status = 'held'")
_LAST = UUID(int=(1 << 128) - 1)


def _actions(kind: str, status: str) -> TextClause:
    return text(f"""
select tenant_id, lane_id, status_at, id, g, visit_id, status_at < now() - :age as stuck
from scheduled_actions
where kind = '{kind}' and status = '{status}'
    and (tenant_id, lane_id, status_at, id) > (:tenant_id, :lane_id, :at, :id)
order by tenant_id, lane_id, status_at, id limit :most
""").bindparams(bindparam("age", type_=Interval))


def _deliveries(state: str) -> TextClause:
    since = "retry_at" if state == "parked" else "state_at"
    return text(f"""
select tenant_id, cast(:lane_id as uuid) as lane_id, received_at, id, g, provider,
    coalesce({since}, state_at) < now() - :age as stuck
from deliveries
where state = '{state}' and (tenant_id, received_at, id) > (:tenant_id, :at, :id)
order by tenant_id, received_at, id limit :most
""").bindparams(bindparam("age", type_=Interval))


_LOOK = {
    ("send", "enqueued"): _actions("send", "enqueued"),
    ("send", "submitting"): _actions("send", "submitting"),
    ("send", "unknown"): _actions("send", "unknown"),
    ("timeout", "enqueued"): _actions("timeout", "enqueued"),
    ("delivery", "received"): _deliveries("received"),
    ("delivery", "processing"): _deliveries("processing"),
    ("delivery", "parked"): _deliveries("parked"),
}

_CLAIMS = """
unnest(cast(:tenant_id as uuid[]), cast(:id as uuid[]), cast(:g as int[])) as wanted (tenant_id, id, g)"""

# Its worker is gone, or it would have written how it ended.
_LOST = text(f"""
with locked as (
    select a.tenant_id, a.id, a.g from {_CLAIMS} join scheduled_actions a using (tenant_id, id)
    where {checked("a.status = 'submitting'")} and a.g = wanted.g
    order by a.id for update of a
), ended as (
    update attempts t set ended_at = now(), outcome = 'unknown', reason = 'worker_lost'
    from locked
    where t.tenant_id = locked.tenant_id and t.action_id = locked.id and t.g = locked.g
        and t.outcome is null and t.charged_at > now() - interval '2 days'
)
update scheduled_actions a set status = 'unknown', status_at = now(), reason = 'worker_lost'
from locked where a.tenant_id = locked.tenant_id and a.id = locked.id
returning a.id
""")

_UNCONFIRMED = text(f"""
with locked as (
    select a.tenant_id, a.id from {_CLAIMS}
    join scheduled_actions a using (tenant_id, id)
    join tenants t on t.id = a.tenant_id
    where {checked("a.status = 'unknown'")} and a.g = wanted.g and t.unknown_policy = 'fail'
    order by a.id for update of a
)
update scheduled_actions a set status = 'failed', status_at = now(), reason = 'unconfirmed'
from locked where a.tenant_id = locked.tenant_id and a.id = locked.id
returning a.tenant_id, a.id, a.visit_id, a.status, a.reason
""")

_LOCKED_DELIVERIES = f"""
    select d.tenant_id, d.id, d.received_at, wanted.reason
    from unnest(
        cast(:tenant_id as uuid[]), cast(:id as uuid[]), cast(:g as int[]),
        cast(:received_at as timestamptz[]), cast(:reason as text[])
    ) as wanted (tenant_id, id, g, received_at, reason)
    join deliveries d using (tenant_id, id, received_at)
    where {checked("d.state = :state")} and d.g = wanted.g
    order by d.id for update of d
"""

_REARM = text(f"""
with locked as ({_LOCKED_DELIVERIES})
update deliveries d set state = 'received', g = d.g + 1, state_at = now(), retry_at = null
from locked
where d.tenant_id = locked.tenant_id and d.id = locked.id and d.received_at = locked.received_at
returning d.tenant_id, d.id, d.provider, d.g
""")

_FAIL_DELIVERIES = text(f"""
with locked as ({_LOCKED_DELIVERIES})
update deliveries d set state = 'failed', state_at = now(), reason = locked.reason
from locked
where d.tenant_id = locked.tenant_id and d.id = locked.id and d.received_at = locked.received_at
returning d.id
""")

# What a campaign's or an enrolment's pause held, its resume puts back with the time it had left. What a
# worker held that had read of the pause just before the resume is put back here. A loose index scan finds
# each campaign that has held rows, by why; it leaps over what a pause of a whole queue still holds.
_RELEASE = text(f"""
with recursive queues (kind, queue, shut) as (
    select kind, queue, exists (
        select 1 from pauses p where p.tenant_id is null and (p.queue is null or p.queue = kinds.queue)
    )
    from (values ('send', '{SENDS.name}'), ('timeout', '{TIMEOUTS.name}')) as kinds (kind, queue)
), held as (
    (
        select reason, kind, tenant_id, campaign_id from scheduled_actions a
        where {_HELD} order by reason, kind, tenant_id, campaign_id limit 1
    )
    union all
    select next.*
    from held
    join queues using (kind)
    cross join lateral (
        select a.reason, a.kind, a.tenant_id, a.campaign_id from scheduled_actions a
        where {_HELD} and (a.reason, a.kind, a.tenant_id, a.campaign_id) > (
            held.reason, held.kind,
            case when shut and held.reason in ({_BY_QUEUE}) then '{_LAST}' else held.tenant_id end,
            held.campaign_id
        )
        order by a.reason, a.kind, a.tenant_id, a.campaign_id limit 1
    ) next
), free as (
    select held.* from held join queues using (kind)
    where held.reason in ({_BY_QUEUE}) and not shut and not exists (
            select 1 from pauses p
            where p.tenant_id = held.tenant_id and (p.queue is null or p.queue = queues.queue)
        )
        or held.reason = 'campaign_paused' and exists (
            select 1 from campaigns c
            where c.tenant_id = held.tenant_id and c.id = held.campaign_id
                and c.status = 'active' and c.paused_at is null
        )
        or held.reason = 'enrollment_paused'
), found as (
    select rows.* from free cross join lateral (
        select a.tenant_id, a.id from scheduled_actions a
        where {_HELD} and a.reason = free.reason and a.kind = free.kind
            and a.tenant_id = free.tenant_id and a.campaign_id = free.campaign_id
            and (free.reason <> 'enrollment_paused' or exists (
                select 1 from enrollments e
                where e.tenant_id = a.tenant_id and e.id = a.enrollment_id and e.status = 'active'
            ))
        limit :most
    ) rows
    limit :most
), locked as (
    select a.tenant_id, a.id from found join scheduled_actions a using (tenant_id, id)
    where {_HELD}
    order by a.id for update of a
)
update scheduled_actions a set status = 'pending', g = a.g + 1, status_at = now(), reason = null
from locked where a.tenant_id = locked.tenant_id and a.id = locked.id
""")

_COUNT_UNKNOWN = text("select count(*) from scheduled_actions where kind = 'send' and status = 'unknown'")


async def look(
    tx: AsyncConnection, kind: str, status: str, age: timedelta, after: Cursor | None, most: int
) -> Found:
    """Look at the next rows in a status, at most so many; those that are in it for longer than `age`.

    Of a parked delivery the age counts from its `retry_at`.
    """
    place = dict(zip(("tenant_id", "lane_id", "at", "id"), after or _FIRST, strict=True))
    rows = (await tx.execute(_LOOK[kind, status], {**place, "age": age, "most": most})).all()
    last = rows[-1] if len(rows) == most else None
    return Found(
        [row for row in rows if row.stuck], (last[0], last[1], last[2], last[3]) if last is not None else None
    )


async def lose(tx: AsyncConnection, claims: Sequence[Claim]) -> int:
    """Give up submissions that nobody can be waiting for: nobody knows what came of them. How many."""
    return (await tx.execute(_LOST, columns(Claim._fields, claims))).rowcount


async def unconfirmed(tx: AsyncConnection, claims: Sequence[Claim]) -> list[Row[Any]]:
    """Fail sends that stayed unknown, where the tenant's policy is to; their visits are locked.

    Rows of tenant_id, id, visit_id, status and reason.
    """
    return list(await tx.execute(_UNCONFIRMED, columns(Claim._fields, claims)))


async def rearm(tx: AsyncConnection, state: str, rows: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Let deliveries be processed anew, under the next g; tenant_id, id, provider and g of those."""
    return list(await tx.execute(_REARM, _found(state, [(row, None) for row in rows])))


async def fail_deliveries(tx: AsyncConnection, state: str, failed: Sequence[tuple[Row[Any], str]]) -> int:
    """End deliveries whose job failed, with its reason; how many."""
    return (await tx.execute(_FAIL_DELIVERIES, _found(state, failed))).rowcount


async def release(tx: AsyncConnection, most: int) -> int:
    """Put back what was held by a pause that is gone, at most so many; how many."""
    return (await tx.execute(_RELEASE, {"most": most})).rowcount


async def count_unknown(tx: AsyncConnection) -> int:
    """How many sends nobody knows the outcome of."""
    return int((await tx.execute(_COUNT_UNKNOWN)).scalar_one())


def _found(state: str, rows: Sequence[tuple[Row[Any], str | None]]) -> dict[str, Any]:
    values = [(row.tenant_id, row.id, row.g, row.received_at, reason) for row, reason in rows]
    return {"state": state, **columns(("tenant_id", "id", "g", "received_at", "reason"), values)}
