"""Visits: where contacts are in their campaigns, and how sets of them move on.

Locks are always taken in this order, and within a table in the order of ids: visits, then the actions of
those visits, then enrolments. Who moves a visit, or records what its send came to, locks the visit first.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

from shared.store.database import AsyncConnection
from shared.store.sets import checked, columns

Key = tuple[UUID, UUID]
"""A row of a tenant: tenant id and id."""

DUE_CHANNEL = "outreach_due"
"""Notified, at most once a transaction, when an action became due at once."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A locked visit."""

    tenant_id: UUID
    id: UUID
    enrollment_id: UUID
    campaign_id: UUID
    campaign_version: int
    contact_id: UUID
    node_id: str
    previous_id: UUID | None
    left_at: datetime | None
    edge: str | None
    accepted_at: datetime | None

    @property
    def here(self) -> bool:
        """The compare-and-set: nobody left this visit. It is locked, so this stays true until we leave it."""
        return self.left_at is None


@dataclass(frozen=True, slots=True)
class Departure:
    """A visit left by an edge. The action `action_id` its worker ends itself; the others are cancelled."""

    visit: Visit
    edge: str
    event_id: UUID | None
    action_id: UUID | None


class Entry(NamedTuple):
    """A new visit with its first action, due after `delay`: a send, or the timeout that ends a wait."""

    tenant_id: UUID
    visit_id: UUID
    enrollment_id: UUID
    campaign_id: UUID
    campaign_version: int
    contact_id: UUID
    node_id: str
    previous_id: UUID | None
    action_id: UUID
    kind: str
    channel: str | None
    sender_id: UUID | None
    event_type: str | None
    delay: timedelta


class Exit(NamedTuple):
    """An enrolment that ends."""

    tenant_id: UUID
    enrollment_id: UUID
    exit: str
    reason: str | None


class Timeout(NamedTuple):
    """A timeout of an accepted send, for `after` its acceptance; looked at `settling` later."""

    tenant_id: UUID
    visit_id: UUID
    action_id: UUID
    event_type: str
    after: timedelta
    settling: timedelta


_KEYS = ("tenant_ids", "ids")
_DEPARTURES = ("tenant_ids", "visit_ids", "edges", "event_ids", "action_ids")

_VISIT = """
v.tenant_id, v.id, v.enrollment_id, v.campaign_id, v.campaign_version, v.contact_id, v.node_id,
v.previous_visit_id, v.left_at, v.edge, v.accepted_at"""

_LOCK = text(f"""
select {_VISIT}
from unnest(cast(:tenant_ids as uuid[]), cast(:ids as uuid[])) as wanted (tenant_id, id)
join visits v using (tenant_id, id)
order by v.id for update of v
""")

_TIMEOUTS_TAKEN = text("""
select v.id, a.scheduled_at
from unnest(cast(:tenant_ids as uuid[]), cast(:ids as uuid[])) as wanted (tenant_id, id)
join visits v using (tenant_id, id)
join scheduled_actions a on a.tenant_id = v.tenant_id and a.visit_id = v.id
    and a.kind = 'timeout' and a.event_type = case v.edge when 'else' then 'elapsed' else v.edge end
""")

_LOCK_FOLLOW_UPS = text(f"""
select {_VISIT}
from unnest(cast(:tenant_ids as uuid[]), cast(:ids as uuid[])) as wanted (tenant_id, id)
join visits earlier using (tenant_id, id)
join visits v on v.tenant_id = earlier.tenant_id and v.enrollment_id = earlier.enrollment_id
    and v.previous_visit_id = earlier.id and v.left_at is null
order by v.id for update of v
""")

_CANCEL_SENDS = text("""
with waiting as (
    select a.tenant_id, a.id
    from unnest(cast(:tenant_ids as uuid[]), cast(:ids as uuid[])) as wanted (tenant_id, visit_id)
    join scheduled_actions a using (tenant_id, visit_id)
    where a.kind = 'send' and a.status in ('pending', 'enqueued', 'held')
    order by a.id for update of a
)
update scheduled_actions a set status = 'cancelled', reason = 'moved_on', status_at = now()
from waiting where a.tenant_id = waiting.tenant_id and a.id = waiting.id
returning a.visit_id
""")

_LEAVE = text("""
with gone as (
    select * from unnest(
        cast(:tenant_ids as uuid[]), cast(:visit_ids as uuid[]), cast(:edges as text[]),
        cast(:event_ids as uuid[]), cast(:action_ids as uuid[])
    ) as gone (tenant_id, visit_id, edge, event_id, action_id)
), departed as (
    update visits v set left_at = now(), edge = gone.edge, event_id = gone.event_id
    from gone where v.tenant_id = gone.tenant_id and v.id = gone.visit_id
), open as (
    select a.tenant_id, a.id from gone join scheduled_actions a using (tenant_id, visit_id)
    where a.status in ('pending', 'enqueued', 'held') and a.id is distinct from gone.action_id
    order by a.id for update of a
)
update scheduled_actions a set status = 'cancelled', reason = 'moved_on', status_at = now()
from open where a.tenant_id = open.tenant_id and a.id = open.id
""")

# A send without a sender of its own goes out by its campaign's. Foreign keys are checked at the end of the
# statement, when the visits are there for the actions to point at.
_ENTER = text(f"""
with entered as (
    select * from unnest(
        cast(:tenant_id as uuid[]), cast(:visit_id as uuid[]), cast(:enrollment_id as uuid[]),
        cast(:campaign_id as uuid[]), cast(:campaign_version as int[]), cast(:contact_id as uuid[]),
        cast(:node_id as text[]), cast(:previous_id as uuid[]), cast(:action_id as uuid[]),
        cast(:kind as text[]), cast(:channel as text[]), cast(:sender_id as uuid[]),
        cast(:event_type as text[]), cast(:delay as interval[])
    ) as entered (
        tenant_id, visit_id, enrollment_id, campaign_id, version, contact_id, node_id, previous_id,
        action_id, kind, channel, sender_id, event_type, delay
    )
), visited as (
    insert into visits (
        tenant_id, id, enrollment_id, campaign_id, campaign_version, contact_id, node_id, previous_visit_id
    )
    select tenant_id, visit_id, enrollment_id, campaign_id, version, contact_id, node_id, previous_id
    from entered
), scheduled as (
    insert into scheduled_actions (
        tenant_id, id, kind, due_at, scheduled_at, enrollment_id, visit_id, campaign_id, contact_id, node_id,
        channel, sender_id, event_type
    )
    select
        e.tenant_id, e.action_id, e.kind, now() + e.delay, now() + e.delay, e.enrollment_id, e.visit_id,
        e.campaign_id, e.contact_id, e.node_id, e.channel,
        coalesce(e.sender_id, case e.channel when 'email' then c.email_sender_id
                                             when 'sms' then c.sms_sender_id end),
        e.event_type
    from entered e join campaigns c on c.tenant_id = e.tenant_id and c.id = e.campaign_id
)
select pg_notify('{DUE_CHANNEL}', '') where exists (select 1 from entered where kind = 'send')
""")

_EXIT = text(f"""
with ended as (
    select e.tenant_id, e.id, leaving.exit, leaving.reason
    from unnest(
        cast(:tenant_id as uuid[]), cast(:enrollment_id as uuid[]),
        cast(:exit as text[]), cast(:reason as text[])
    ) as leaving (tenant_id, id, exit, reason)
    join enrollments e using (tenant_id, id)
    where {checked("e.exited_at is null")}
    order by e.id for update of e
)
update enrollments e set
    status = 'exited', exit = ended.exit, reason = ended.reason, exited_at = now(), paused_at = null
from ended where e.tenant_id = ended.tenant_id and e.id = ended.id
""")

_ACCEPT = text("""
with accepted as (
    select * from unnest(
        cast(:tenant_ids as uuid[]), cast(:visit_ids as uuid[]), cast(:accepted as timestamptz[])
    ) as accepted (tenant_id, visit_id, at)
)
update visits v set accepted_at = accepted.at
from accepted
where v.tenant_id = accepted.tenant_id and v.id = accepted.visit_id
""")

_SET_TIMEOUTS = text("""
insert into scheduled_actions (
    tenant_id, id, kind, scheduled_at, due_at, enrollment_id, visit_id, campaign_id, contact_id, node_id,
    event_type
)
select
    v.tenant_id, t.action_id, 'timeout', v.accepted_at + t.after, v.accepted_at + t.after + t.settling,
    v.enrollment_id, v.id, v.campaign_id, v.contact_id, v.node_id, t.event_type
from unnest(
    cast(:tenant_id as uuid[]), cast(:visit_id as uuid[]), cast(:action_id as uuid[]),
    cast(:event_type as text[]), cast(:after as interval[]), cast(:settling as interval[])
) as t (tenant_id, visit_id, action_id, event_type, after, settling)
join visits v on v.tenant_id = t.tenant_id and v.id = t.visit_id
""")


async def lock(tx: AsyncConnection, keys: Collection[Key]) -> Mapping[UUID, Visit]:
    """Lock visits until the transaction ends; by id, those that there are, as they are now."""
    rows = await tx.execute(_LOCK, columns(_KEYS, list(keys)))
    return {row.id: Visit(*row) for row in rows}


async def timeouts_taken(tx: AsyncConnection, keys: Collection[Key]) -> Mapping[UUID, datetime]:
    """The instants that the timeouts stood for by which these visits were left, by visit."""
    rows = await tx.execute(_TIMEOUTS_TAKEN, columns(_KEYS, list(keys)))
    return {row.id: row.scheduled_at for row in rows}


async def lock_follow_ups(tx: AsyncConnection, keys: Collection[Key]) -> Mapping[UUID | None, Visit]:
    """Lock the visits that directly follow these and are still going on, by the earlier visit's id."""
    rows = await tx.execute(_LOCK_FOLLOW_UPS, columns(_KEYS, list(keys)))
    return {row.previous_visit_id: Visit(*row) for row in rows}


async def cancel_sends(tx: AsyncConnection, keys: Collection[Key]) -> frozenset[UUID]:
    """Cancel the sends of visits that no worker has begun to submit; the ids of the visits that had one."""
    rows = await tx.execute(_CANCEL_SENDS, columns(_KEYS, list(keys)))
    return frozenset(rows.scalars())


async def leave(tx: AsyncConnection, departures: Sequence[Departure]) -> None:
    """End locked visits, and cancel what was still open of them."""
    rows = [(d.visit.tenant_id, d.visit.id, d.edge, d.event_id, d.action_id) for d in departures]
    await tx.execute(_LEAVE, columns(_DEPARTURES, rows))


async def enter(tx: AsyncConnection, entries: Sequence[Entry]) -> None:
    """Begin visits, and schedule their first actions."""
    await tx.execute(_ENTER, columns(Entry._fields, entries))


async def exit_enrollments(tx: AsyncConnection, exits: Sequence[Exit]) -> None:
    """End enrolments that still go on."""
    await tx.execute(_EXIT, columns(Exit._fields, exits))


async def accept(tx: AsyncConnection, accepted: Mapping[Key, datetime], timeouts: Sequence[Timeout]) -> None:
    """Note when the sends of locked visits were accepted, and set their timeouts."""
    rows = [(*key, at) for key, at in accepted.items()]
    await tx.execute(_ACCEPT, columns(("tenant_ids", "visit_ids", "accepted"), rows))
    if timeouts:
        await tx.execute(_SET_TIMEOUTS, columns(Timeout._fields, timeouts))
