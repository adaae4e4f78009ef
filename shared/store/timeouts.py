"""Timeouts in work: what is true of each when it might fire, and what became of it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.types import Interval

from shared.jobs import TIMEOUTS
from shared.store.database import AsyncConnection
from shared.store.sends import CLAIMED
from shared.store.sets import by_key, columns
from shared.store.visits import Key


class TimeoutClaim(NamedTuple):
    """A timeout as its job names it."""

    tenant_id: UUID
    id: UUID
    g: int


class TimeoutFacts(NamedTuple):
    """What is true of a timeout that is still as claimed; `now` is the database's clock.

    `scheduled_at` is the instant it stands for. `oldest_unread` is when the tenant's oldest delivery was
    received that nobody has processed yet. `last_beat` is when a gateway last said that it serves,
    `outage_ended` when the last outage ended that hid enough of the time in which an event could have come.
    """

    tenant_id: UUID
    id: UUID
    g: int
    visit_id: UUID
    campaign_id: UUID
    campaign_version: int
    node_id: str
    event_type: str
    scheduled_at: datetime
    accepted_at: datetime | None
    queue_paused: bool
    tenant_paused: bool
    campaign_status: str
    enrollment_status: str
    oldest_unread: datetime | None
    last_beat: datetime | None
    outage_ended: datetime | None
    now: datetime

    @property
    def claim(self) -> TimeoutClaim:
        """What it was claimed by."""
        return TimeoutClaim(self.tenant_id, self.id, self.g)


class Answer(NamedTuple):
    """An open or click of a visit: the first of its type, by whom it was made."""

    type: str
    automated: bool
    occurred_at: datetime


class Settled(NamedTuple):
    """What becomes of a timeout; back to `pending`, it is looked at again at `due_at`."""

    tenant_id: UUID
    id: UUID
    g: int
    status: str
    reason: str | None
    due_at: datetime | None
    watermark: str | None


_WANTED = """
unnest(cast(:tenant_id as uuid[]), cast(:id as uuid[]), cast(:g as int[])) as wanted (tenant_id, id, g)"""

# Failed and parked deliveries count as processed; the oldest of each tenant tells about all of its timeouts.
_FACTS = text(f"""
with due as (
    select a.* from {_WANTED} join scheduled_actions a using (tenant_id, id)
    where {CLAIMED} and a.kind = 'timeout'
), unread as (
    select tenant_id, least(
        (
            select min(d.received_at) from deliveries d
            where d.state = 'received' and d.tenant_id = tenants.tenant_id
        ), (
            select min(d.received_at) from deliveries d
            where d.state = 'processing' and d.tenant_id = tenants.tenant_id
        )
    ) as oldest
    from (select distinct tenant_id from due) tenants
)
select
    a.tenant_id, a.id, a.g, a.visit_id, a.campaign_id, v.campaign_version, a.node_id,
    a.event_type, a.scheduled_at, v.accepted_at,
    exists (
        select 1 from pauses p
        where p.tenant_id is null and (p.queue is null or p.queue = '{TIMEOUTS.name}')
    ),
    exists (
        select 1 from pauses p
        where p.tenant_id = a.tenant_id and (p.queue is null or p.queue = '{TIMEOUTS.name}')
    ),
    c.status, e.status, unread.oldest, beat.at, outage.ended, now()
from due a
cross join lateral {by_key("visits", "a.visit_id")} v
cross join lateral {by_key("campaigns", "a.campaign_id")} c
cross join lateral {by_key("enrollments", "a.enrollment_id")} e
join unread on unread.tenant_id = a.tenant_id
left join gateway_beats beat on true
left join lateral (
    select max(o.to_at) as ended from gateway_outages o
    where o.to_at > v.accepted_at and o.from_at < a.scheduled_at + :grace
        and least(o.to_at, a.scheduled_at + :grace) - greatest(o.from_at, v.accepted_at) >= :silence
) outage on true
""").bindparams(bindparam("grace", type_=Interval), bindparam("silence", type_=Interval))

_ANSWERS = text("""
select e.visit_id, e.type, e.automated <> 'none', min(e.occurred_at)
from unnest(cast(:tenant_ids as uuid[]), cast(:ids as uuid[])) as wanted (tenant_id, visit_id)
join events e using (tenant_id, visit_id)
where e.type in ('open', 'click')
group by 1, 2, 3
""")

_SETTLE = text(f"""
with wanted as (
    select * from unnest(
        cast(:tenant_id as uuid[]), cast(:id as uuid[]), cast(:g as int[]), cast(:status as text[]),
        cast(:reason as text[]), cast(:due_at as timestamptz[]), cast(:watermark as text[])
    ) as wanted (tenant_id, id, g, status, reason, due_at, watermark)
), locked as (
    select a.tenant_id, a.id from wanted join scheduled_actions a using (tenant_id, id)
    where {CLAIMED}
    order by a.id for update of a
)
update scheduled_actions a set
    status = wanted.status,
    status_at = now(),
    g = a.g + case wanted.status when 'pending' then 1 else 0 end,
    reason = wanted.reason,
    due_at = coalesce(wanted.due_at, a.due_at),
    watermark = wanted.watermark
from wanted join locked using (tenant_id, id)
where a.tenant_id = wanted.tenant_id and a.id = wanted.id
returning a.id
""")


async def facts(
    tx: AsyncConnection, claims: Sequence[TimeoutClaim], grace: timedelta, silence: timedelta
) -> list[TimeoutFacts]:
    """What is true of those timeouts that are still as claimed, as of one instant."""
    values = {**columns(TimeoutClaim._fields, claims), "grace": grace, "silence": silence}
    return [TimeoutFacts(*row) for row in await tx.execute(_FACTS, values)]


async def answers(tx: AsyncConnection, keys: Collection[Key]) -> Mapping[UUID, list[Answer]]:
    """The first opens and clicks of visits, people's and machines', by visit."""
    found: dict[UUID, list[Answer]] = {}
    for row in await tx.execute(_ANSWERS, columns(("tenant_ids", "ids"), list(keys))):
        found.setdefault(row[0], []).append(Answer(*row[1:]))
    return found


async def settle(tx: AsyncConnection, settled: Sequence[Settled]) -> frozenset[UUID]:
    """Write what becomes of timeouts that are still as claimed; the ids of those."""
    return frozenset((await tx.execute(_SETTLE, columns(Settled._fields, settled))).scalars())
