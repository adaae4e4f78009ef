"""Floods: as many due sends of a world's campaign as a test or a benchmark wants, in a statement."""

from sqlalchemy import text

from tests.journeys import World

_FILL = text("""
with contact as (
    insert into contacts (tenant_id, id, email)
    select :t, id, id || '@flood.example'
    from (select gen_random_uuid() as id from generate_series(1, :rows)) as new
    returning id
), enrolled as (
    insert into enrollments (tenant_id, id, campaign_id, contact_id)
    select :t, gen_random_uuid(), :c, id from contact returning id, contact_id
), visited as (
    insert into visits (tenant_id, id, enrollment_id, campaign_id, campaign_version, contact_id, node_id)
    select :t, gen_random_uuid(), id, :c, 1, contact_id, 'hello' from enrolled
    returning id, enrollment_id, contact_id
)
insert into scheduled_actions (
    tenant_id, id, kind, status, due_at, scheduled_at, enrollment_id, visit_id, campaign_id, contact_id,
    node_id, channel, sender_id
)
select :t, gen_random_uuid(), 'send', cast(:status as text), now(), now(), enrollment_id, id, :c, contact_id,
    'hello', 'email', :sender
from visited
""")

_SUPPRESS = text("""
insert into suppressions (tenant_id, id, channel, address, scope, reason)
select tenant_id, gen_random_uuid(), 'email', email, 'all', 'complained' from contacts where tenant_id = :t
""")


async def fill(world: World, rows: int, status: str = "pending") -> None:
    """So many contacts more, each with a send at the node `hello` that is due now."""
    values = {"t": world.tenant_id, "c": world.campaign_id, "sender": world.senders["email"]}
    await world.database.run(lambda tx: tx.execute(_FILL, {**values, "rows": rows, "status": status}))


async def suppress_everybody(world: World) -> None:
    """Nobody whom the world has now is written to."""
    await world.database.run(lambda tx: tx.execute(_SUPPRESS, {"t": world.tenant_id}))
