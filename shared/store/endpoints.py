"""Webhook endpoints: where a provider posts for a tenant, and the keys it signs with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, insert, select, text

from shared.errors import NotFound
from shared.store.database import AsyncConnection
from shared.store.ids import uuid7
from shared.store.pages import Page, row_of, rows_of
from shared.store.tables import webhook_endpoints, webhook_keys


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint with the sealed keys that are valid now, the newest first."""

    id: UUID
    tenant_id: UUID
    provider: str
    keys: tuple[bytes, ...]


_FIND = text("""
select id, tenant_id, provider, array(
    select secret from webhook_keys
    where webhook_keys.tenant_id = webhook_endpoints.tenant_id and endpoint_id = webhook_endpoints.id
        and (expires_at is null or expires_at > now())
    order by webhook_keys.id desc
) as keys
from webhook_endpoints where id = any(cast(:ids as uuid[]))
""")

# The newest key stays valid for the overlap, so that posts signed before the change still pass; at most two
# keys are valid at any time.
_RETIRE = text("""
update webhook_keys set expires_at = case
    when id = (select id from webhook_keys
               where tenant_id = :tenant_id and endpoint_id = :endpoint_id
                   and (expires_at is null or expires_at > now())
               order by id desc limit 1)
    then least(expires_at, now() + cast(:overlap as interval)) else least(expires_at, now()) end
where tenant_id = :tenant_id and endpoint_id = :endpoint_id and (expires_at is null or expires_at > now())
""")


async def find(connection: AsyncConnection, ids: Sequence[UUID]) -> Mapping[UUID, Endpoint]:
    """Those of the endpoints that exist, whosever they are."""
    rows = await connection.execute(_FIND, {"ids": list(ids)})
    return {row.id: Endpoint(row.id, row.tenant_id, row.provider, tuple(row.keys)) for row in rows}


async def create(connection: AsyncConnection, tenant_id: UUID, provider: str, key: bytes) -> UUID:
    """Make an endpoint with its first sealed key; the endpoint's id."""
    endpoint_id = uuid7()
    await connection.execute(
        insert(webhook_endpoints).values(tenant_id=tenant_id, id=endpoint_id, provider=provider)
    )
    await _insert_key(connection, tenant_id, endpoint_id, key)
    return endpoint_id


async def page(connection: AsyncConnection, tenant_id: UUID, page: Page) -> list[Row[Any]]:
    """The tenant's endpoints: id, provider, created_at."""
    query = select(webhook_endpoints).where(webhook_endpoints.c.tenant_id == tenant_id)
    return await rows_of(connection, query, webhook_endpoints, page)


async def get(connection: AsyncConnection, tenant_id: UUID, endpoint_id: UUID) -> Row[Any]:
    """One endpoint: id, provider, created_at. Raises NotFound."""
    query = select(webhook_endpoints).where(
        webhook_endpoints.c.tenant_id == tenant_id, webhook_endpoints.c.id == endpoint_id
    )
    return await row_of(connection, query, "webhook endpoint")


async def keys(connection: AsyncConnection, tenant_id: UUID, endpoint_id: UUID) -> list[Row[Any]]:
    """An endpoint's keys, without what they are: id, created_at, expires_at."""
    query = select(webhook_keys.c.id, webhook_keys.c.created_at, webhook_keys.c.expires_at)
    query = query.where(webhook_keys.c.tenant_id == tenant_id, webhook_keys.c.endpoint_id == endpoint_id)
    return list(await connection.execute(query.order_by(webhook_keys.c.id)))


async def rotate_key(
    connection: AsyncConnection, tenant_id: UUID, endpoint_id: UUID, key: bytes, overlap: timedelta
) -> UUID:
    """Add a sealed key; the one before stays valid for `overlap`, older ones end. Raises NotFound."""
    await _lock(connection, tenant_id, endpoint_id)
    await connection.execute(
        _RETIRE, {"tenant_id": tenant_id, "endpoint_id": endpoint_id, "overlap": overlap}
    )
    return await _insert_key(connection, tenant_id, endpoint_id, key)


async def revoke_key(connection: AsyncConnection, tenant_id: UUID, endpoint_id: UUID, key_id: UUID) -> None:
    """Remove a key. Raises NotFound."""
    query = delete(webhook_keys).where(
        webhook_keys.c.tenant_id == tenant_id,
        webhook_keys.c.endpoint_id == endpoint_id,
        webhook_keys.c.id == key_id,
    )
    if (await connection.execute(query)).rowcount == 0:
        raise NotFound("There is no such key of this webhook endpoint.")


async def remove(connection: AsyncConnection, tenant_id: UUID, endpoint_id: UUID) -> None:
    """Remove an endpoint and its keys; what it delivered stays. Raises NotFound."""
    await get(connection, tenant_id, endpoint_id)
    await connection.execute(
        delete(webhook_endpoints).where(
            webhook_endpoints.c.tenant_id == tenant_id, webhook_endpoints.c.id == endpoint_id
        )
    )


async def _lock(connection: AsyncConnection, tenant_id: UUID, endpoint_id: UUID) -> None:
    query = select(webhook_endpoints.c.id).where(
        webhook_endpoints.c.tenant_id == tenant_id, webhook_endpoints.c.id == endpoint_id
    )
    if await connection.scalar(query.with_for_update()) is None:
        raise NotFound("There is no such webhook endpoint.")


async def _insert_key(connection: AsyncConnection, tenant_id: UUID, endpoint_id: UUID, key: bytes) -> UUID:
    key_id = uuid7()
    await connection.execute(
        insert(webhook_keys).values(tenant_id=tenant_id, id=key_id, endpoint_id=endpoint_id, secret=key)
    )
    return key_id
