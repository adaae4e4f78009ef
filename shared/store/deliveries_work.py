"""Stored webhook bodies in work: `received` to `processing`, and from there to `processed` or `parked`."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB

from shared.store.database import AsyncConnection
from shared.store.sets import checked, columns


class DeliveryClaim(NamedTuple):
    """A delivery as its job names it."""

    tenant_id: UUID
    id: UUID
    g: int


class Delivery(NamedTuple):
    """A body in work; `tries` is how often it was parked."""

    tenant_id: UUID
    id: UUID
    received_at: datetime
    g: int
    provider: str
    headers: dict[str, str]
    query: str
    body: bytes
    tries: int

    @property
    def claim(self) -> DeliveryClaim:
        """What it was claimed by."""
        return DeliveryClaim(self.tenant_id, self.id, self.g)


class Finished(NamedTuple):
    """What became of a delivery: how many new events it held, and when to look again if it is parked."""

    tenant_id: UUID
    id: UUID
    received_at: datetime
    events: int
    park: timedelta | None


_WANTED = """
unnest(cast(:tenant_id as uuid[]), cast(:id as uuid[]), cast(:g as int[])) as wanted (tenant_id, id, g)"""

_BEGIN = text(f"""
with mine as (
    select d.tenant_id, d.id, d.received_at from {_WANTED} join deliveries d using (tenant_id, id)
    where {checked("d.state in ('received', 'processing')")} and d.g = wanted.g
    order by d.id for update of d
)
update deliveries d set state = 'processing', state_at = now()
from mine
where d.tenant_id = mine.tenant_id and d.id = mine.id and d.received_at = mine.received_at
returning d.tenant_id, d.id, d.received_at, d.g, d.provider, d.headers, d.query, d.body, d.tries
""").columns(headers=JSONB)

_LOCK = text(f"""
select d.tenant_id, d.id, d.g from unnest(
    cast(:tenant_id as uuid[]), cast(:id as uuid[]), cast(:g as int[]), cast(:received_at as timestamptz[])
) as wanted (tenant_id, id, g, received_at)
join deliveries d using (tenant_id, id, received_at)
where {checked("d.state = 'processing'")} and d.g = wanted.g
order by d.id for update of d
""")

# A parked delivery is of the next generation at once: its old job can do nothing more to it.
_FINISH = text("""
update deliveries d set
    state = case when done.park is null then 'processed' else 'parked' end,
    state_at = now(),
    g = d.g + case when done.park is null then 0 else 1 end,
    tries = d.tries + case when done.park is null then 0 else 1 end,
    retry_at = now() + done.park,
    events = coalesce(d.events, 0) + done.events
from unnest(
    cast(:tenant_id as uuid[]), cast(:id as uuid[]), cast(:received_at as timestamptz[]),
    cast(:events as int[]), cast(:park as interval[])
) as done (tenant_id, id, received_at, events, park)
where d.tenant_id = done.tenant_id and d.id = done.id and d.received_at = done.received_at
""")


async def begin(tx: AsyncConnection, claims: Sequence[DeliveryClaim]) -> list[Delivery]:
    """Mark deliveries as processing under the g they were claimed with; those that are still open."""
    return [Delivery(*row) for row in await tx.execute(_BEGIN, columns(DeliveryClaim._fields, claims))]


async def lock(tx: AsyncConnection, deliveries: Collection[Delivery]) -> frozenset[DeliveryClaim]:
    """Lock deliveries until the transaction ends; those that are still ours to process."""
    rows = [(each.tenant_id, each.id, each.g, each.received_at) for each in deliveries]
    found = await tx.execute(_LOCK, columns(("tenant_id", "id", "g", "received_at"), rows))
    return frozenset(DeliveryClaim(*row) for row in found)


async def finish(tx: AsyncConnection, finished: Sequence[Finished]) -> None:
    """Write what became of locked deliveries."""
    await tx.execute(_FINISH, columns(Finished._fields, finished))
