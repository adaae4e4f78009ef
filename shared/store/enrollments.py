"""Enrolments: contacts entering campaigns, held, and taken out again."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from shared.errors import NotFound
from shared.store.database import AsyncConnection
from shared.store.ids import uuid7
from shared.store.visits import Key


@dataclass(frozen=True, slots=True)
class Past:
    """A contact's earlier enrolments in a campaign: whether one goes on, or all ended so many days ago."""

    active: bool
    long_ago: bool


# For share: a campaign that is being cancelled waits, and ends this enrolment too.
_CAMPAIGN = text("""
select version, status, reentry from campaigns where tenant_id = :tenant_id and id = :campaign_id for share
""")

# One enrolment of a contact at a time: the second looks for earlier ones when the first has committed.
_LOCK_CONTACTS = text("""
select id from contacts
where tenant_id = :tenant_id and id = any(cast(:contact_ids as uuid[])) and deleted_at is null
order by id for no key update
""")

_PAST = text("""
select e.contact_id, bool_or(e.exited_at is null) as active,
    coalesce(max(e.exited_at) <= now() - make_interval(days => max(c.reentry_days)), false) as long_ago
from enrollments e join campaigns c on c.tenant_id = e.tenant_id and c.id = e.campaign_id
where e.tenant_id = :tenant_id and e.campaign_id = :campaign_id
    and e.contact_id = any(cast(:contact_ids as uuid[]))
group by e.contact_id
""")

_ADD = text("""
insert into enrollments (tenant_id, id, campaign_id, contact_id)
select :tenant_id, id, :campaign_id, contact_id
from unnest(cast(:ids as uuid[]), cast(:contact_ids as uuid[])) as new (id, contact_id)
""")

_PAUSE = text("""
with wanted as (
    select tenant_id, id from enrollments
    where tenant_id = :tenant_id and id = any(cast(:ids as uuid[])) and status = 'active'
    order by id for update
)
update enrollments e set status = 'paused', paused_at = now()
from wanted where e.tenant_id = wanted.tenant_id and e.id = wanted.id
returning e.id
""")

# What was due while paused goes on with the time it had left when the pause began.
_RELEASED = """
update scheduled_actions a set
    status = 'pending', g = a.g + 1, reason = null, status_at = now(),
    due_at = a.due_at + held.pause, scheduled_at = a.scheduled_at + held.pause
from held where a.tenant_id = held.tenant_id and a.id = held.id
"""

_RESUME = text(f"""
with resumed as (
    select tenant_id, id, paused_at from enrollments
    where tenant_id = :tenant_id and id = any(cast(:ids as uuid[])) and status = 'paused'
    order by id for update
), held as (
    select a.tenant_id, a.id, now() - greatest(resumed.paused_at, a.created_at) as pause
    from resumed
    join visits v on v.tenant_id = resumed.tenant_id and v.enrollment_id = resumed.id and v.left_at is null
    join scheduled_actions a on a.tenant_id = v.tenant_id and a.visit_id = v.id
    where a.status = 'held' and a.reason = 'enrollment_paused'
    order by a.id for update of a
), released as ({_RELEASED})
update enrollments e set status = 'active', paused_at = null
from resumed where e.tenant_id = resumed.tenant_id and e.id = resumed.id
returning e.id
""")

_CANCEL = text("""
with leaving as (
    select v.tenant_id, v.id, v.enrollment_id from visits v
    where v.tenant_id = :tenant_id and v.enrollment_id = any(cast(:ids as uuid[])) and v.left_at is null
    order by v.id for update
), departed as (
    update visits v set left_at = now(), edge = 'cancelled'
    from leaving where v.tenant_id = leaving.tenant_id and v.id = leaving.id
), open as (
    select a.tenant_id, a.id from leaving
    join scheduled_actions a on a.tenant_id = leaving.tenant_id and a.visit_id = leaving.id
    where a.status in ('pending', 'enqueued', 'held')
    order by a.id for update of a
), stopped as (
    update scheduled_actions a set status = 'cancelled', reason = 'cancelled', status_at = now()
    from open where a.tenant_id = open.tenant_id and a.id = open.id
)
update enrollments e set
    status = 'cancelled', exit = 'cancelled', reason = :reason, exited_at = now(), paused_at = null
from leaving
where e.tenant_id = leaving.tenant_id and e.id = leaving.enrollment_id and e.exited_at is null
returning e.id
""")

_IN_CANCELLED = text("""
select e.tenant_id, e.id from campaigns c
join enrollments e on e.tenant_id = c.tenant_id and e.campaign_id = c.id and e.exited_at is null
where c.status = 'cancelled' and (cast(:campaign_id as uuid) is null or c.id = :campaign_id)
limit :limit
""")

_RELEASE_CAMPAIGNS = text(f"""
with held as (
    select a.tenant_id, a.id, now() - greatest(c.paused_at, a.created_at) as pause
    from campaigns c
    join scheduled_actions a on a.tenant_id = c.tenant_id and a.campaign_id = c.id
    where c.status = 'active' and c.paused_at is not null
        and a.status = 'held' and a.reason = 'campaign_paused'
        and (cast(:campaign_id as uuid) is null or c.id = :campaign_id)
    order by a.id limit :limit for update of a
)
{_RELEASED}
""")

_ALL_RELEASED = text("""
update campaigns c set paused_at = null
where c.status = 'active' and c.paused_at is not null and not exists (
    select 1 from scheduled_actions a
    where a.tenant_id = c.tenant_id and a.campaign_id = c.id
        and a.status = 'held' and a.reason = 'campaign_paused'
)
""")

_SET_STATUS = text("""
update campaigns set
    status = cast(:status as text), updated_at = now(),
    paused_at = case cast(:status as text) when 'paused' then coalesce(paused_at, now()) else paused_at end
where tenant_id = :tenant_id and id = :campaign_id and status <> 'cancelled'
returning status
""")


async def open_campaign(tx: AsyncConnection, tenant_id: UUID, campaign_id: UUID) -> Row[Any]:
    """The campaign's version, status and reentry; it cannot be cancelled meanwhile. Raises NotFound."""
    campaign = {"tenant_id": tenant_id, "campaign_id": campaign_id}
    row = (await tx.execute(_CAMPAIGN, campaign)).one_or_none()
    if row is None:
        raise NotFound("There is no such campaign.")
    return row


async def lock_contacts(tx: AsyncConnection, tenant_id: UUID, ids: Collection[UUID]) -> frozenset[UUID]:
    """Lock contacts against another enrolment; those that there are."""
    rows = await tx.execute(_LOCK_CONTACTS, {"tenant_id": tenant_id, "contact_ids": list(ids)})
    return frozenset(rows.scalars())


async def past(
    tx: AsyncConnection, tenant_id: UUID, campaign_id: UUID, contact_ids: Collection[UUID]
) -> Mapping[UUID, Past]:
    """What is known of contacts that were enrolled before."""
    wanted = {"tenant_id": tenant_id, "campaign_id": campaign_id, "contact_ids": list(contact_ids)}
    rows = await tx.execute(_PAST, wanted)
    return {row.contact_id: Past(row.active, row.long_ago) for row in rows}


async def add(
    tx: AsyncConnection, tenant_id: UUID, campaign_id: UUID, contact_ids: Sequence[UUID]
) -> Mapping[UUID, UUID]:
    """Enrol contacts; the enrolments' ids by contact."""
    ids = {contact_id: uuid7() for contact_id in contact_ids}
    new = {"ids": list(ids.values()), "contact_ids": list(ids)}
    await tx.execute(_ADD, {"tenant_id": tenant_id, "campaign_id": campaign_id, **new})
    return ids


async def pause(tx: AsyncConnection, tenant_id: UUID, ids: Collection[UUID]) -> frozenset[UUID]:
    """Pause active enrolments; what comes due meanwhile is held. The ids of those paused."""
    return await _changed(tx, _PAUSE, tenant_id=tenant_id, ids=list(ids))


async def resume(tx: AsyncConnection, tenant_id: UUID, ids: Collection[UUID]) -> frozenset[UUID]:
    """Let paused enrolments go on with the time they had left; the ids of those resumed."""
    return await _changed(tx, _RESUME, tenant_id=tenant_id, ids=list(ids))


async def cancel(tx: AsyncConnection, tenant_id: UUID, ids: Collection[UUID], reason: str) -> frozenset[UUID]:
    """End enrolments that go on, and cancel what is open of them; the ids of those ended."""
    return await _changed(tx, _CANCEL, tenant_id=tenant_id, ids=list(ids), reason=reason)


async def in_cancelled_campaigns(
    tx: AsyncConnection, limit: int, campaign_id: UUID | None = None
) -> Sequence[Key]:
    """Enrolments that still go on although their campaign was cancelled; of one campaign or of any."""
    rows = await tx.execute(_IN_CANCELLED, {"limit": limit, "campaign_id": campaign_id})
    return [(row.tenant_id, row.id) for row in rows]


async def set_campaign_status(tx: AsyncConnection, tenant_id: UUID, campaign_id: UUID, status: str) -> bool:
    """Make a campaign active, paused or cancelled; False where it is cancelled already or there is none."""
    wanted = {"tenant_id": tenant_id, "campaign_id": campaign_id, "status": status}
    return (await tx.execute(_SET_STATUS, wanted)).one_or_none() is not None


async def release_campaigns(tx: AsyncConnection, limit: int, campaign_id: UUID | None = None) -> int:
    """Put back what is held of campaigns that were resumed, of one or of any; how many, up to `limit`."""
    wanted = {"limit": limit, "campaign_id": campaign_id}
    released = (await tx.execute(_RELEASE_CAMPAIGNS, wanted)).rowcount
    if released < limit:
        await tx.execute(_ALL_RELEASED)
    return released


async def _changed(tx: AsyncConnection, statement: Any, **values: Any) -> frozenset[UUID]:
    return frozenset((await tx.execute(statement, values)).scalars())
