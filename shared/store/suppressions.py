"""Suppressions: addresses that a tenant must not write to, wholly, for marketing, or for a group."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, select, text

from shared.errors import NotFound
from shared.store.database import AsyncConnection
from shared.store.ids import uuid7
from shared.store.pages import Page, rows_of
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


async def lift(connection: AsyncConnection, tenant_id: UUID, suppression_id: UUID) -> None:
    """Remove a suppression. Raises NotFound."""
    query = delete(suppressions).where(
        suppressions.c.tenant_id == tenant_id, suppressions.c.id == suppression_id
    )
    if (await connection.execute(query)).rowcount == 0:
        raise NotFound("There is no such suppression.")
