"""One-click unsubscribes: what a token's message was, and the event it becomes."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from shared.errors import NotFound
from shared.store.database import AsyncConnection
from shared.store.ids import uuid7

_MESSAGE = text("""
select
    actions.visit_id, actions.node_id, actions.campaign_id, actions.contact_id, actions.channel,
    coalesce(actions.recipient, contacts.email) as address, campaigns.unsubscribe_group
from scheduled_actions actions
join campaigns on campaigns.tenant_id = actions.tenant_id and campaigns.id = actions.campaign_id
join contacts on contacts.tenant_id = actions.tenant_id and contacts.id = actions.contact_id
where actions.tenant_id = :tenant_id and actions.id = :action_id
""")

_RECORD = text("""
insert into events (
    tenant_id, id, type, occurred_at, natural_key, provider, action_id, visit_id, campaign_id, contact_id,
    node_id, recipient
)
values (
    :tenant_id, :id, 'unsubscribe', now(), :natural_key, 'outreach', :action_id, :visit_id, :campaign_id,
    :contact_id, :node_id, :address
)
on conflict (tenant_id, natural_key) do nothing
returning id
""")

_EFFECT = text("update events set effect = :effect where tenant_id = :tenant_id and id = :id")


async def message(connection: AsyncConnection, tenant_id: UUID, action_id: UUID) -> Row[Any]:
    """What a send was: visit_id, node_id, campaign_id, contact_id, channel, address, unsubscribe_group.

    Raises NotFound.
    """
    asked = {"tenant_id": tenant_id, "action_id": action_id}
    row = (await connection.execute(_MESSAGE, asked)).one_or_none()
    if row is None:
        raise NotFound("There is no such message any more.")
    return row


async def record(
    connection: AsyncConnection, tenant_id: UUID, action_id: UUID, unsubscribed: Row[Any]
) -> UUID | None:
    """Write the event of a message's unsubscribe; its id, or None where it is known already."""
    values = {**unsubscribed._mapping, "tenant_id": tenant_id, "action_id": action_id}
    values |= {"id": uuid7(), "natural_key": b"unsubscribe" + action_id.bytes}
    event_id: UUID | None = await connection.scalar(_RECORD, values)
    return event_id


async def note_effect(connection: AsyncConnection, tenant_id: UUID, event_id: UUID, effect: str) -> None:
    """Write what the event did to its visit."""
    await connection.execute(_EFFECT, {"tenant_id": tenant_id, "id": event_id, "effect": effect})
