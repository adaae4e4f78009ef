"""A contact's timeline: who it is, where it is, and all that happened to it, a page at a time.

No text is longer than 500 characters: only its beginning is shown.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, text

from shared.errors import NotFound
from shared.store.database import AsyncConnection

FOUND = 20
"""A search finds no more contacts."""

ENROLMENTS = 20
"""No more enrolments of a contact are shown beside its timeline."""

_CONTACT = text("""
select c.tenant_id, c.id, left(t.name, 500) as tenant, left(c.external_id, 500) as external_id,
    left(c.email, 500) as email, left(c.phone, 500) as phone, c.created_at, c.deleted_at
from contacts c join tenants t on t.id = c.tenant_id
where c.tenant_id = :tenant_id and c.id = :contact_id
""")

_FIND = text("""
select c.id, left(c.external_id, 500) as external_id, left(c.email, 500) as email, left(c.phone, 500) as phone
from (
    (select id from contacts where tenant_id = :tenant_id and id = :id)
    union (select id from contacts where tenant_id = :tenant_id and external_id = :named)
    union (select id from contacts where tenant_id = :tenant_id and email = :email limit :most)
    union (select id from contacts where tenant_id = :tenant_id and phone = :phone limit :most)
) found
join contacts c on c.tenant_id = :tenant_id and c.id = found.id
order by c.id limit :most
""")

_SUPPRESSED = text("""
select channel, scope, left(reason, 500) as reason, created_at from suppressions
where tenant_id = :tenant_id
    and ((channel = 'email' and address = :email) or (channel = 'sms' and address = :phone))
order by channel, scope limit :most
""")

_ENROLLED = text("""
select e.id, e.campaign_id, left(c.name, 500) as campaign, c.status as campaign_status, e.status, e.exit,
    left(e.reason, 500) as reason, e.enrolled_at, e.exited_at, e.paused_at, v.node_id, v.entered_at
from enrollments e
join campaigns c on c.tenant_id = e.tenant_id and c.id = e.campaign_id
left join visits v on v.tenant_id = e.tenant_id and v.enrollment_id = e.id and v.left_at is null
where e.tenant_id = :tenant_id and e.contact_id = :contact_id
order by e.exited_at desc nulls first, e.id desc limit :most
""")


class Spot(NamedTuple):
    """A place in a timeline: when, what kind of row (enrolled, moved, action, event), and which."""

    at: datetime
    kind: str
    id: UUID


END = Spot(datetime(9999, 1, 1, tzinfo=UTC), "", UUID(int=0))
"""Behind everything, the future too."""

# What still waits stands at the time it waits for; what is done, where it was done.
_WHEN = """case when a.status = 'pending' then case a.kind when 'send' then a.due_at else a.scheduled_at end
    else coalesce(a.accepted_at, a.status_at) end"""

_BEFORE = "and ({at}, cast('{kind}' as text), {id}) < (:at, cast(:kind as text), :id)"
_LATEST = "order by 1 desc, 3 desc limit :most"


def _part(kind: str, at: str, key: str, rows: str) -> str:
    """The latest of one kind, behind a spot."""
    before = _BEFORE.format(at=at, kind=kind, id=key)
    return f"(select {at} as at, '{kind}' as kind, {key} as id from {rows} {before} {_LATEST})"


_SPOTS = text(
    f"""
{
        _part(
            "enrolled",
            "e.enrolled_at",
            "e.id",
            "enrollments e where e.tenant_id = :tenant_id and e.contact_id = :contact_id",
        )
    } union all {
        _part(
            "moved",
            "v.left_at",
            "v.id",
            "enrollments e join visits v on v.tenant_id = e.tenant_id and v.enrollment_id = e.id"
            " where e.tenant_id = :tenant_id and e.contact_id = :contact_id and v.left_at is not null",
        )
    } union all {
        _part(
            "action",
            _WHEN,
            "a.id",
            "scheduled_actions a where a.tenant_id = :tenant_id and a.contact_id = :contact_id",
        )
    } union all {
        _part(
            "event",
            "o.occurred_at",
            "o.id",
            "events o where o.tenant_id = :tenant_id and o.contact_id = :contact_id and o.occurred_at <= :at",
        )
    }
order by 1 desc, 2 desc, 3 desc limit :most
"""
)

_ENROLMENTS = text("""
select id, campaign_id from enrollments
where tenant_id = :tenant_id and id = any(cast(:ids as uuid[]))
""")

_MOVES = text("""
select v.id, v.campaign_id, v.node_id, v.edge, v.event_id, next.node_id as next_node, e.exit,
    left(e.reason, 500) as reason, o.occurred_at as event_at
from visits v
left join events o on o.tenant_id = v.tenant_id and o.id = v.event_id
join enrollments e on e.tenant_id = v.tenant_id and e.id = v.enrollment_id
left join lateral (
    select x.node_id from visits x
    where x.tenant_id = v.tenant_id and x.enrollment_id = v.enrollment_id and x.previous_visit_id = v.id
    limit 1
) next on true
where v.tenant_id = :tenant_id and v.id = any(cast(:ids as uuid[]))
""")

_ACTIONS = text("""
select id, g, kind, status, left(reason, 500) as reason, due_at, scheduled_at, status_at, created_at,
    campaign_id, node_id, channel, event_type, accepted_at, delivery_status, watermark,
    left(provider_message_id, 500) as message_id, left(recipient, 500) as recipient
from scheduled_actions where tenant_id = :tenant_id and id = any(cast(:ids as uuid[]))
""")

_EVENTS = text("""
select o.id, o.type, o.automated, o.effect, o.occurred_at, o.received_at, o.provider, o.delivery_id,
    o.action_id, o.campaign_id, o.node_id, o.bounce_class, left(o.url, 500) as url,
    left(o.reason, 500) as reason, v.campaign_version, v.edge, v.left_at
from events o
left join visits v on v.tenant_id = o.tenant_id and v.id = o.visit_id
where o.tenant_id = :tenant_id and o.id = any(cast(:ids as uuid[]))
""")

# Partitions of before the first of these sends was made are not looked at.
_ATTEMPTS = text("""
select action_id, submitted_at, ended_at, outcome, left(reason, 500) as reason, given_back from attempts
where tenant_id = :tenant_id and action_id = any(cast(:ids as uuid[])) and charged_at >= :since
order by submitted_at limit 500
""")

_SLACK = timedelta(hours=1)  # two servers' clocks


async def contact(tx: AsyncConnection, tenant_id: UUID, contact_id: UUID) -> Row[Any]:
    """Who a contact is, a deleted one too, with its tenant's name. Raises NotFound."""
    asked = {"tenant_id": tenant_id, "contact_id": contact_id}
    row = (await tx.execute(_CONTACT, asked)).one_or_none()
    if row is None:
        raise NotFound("There is no such contact.")
    return row


async def find(
    tx: AsyncConnection, tenant_id: UUID, contact_id: UUID | None, named: str, email: str, phone: str
) -> Sequence[Row[Any]]:
    """The tenant's contacts of an id, external id, or normalized address, `FOUND` at most.

    Rows of id, external_id, email and phone.
    """
    asked = {"id": contact_id, "named": named, "email": email, "phone": phone}
    return (await tx.execute(_FIND, {"tenant_id": tenant_id, "most": FOUND, **asked})).all()


async def suppressed(
    tx: AsyncConnection, tenant_id: UUID, email: str | None, phone: str | None
) -> Sequence[Row[Any]]:
    """What forbids to write to these addresses: channel, scope, reason, created_at."""
    asked = {"tenant_id": tenant_id, "email": email, "phone": phone, "most": FOUND}
    return (await tx.execute(_SUPPRESSED, asked)).all()


async def enrolled(tx: AsyncConnection, tenant_id: UUID, contact_id: UUID) -> Sequence[Row[Any]]:
    """A contact's enrolments, those that go on first, `ENROLMENTS` and one that says that there are more.

    With the campaign's name and status, and the node where the contact is since `entered_at`, if it goes on.
    """
    asked = {"tenant_id": tenant_id, "contact_id": contact_id, "most": ENROLMENTS + 1}
    return (await tx.execute(_ENROLLED, asked)).all()


async def spots(
    tx: AsyncConnection, tenant_id: UUID, contact_id: UUID, before: Spot, most: int
) -> Sequence[Spot]:
    """What happened to a contact, the latest first: enrolments, visits left, sends and timeouts, events."""
    asked = {"tenant_id": tenant_id, "contact_id": contact_id, "most": most, **before._asdict()}
    return [Spot(*row) for row in await tx.execute(_SPOTS, asked)]


async def enrolments(tx: AsyncConnection, tenant_id: UUID, ids: Collection[UUID]) -> Sequence[Row[Any]]:
    """The rows of spots of the kind `enrolled`: campaign_id."""
    return (await tx.execute(_ENROLMENTS, {"tenant_id": tenant_id, "ids": list(ids)})).all()


async def moves(tx: AsyncConnection, tenant_id: UUID, ids: Collection[UUID]) -> Sequence[Row[Any]]:
    """The rows of spots of the kind `moved`: where from, by which edge and event, to which node or exit."""
    return (await tx.execute(_MOVES, {"tenant_id": tenant_id, "ids": list(ids)})).all()


async def actions(tx: AsyncConnection, tenant_id: UUID, ids: Collection[UUID]) -> Sequence[Row[Any]]:
    """The rows of spots of the kind `action`: sends and timeouts."""
    return (await tx.execute(_ACTIONS, {"tenant_id": tenant_id, "ids": list(ids)})).all()


async def events(tx: AsyncConnection, tenant_id: UUID, ids: Collection[UUID]) -> Sequence[Row[Any]]:
    """The rows of spots of the kind `event`, with the version, edge and left_at of the visit it was of."""
    return (await tx.execute(_EVENTS, {"tenant_id": tenant_id, "ids": list(ids)})).all()


async def attempts(
    tx: AsyncConnection, tenant_id: UUID, ids: Collection[UUID], since: datetime
) -> Sequence[Row[Any]]:
    """The times that sends made since then reached their provider's door, in order; at most 500."""
    asked = {"tenant_id": tenant_id, "ids": list(ids), "since": since - _SLACK}
    return (await tx.execute(_ATTEMPTS, asked)).all()
