"""Suppressions: addresses that a tenant must not write to, wholly, for marketing, or for a group."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, delete, select, text

from shared.errors import NotFound
from shared.store.database import AsyncConnection
from shared.store.ids import uuid7
from shared.store.pages import Page, rows_of
from shared.store.sets import columns
from shared.store.tables import suppressions


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A normalized address and what is suppressed: `all`, `marketing`, or `group:<id>`."""

    channel: str
    address: str
    scope: str


_ADD = text("""
insert into suppressions as known (tenant_id, id, channel, address, scope, reason)
select :tenant_id, id, channel, address, scope, :reason from unnest(
    cast(:ids as uuid[]), cast(:channels as text[]), cast(:addresses as text[]), cast(:scopes as text[])
) as wanted (id, channel, address, scope)
order by channel, address, scope
on conflict (tenant_id, channel, address, scope) do update set reason = known.reason
returning channel, address, scope, id
""")


class Told(NamedTuple):
    """What an event says of an address; `id` is the row's, if it makes one.

    `contrary` is the type of event that says the opposite, for the same group.
    """

    tenant_id: UUID
    id: UUID
    channel: str
    address: str
    scope: str
    reason: str
    event_id: UUID
    at: datetime
    contrary: str | None
    group_id: str | None


# What is told late, or again, does not undo a later word: nobody is written to who unsubscribed after all.
_TOLD = """
(
    select * from unnest(
        cast(:tenant_id as uuid[]), cast(:id as uuid[]), cast(:channel as text[]),
        cast(:address as text[]), cast(:scope as text[]), cast(:reason as text[]),
        cast(:event_id as uuid[]), cast(:at as timestamptz[]), cast(:contrary as text[]),
        cast(:group_id as text[])
    ) as told (tenant_id, id, channel, address, scope, reason, event_id, at, contrary, group_id)
    where not exists (
        select 1 from events e
        where e.tenant_id = told.tenant_id and e.recipient = told.address and e.type = told.contrary
            and e.type in ('group_unsubscribe', 'group_resubscribe', 'opt_out', 'opt_in')
            and e.group_id is not distinct from told.group_id
            and least(e.occurred_at, e.received_at) > told.at
    )
) as told"""

# A tenant that is gone suppresses nobody.
_ADD_TOLD = text(f"""
insert into suppressions (tenant_id, id, channel, address, scope, reason, event_id)
select told.tenant_id, told.id, channel, address, scope, reason, event_id
from {_TOLD} join tenants t on t.id = told.tenant_id
order by told.tenant_id, channel, address, scope, told.reason
on conflict (tenant_id, channel, address, scope) do nothing
""")

_LIFT_TOLD = text(f"""
with lifted as (
    select s.tenant_id, s.id from {_TOLD} join suppressions s using (tenant_id, channel, address, scope)
    where s.reason = told.reason
    order by s.id for update of s
)
delete from suppressions s using lifted where s.tenant_id = lifted.tenant_id and s.id = lifted.id
""")


async def add_told(connection: AsyncConnection, told: Sequence[Told]) -> None:
    """Suppress addresses as events of several tenants say, where no later event says the contrary."""
    await connection.execute(_ADD_TOLD, columns(Told._fields, told))


async def lift_told(connection: AsyncConnection, told: Sequence[Told]) -> None:
    """Lift suppressions that were made for the reason told, where no later event says the contrary."""
    await connection.execute(_LIFT_TOLD, columns(Told._fields, told))


async def add(
    connection: AsyncConnection, tenant_id: UUID, wanted: Collection[Suppressed], reason: str
) -> Mapping[Suppressed, UUID]:
    """Suppress distinct addresses; who is suppressed already stays so, with the reason it had."""
    rows = await connection.execute(
        _ADD,
        {
            "tenant_id": tenant_id,
            "reason": reason,
            "ids": [uuid7() for _ in wanted],
            "channels": [item.channel for item in wanted],
            "addresses": [item.address for item in wanted],
            "scopes": [item.scope for item in wanted],
        },
    )
    return {Suppressed(row.channel, row.address, row.scope): row.id for row in rows}


async def page(
    connection: AsyncConnection, tenant_id: UUID, page: Page, address: str | None = None
) -> list[Row[Any]]:
    """The tenant's suppressions, or those of one normalized address."""
    query = select(suppressions).where(suppressions.c.tenant_id == tenant_id)
    if address is not None:
        query = query.where(suppressions.c.address == address)
    return await rows_of(connection, query, suppressions, page)


async def scopes(connection: AsyncConnection, tenant_id: UUID, channel: str, address: str) -> list[str]:
    """The scopes under which a normalized address is suppressed."""
    query = select(suppressions.c.scope).where(
        suppressions.c.tenant_id == tenant_id,
        suppressions.c.channel == channel,
        suppressions.c.address == address,
    )
    return list((await connection.execute(query)).scalars())


async def lift(connection: AsyncConnection, tenant_id: UUID, suppression_id: UUID) -> None:
    """Remove a suppression. Raises NotFound."""
    query = delete(suppressions).where(
        suppressions.c.tenant_id == tenant_id, suppressions.c.id == suppression_id
    )
    if (await connection.execute(query)).rowcount == 0:
        raise NotFound("There is no such suppression.")
