"""One row or a page of them, in the order of their ids, which is the order they were made in."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, Table

from shared.errors import NotFound
from shared.store.database import AsyncConnection


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows of a list: at most `limit`, those behind the row `after`."""

    limit: int
    after: UUID | None = None


async def rows_of(
    connection: AsyncConnection, query: Select[Any], table: Table, page: Page
) -> list[Row[Any]]:
    """The page's rows of `query`, by the ids of `table`."""
    if page.after is not None:
        query = query.where(table.c.id > page.after)
    return list(await connection.execute(query.order_by(table.c.id).limit(page.limit)))


async def row_of(connection: AsyncConnection, query: Select[Any], what: str) -> Row[Any]:
    """The one row of `query`. Raises NotFound: there is no such `what`."""
    row: Row[Any] | None = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"There is no such {what}.")
    return row
