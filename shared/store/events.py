"""Events: which send each belongs to, each stored once, and what they prove of the sends."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.types import Interval

from shared.store.database import AsyncConnection
from shared.store.sets import columns


class Reference(NamedTuple):
    """What an event says about whose it is. `recipient` is set where the address may decide, at `at`."""

    tenant_id: UUID
    channel: str
    action_id: UUID | None
    message_id: str | None
    smtp_id: str | None
    recipient: str | None
    at: datetime


class Match(NamedTuple):
    """The send that a reference belongs to, as it was when it was looked up; not `sure`: by its address."""

    action_id: UUID
    visit_id: UUID
    campaign_id: UUID
    campaign_version: int
    node_id: str
    status: str
    message_id: str | None
    delivery_status: str | None
    sure: bool


class NewEvent(NamedTuple):
    """A row of `events`; whose it is follows from its action, a send or a timeout. `raw` is JSON."""

    tenant_id: UUID
    id: UUID
    type: str
    occurred_at: datetime
    received_at: datetime
    natural_key: bytes
    automated: str
    provider: str
    provider_event_id: str | None
    delivery_id: UUID | None
    action_id: UUID | None
    message_id: str | None
    smtp_id: str | None
    recipient: str | None
    url: str | None
    reason: str | None
    bounce_class: str | None
    group_id: str | None
    effect: str
    raw: str | None


class Proof(NamedTuple):
    """What events prove of a send: that it was accepted, by `at`, and what the provider last said of it."""

    tenant_id: UUID
    action_id: UUID
    at: datetime
    message_id: str | None
    delivery_status: str | None


class Accepted(NamedTuple):
    """A send that was not known to be accepted, and now is."""

    tenant_id: UUID
    action_id: UUID
    visit_id: UUID
    accepted_at: datetime


DELIVERY_STATUSES = (
    *("processed", "sent", "deferred", "delivered"),
    *("undelivered", "failed", "dropped", "bounce", "spam_report"),
)
"""What a provider can say of a message; it only rises."""

# Our own id is sure, a message id nearly; an address only tells the latest message to it, so it decides where
# nothing else can, and never for a message that is known under another id.
_CORRELATE = text("""
select
    wanted.n, a.id, a.visit_id, a.campaign_id, v.campaign_version, a.node_id, a.status,
    a.provider_message_id, a.delivery_status, named.id is not null
from unnest(
    cast(:tenant_id as uuid[]), cast(:channel as text[]), cast(:action_id as uuid[]),
    cast(:message_id as text[]), cast(:smtp_id as text[]), cast(:recipient as text[]),
    cast(:at as timestamptz[])
) with ordinality as wanted (tenant_id, channel, action_id, message_id, smtp_id, recipient, at, n)
cross join lateral (
    select coalesce(
        (
            select x.id from scheduled_actions x
            where x.tenant_id = wanted.tenant_id and x.id = wanted.action_id and x.kind = 'send'
        ), (
            select x.id from scheduled_actions x
            where x.tenant_id = wanted.tenant_id and x.provider_message_id = wanted.message_id limit 1
        ), (
            select e.action_id from events e
            where e.tenant_id = wanted.tenant_id and e.smtp_id = wanted.smtp_id
                and e.action_id is not null limit 1
        )
    ) as id
) named
cross join lateral (
    select coalesce(
        named.id, (
            select x.id from scheduled_actions x
            where x.tenant_id = wanted.tenant_id and x.recipient = wanted.recipient
                and x.channel = wanted.channel
                and x.status_at between wanted.at - :match_window and wanted.at + interval '1 hour'
                and (wanted.message_id is null or x.provider_message_id is null)
            order by x.status_at desc limit 1
        )
    ) as id
) found
join scheduled_actions a on a.tenant_id = wanted.tenant_id and a.id = found.id
join visits v on v.tenant_id = a.tenant_id and v.id = a.visit_id
""").bindparams(bindparam("match_window", type_=Interval))

# The natural key is the truth about copies: their ids change. A tenant that is gone has no events.
_INSERT = text("""
insert into events (
    tenant_id, id, type, occurred_at, received_at, natural_key, automated, provider, provider_event_id,
    delivery_id, action_id, visit_id, campaign_id, contact_id, node_id, message_id, smtp_id, recipient, url,
    reason, bounce_class, group_id, effect, raw
)
select
    n.tenant_id, n.id, type, occurred_at, received_at, natural_key, automated, provider, provider_event_id,
    delivery_id, a.id, a.visit_id, a.campaign_id, a.contact_id, a.node_id, message_id, smtp_id, n.recipient,
    url, n.reason, bounce_class, group_id, effect, cast(raw as jsonb)
from unnest(
    cast(:tenant_id as uuid[]), cast(:id as uuid[]), cast(:type as text[]),
    cast(:occurred_at as timestamptz[]), cast(:received_at as timestamptz[]),
    cast(:natural_key as bytea[]), cast(:automated as text[]), cast(:provider as text[]),
    cast(:provider_event_id as text[]), cast(:delivery_id as uuid[]), cast(:action_id as uuid[]),
    cast(:message_id as text[]), cast(:smtp_id as text[]), cast(:recipient as text[]),
    cast(:url as text[]), cast(:reason as text[]), cast(:bounce_class as text[]),
    cast(:group_id as text[]), cast(:effect as text[]), cast(:raw as text[])
) as n (
    tenant_id, id, type, occurred_at, received_at, natural_key, automated, provider, provider_event_id,
    delivery_id, action_id, message_id, smtp_id, recipient, url, reason, bounce_class, group_id, effect, raw
)
join tenants t on t.id = n.tenant_id
left join scheduled_actions a on a.tenant_id = n.tenant_id and a.id = n.action_id
order by n.tenant_id, natural_key
on conflict (tenant_id, natural_key) do nothing
returning id
""")

# Whatever state a send is in that was at the provider's door: an event of it proves that it went through. A
# restored database does not know of the door; there it is what became unknown.
_PROVE = text("""
with proof as (
    select * from unnest(
        cast(:tenant_id as uuid[]), cast(:action_id as uuid[]), cast(:at as timestamptz[]),
        cast(:message_id as text[]), cast(:delivery_status as text[])
    ) as proof (tenant_id, action_id, at, message_id, delivery_status)
), locked as (
    select
        a.tenant_id, a.id, proof.at, proof.message_id,
        a.status = 'unknown' or (a.status = 'failed' and a.reason = 'unconfirmed') or (
            a.recipient is not null and a.status in ('submitting', 'pending', 'enqueued', 'held')
        ) as accepted,
        case when coalesce(array_position(cast(:statuses as text[]), a.delivery_status), 0)
            < coalesce(array_position(cast(:statuses as text[]), proof.delivery_status), 0)
            then proof.delivery_status else a.delivery_status end as delivery_status
    from proof join scheduled_actions a on a.tenant_id = proof.tenant_id and a.id = proof.action_id
    order by a.id for update of a
), changed as (
    update scheduled_actions a set
        status = case when locked.accepted then 'accepted' else a.status end,
        status_at = case when locked.accepted then now() else a.status_at end,
        reason = case when locked.accepted then null else a.reason end,
        accepted_at = case when locked.accepted
            then greatest(a.created_at, least(locked.at, now())) else a.accepted_at end,
        provider_message_id = coalesce(a.provider_message_id, locked.message_id),
        delivery_status = locked.delivery_status
    from locked where a.tenant_id = locked.tenant_id and a.id = locked.id
    returning a.tenant_id, a.id, a.visit_id, a.accepted_at, locked.accepted
)
select tenant_id, id, visit_id, accepted_at from changed where accepted
""")

_SET_EFFECTS = text("""
update events e set effect = told.effect
from unnest(cast(:tenant_id as uuid[]), cast(:id as uuid[]), cast(:effect as text[]))
    as told (tenant_id, id, effect)
where e.tenant_id = told.tenant_id and e.id = told.id
""")


async def correlate(
    tx: AsyncConnection, references: Sequence[Reference], match_window: timedelta
) -> Mapping[Reference, Match]:
    """The sends that references belong to, each within its tenant, where there is one."""
    values = {**columns(Reference._fields, references), "match_window": match_window}
    rows = await tx.execute(_CORRELATE, values)
    return {references[row[0] - 1]: Match(*row[1:]) for row in rows}


async def insert(tx: AsyncConnection, events: Sequence[NewEvent]) -> frozenset[UUID]:
    """Store events; the ids of those that were not known by their natural key."""
    return frozenset((await tx.execute(_INSERT, columns(NewEvent._fields, events))).scalars())


async def prove(tx: AsyncConnection, proofs: Sequence[Proof]) -> list[Accepted]:
    """Let the status of sends rise to what events prove; their visits are locked. Those newly accepted."""
    values = {**columns(Proof._fields, proofs), "statuses": list(DELIVERY_STATUSES)}
    return [Accepted(*row) for row in await tx.execute(_PROVE, values)]


async def set_effects(tx: AsyncConnection, effects: Sequence[tuple[UUID, UUID, str]]) -> None:
    """Note what events did: tenant, event, effect."""
    await tx.execute(_SET_EFFECTS, columns(("tenant_id", "id", "effect"), effects))
