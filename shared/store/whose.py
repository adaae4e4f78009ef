"""Whose jobs: tenants and senders as a person names them, by id or by name."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from shared.errors import NotFound
from shared.store.database import AsyncConnection
from shared.store.ids import parsed

_LONGEST_NAME = 500
"""Characters that are read of a name: only its beginning is shown."""

_NAMES = text(
    f"select id, left(name, {_LONGEST_NAME}) as name from tenants where id = any(cast(:ids as uuid[]))"
)

_SENDER = f"select s.tenant_id, left(t.name, {_LONGEST_NAME}) as tenant, s.id, s.channel, s.address from "
_OF_TENANT = text(f"""
{_SENDER} senders s join tenants t on t.id = s.tenant_id
where s.tenant_id = :tenant_id order by s.id limit :most
""")

# Ids and addresses are unique within a tenant: a probe of a key for each tenant, and channel.
_NAMED = text(f"""
{_SENDER} tenants t cross join lateral (
    select * from senders x where x.tenant_id = t.id and x.id = :id offset 0
) s
where cast(:tenant_id as uuid) is null or t.id = :tenant_id
union all
{_SENDER} tenants t cross join (values ('email'), ('sms')) as c (channel) cross join lateral (
    select * from senders x
    where x.tenant_id = t.id and x.channel = c.channel and x.address = :named offset 0
) s
where cast(:tenant_id as uuid) is null or t.id = :tenant_id
limit :most
""")


_ADDRESSES = text("""
select s.id, s.address from unnest(cast(:tenant_id as uuid[]), cast(:id as uuid[])) as wanted (tenant_id, id)
cross join lateral (
    select * from senders x where x.tenant_id = wanted.tenant_id and x.id = wanted.id offset 0
) s
""")


async def names(tx: AsyncConnection, ids: Collection[UUID]) -> dict[UUID, str]:
    """Tenants' names by their ids; those that are none are left out."""
    return {row.id: row.name for row in await tx.execute(_NAMES, {"ids": list(ids)})} if ids else {}


async def addresses(tx: AsyncConnection, keys: Collection[tuple[UUID, UUID]]) -> dict[UUID, str]:
    """Senders' addresses by their ids, of (tenant, sender) pairs; those that are none are left out."""
    if not keys:
        return {}
    asked = {"tenant_id": [tenant_id for tenant_id, _ in keys], "id": [sender for _, sender in keys]}
    return {row.id: row.address for row in await tx.execute(_ADDRESSES, asked)}


async def senders(
    tx: AsyncConnection, tenant_id: UUID | None, named: str | None, most: int
) -> Sequence[Row[Any]]:
    """A tenant's senders, or those of one or all tenants with this id or address; at most so many.

    Rows of tenant_id, tenant (its name), id, channel and address. Raises NotFound: nobody is named so.
    """
    asked: dict[str, Any] = {"tenant_id": tenant_id, "most": most}
    if named is None:
        return (await tx.execute(_OF_TENANT, asked)).all()
    rows = (await tx.execute(_NAMED, {**asked, "id": parsed(named), "named": named})).all()
    if not rows:
        raise NotFound(f"There is no sender {named!r}.")
    return rows
