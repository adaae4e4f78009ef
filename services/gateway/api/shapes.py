"""What every resource is made of: JSON in camelCase, lists in pages, ids of the caller's tenant."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, Self, TypeVar
from uuid import UUID

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.types import Scope
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.store.api_keys import StoredKey
from shared.store.database import AsyncConnection
from shared.store.pages import Page

MOST_ITEMS = 1000
"""The most items of a call that takes many."""

Id = FromPath[UUID]
"""An id in the path."""
TenantId = NamedDependency[UUID]
"""`tenant_of` the request."""
Connection = NamedDependency[AsyncConnection]
"""`connection_of` the request."""
Paging = NamedDependency[Page]
"""`page_of` the request."""

Word = Annotated[str, Field(min_length=1, max_length=200)]


class Shape(BaseModel):
    """A JSON object; one that comes in has no field that we do not know."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid", from_attributes=True
    )

    @classmethod
    def of(cls, row: Any) -> Self:
        """The object that shows a row of the store."""
        return cls.model_validate(row)


Item = TypeVar("Item", bound=Shape)


class Listed(Shape, Generic[Item]):
    """A page of a list. Ask again with `after` = `next` for what follows; null: there is no more."""

    items: list[Item]
    next: UUID | None


def listed(show: Callable[[Any], Item], rows: Sequence[Any], page: Page) -> Listed[Item]:
    """The page of these rows, as `show` shows each."""
    last = rows[-1].id if len(rows) == page.limit else None
    return Listed(items=[show(row) for row in rows], next=last)


def tenant_of(request: Request[StoredKey, Any, Any]) -> UUID:
    """Whose key the request came with: every id is looked up among this tenant's."""
    return request.user.tenant_id


def connection_of(scope: Scope) -> AsyncConnection:
    """The request's transaction."""
    connection: AsyncConnection = scope["state"]["connection"]
    return connection


def page_of(
    after: Annotated[UUID | None, QueryParameter(description="`next` of the page before.")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200, description="The most items of a page.")] = 50,
) -> Page:
    """Which page of a list is asked for."""
    return Page(limit, after)
