"""What became of the events of webhook bodies: found by what each says, and those that match no send."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from shared.store.database import AsyncConnection
from shared.store.sets import by_key

LOOKED = 2_000
"""Events that a page of unmatched ones looks at."""

# The copies of an event have one natural key, whichever delivery brought the first of them, and when.
_KNOWN = text(f"""
select a.natural_key, a.id, a.delivery_id, a.effect, a.action_id, a.contact_id, a.campaign_id, s.g, s.status
from unnest(cast(:keys as bytea[])) as wanted (key)
cross join lateral (
    select * from events e where e.tenant_id = :tenant_id and e.natural_key = wanted.key offset 0
) a
left join lateral {by_key("scheduled_actions", "a.action_id")} s on true
""")

_LOOK = text("""
with looked as (
    select id, effect from events where tenant_id = :tenant_id and id < :before order by id desc limit :most
)
select l.id, e.type, e.occurred_at, e.received_at, e.provider, e.automated, e.delivery_id, e.message_id,
    e.recipient, e.reason
from looked l
left join lateral (
    select * from events x where l.effect = 'unmatched' and x.tenant_id = :tenant_id and x.id = l.id offset 0
) e on true
order by l.id desc
""")

_LAST = UUID(int=2**128 - 1)


async def known(tx: AsyncConnection, tenant_id: UUID, keys: Sequence[bytes]) -> dict[bytes, Row[Any]]:
    """The tenant's events with these natural keys.

    Rows of id, delivery_id (which brought it first), effect, action_id, contact_id, campaign_id, and its
    send's g and status.
    """
    rows = await tx.execute(_KNOWN, {"tenant_id": tenant_id, "keys": list(keys)})
    return {bytes(row.natural_key): row for row in rows}


async def unmatched(
    tx: AsyncConnection, tenant_id: UUID, before: UUID | None, most: int
) -> tuple[list[Row[Any]], UUID | None]:
    """A tenant's latest events of no known send, among so many that are looked at; and where to go on."""
    asked = {"tenant_id": tenant_id, "before": before or _LAST, "most": most}
    rows = (await tx.execute(_LOOK, asked)).all()
    return [row for row in rows if row.type is not None], rows[-1].id if len(rows) == most else None
