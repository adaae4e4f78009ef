"""Tenants."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select, update
from sqlalchemy.dialects.postgresql import insert

from shared.errors import Conflict, NotFound
from shared.store.database import AsyncConnection
from shared.store.ids import parsed, uuid7
from shared.store.pages import Page, rows_of
from shared.store.tables import tenants


async def create(connection: AsyncConnection, name: str, weight: int = 1) -> UUID:
    """Make a tenant; its id. Its share of the workers is its weight among all. Raises Conflict."""
    statement = insert(tenants).values(id=uuid7(), name=name, weight=weight)
    tenant_id = await connection.scalar(
        statement.on_conflict_do_nothing(index_elements=["name"]).returning(tenants.c.id)
    )
    if tenant_id is None:
        raise Conflict(f"There is a tenant named {name!r}: choose another name.")
    return UUID(str(tenant_id))


async def page(connection: AsyncConnection, page: Page) -> list[Row[Any]]:
    """Tenants: id, name, weight, unknown_policy, created_at."""
    return await rows_of(connection, select(tenants), tenants, page)


async def named(connection: AsyncConnection, name: str) -> UUID:
    """The id of the tenant with this name. Raises NotFound."""
    tenant_id = await connection.scalar(select(tenants.c.id).where(tenants.c.name == name))
    if tenant_id is None:
        raise NotFound(f"There is no tenant named {name!r}.")
    return UUID(str(tenant_id))


async def called(connection: AsyncConnection, words: str) -> Row[Any]:
    """The id and the name of the tenant of this name or, where none has it, of this id. Raises NotFound."""
    found: Select[Any] = select(tenants.c.id, tenants.c.name)
    row: Row[Any] | None = (await connection.execute(found.where(tenants.c.name == words))).one_or_none()
    tenant_id = parsed(words) if row is None else None
    if tenant_id is not None:
        row = (await connection.execute(found.where(tenants.c.id == tenant_id))).one_or_none()
    if row is None:
        raise NotFound(f"There is no tenant named {words!r}.")
    return row


async def weigh(connection: AsyncConnection, name: str, weight: int) -> UUID:
    """Give the tenant with this name its share of the workers; its id. Raises NotFound."""
    tenant_id = await named(connection, name)
    await connection.execute(update(tenants).values(weight=weight).where(tenants.c.id == tenant_id))
    return tenant_id
