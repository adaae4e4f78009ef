"""Stored webhook bodies as an operator sees them: found by id, listed by state, and set going anew."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, TextClause, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.store.database import AsyncConnection
from shared.store.ids import id_time
from shared.store.pages import Page
from shared.store.sets import checked, columns


class Place(NamedTuple):
    """A delivery in a generation, and the day that it is kept under."""

    tenant_id: UUID
    id: UUID
    g: int
    received_at: datetime


# One probe of the key for each tenant there is, in the days in which the id can have been stored.
_FIND = text("""
select t.name as tenant, d.* from tenants t
cross join lateral (
    select * from deliveries x
    where x.tenant_id = t.id and x.id = :id and x.received_at between :first and :last offset 0
) d
""").columns(headers=JSONB)

SHOWN = """
x.id, x.g, x.provider, x.endpoint_id, x.received_at, x.state, x.state_at, x.retry_at, x.tries, x.reason,
x.events, octet_length(x.body) as bytes"""
"""The columns of a list, of deliveries `x`."""


def _latest(where: str) -> TextClause:
    return text(f"""
select {SHOWN} from deliveries x
where x.tenant_id = :tenant_id and (cast(:after as uuid) is null or x.id < :after) and {where}
order by x.id desc limit :most
""")


def _latest_open(state: str) -> TextClause:
    return text(f"""
select {SHOWN} from deliveries x
where x.state = '{state}' and x.tenant_id = :tenant_id and (
    cast(:after as uuid) is null or (x.received_at, x.id) < (
        (select received_at from deliveries where tenant_id = :tenant_id and id = :after), :after
    )
)
order by x.received_at desc, x.id desc limit :most
""")


_PAGES: dict[str | None, TextClause] = {
    None: _latest("true"),
    "failed": _latest("x.state = 'failed'"),
    **{state: _latest_open(state) for state in ("received", "processing", "parked")},
}
STATES = tuple(state for state in _PAGES if state is not None)
"""The states that have an index: what was processed is listed among all."""


def _waiting(state: str, columns: str, only: bool) -> TextClause:
    mine = "tenant_id = :tenant_id and " if only else ""
    return text(f"""
select tenant_id, id, g, received_at from deliveries
where state = '{state}' and {mine}(tenant_id, {columns}) > (:tenant_id, :{columns.replace(", ", ", :")})
order by tenant_id, {columns} limit :most
""")


_WAITING = {
    (state, only): _waiting(state, columns, only)
    for state, columns in (("failed", "id"), ("parked", "received_at, id"))
    for only in (False, True)
}
REPLAYED = ("failed", "parked")
"""The states of which all deliveries can be replayed."""

_LOCKED = f"""
    select d.tenant_id, d.id, d.received_at
    from unnest(
        cast(:tenant_id as uuid[]), cast(:id as uuid[]), cast(:g as int[]),
        cast(:received_at as timestamptz[])
    ) as wanted (tenant_id, id, g, received_at)
    join deliveries d using (tenant_id, id, received_at)
    where {checked("d.state = any(cast(:states as text[]))")} and d.g = wanted.g
    order by d.id for update of d
"""

_REPLAY = text(f"""
with locked as ({_LOCKED})
update deliveries d set
    state = 'received', g = d.g + 1, state_at = now(), retry_at = null, tries = 0, reason = null
from locked
where d.tenant_id = locked.tenant_id and d.id = locked.id and d.received_at = locked.received_at
returning d.tenant_id, d.id, d.provider, d.g
""")

_FAIL = text(f"""
with locked as ({_LOCKED})
update deliveries d set state = 'failed', state_at = now(), retry_at = null, reason = :reason
from locked
where d.tenant_id = locked.tenant_id and d.id = locked.id and d.received_at = locked.received_at
returning d.id
""")


async def find(tx: AsyncConnection, delivery_id: UUID) -> Row[Any] | None:
    """A delivery whole, by its id alone, with its tenant's name; None: there is none (any more)."""
    first, last = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
    if delivery_id.version == 7:
        first, last = (id_time(delivery_id) + timedelta(days=days) for days in (-1, 1))
    return (await tx.execute(_FIND, {"id": delivery_id, "first": first, "last": last})).one_or_none()


async def page(tx: AsyncConnection, tenant_id: UUID, state: str | None, page: Page) -> list[Row[Any]]:
    """A tenant's deliveries without their bodies, the latest first, in one of `STATES` or in any.

    `page.after` is the last one seen.
    """
    asked = {"tenant_id": tenant_id, "after": page.after, "most": page.limit}
    return list(await tx.execute(_PAGES[state], asked))


async def waiting(
    tx: AsyncConnection, state: str, only: UUID | None, after: Place | None, most: int
) -> list[Place]:
    """Deliveries in one of `REPLAYED`, of a tenant or all, at most so many behind `after`, by tenant."""
    none = UUID(int=0)
    first = after or Place(only or none, none, 0, datetime(1970, 1, 1, tzinfo=UTC))
    asked = {"tenant_id": first.tenant_id, "id": first.id, "received_at": first.received_at, "most": most}
    return [Place(*row) for row in await tx.execute(_WAITING[state, only is not None], asked)]


async def replay(tx: AsyncConnection, places: Sequence[Place], states: Collection[str]) -> list[Row[Any]]:
    """Let deliveries in one of the states be processed anew, under the next g: tenant_id, id, provider, g."""
    return list(await tx.execute(_REPLAY, {**columns(Place._fields, places), "states": list(states)}))


async def fail(
    tx: AsyncConnection, places: Sequence[Place], states: Collection[str], reason: str
) -> frozenset[UUID]:
    """End deliveries that are in one of the states; the ids of those."""
    values = {**columns(Place._fields, places), "states": list(states), "reason": reason}
    return frozenset((await tx.execute(_FAIL, values)).scalars())
