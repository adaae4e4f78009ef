"""Suppressions: addresses that nothing, no marketing, or nothing of a group is sent to."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import delete, get, post
from litestar.params import FromQuery, JSONBody, QueryParameter
from pydantic import Field

from services.gateway import addresses
from services.gateway.api.shapes import (
    MOST_ITEMS,
    Connection,
    Id,
    Listed,
    Paging,
    Shape,
    TenantId,
    Word,
    listed,
)
from services.gateway.problems import Problem, Refused
from shared.providers.base import Channel
from shared.store import suppressions
from shared.store.suppressions import Suppressed


class SuppressionData(Shape):
    """An address and how far it is suppressed."""

    channel: Channel
    address: Word
    scope: Annotated[str, Field(pattern=r"^(all|marketing|group:[A-Za-z0-9_.-]{1,64})$")] = "all"


class SuppressionBatch(Shape):
    """Addresses to suppress, and why."""

    suppressions: Annotated[list[SuppressionData], Field(min_length=1, max_length=MOST_ITEMS)]
    reason: Word = "manual"


class SuppressionResult(Shape):
    """What became of one address of a batch, at its place in the batch."""

    id: UUID | None = None
    problem: Problem | None = None


class SuppressionResults(Shape):
    """What became of a batch."""

    results: list[SuppressionResult]


class Suppression(Shape):
    """A suppression; the address is normalized."""

    id: UUID
    channel: Channel
    address: str
    scope: str
    reason: str
    created_at: datetime


@post("/suppressions", status_code=200)
async def add_suppressions(
    data: JSONBody[SuppressionBatch], tenant_id: TenantId, connection: Connection
) -> SuppressionResults:
    """Suppress addresses; one that is refused stops no other, one that is suppressed already stays so."""
    checked = [_normalized(item, place) for place, item in enumerate(data.suppressions)]
    wanted = list(dict.fromkeys(item for item in checked if isinstance(item, Suppressed)))
    ids = await suppressions.add(connection, tenant_id, wanted, data.reason)
    return SuppressionResults(
        results=[
            SuppressionResult(id=ids[item])
            if isinstance(item, Suppressed)
            else SuppressionResult(problem=item)
            for item in checked
        ]
    )


@get("/suppressions")
async def list_suppressions(
    tenant_id: TenantId,
    connection: Connection,
    page: Paging,
    channel: FromQuery[Channel] = "email",
    address: Annotated[str | None, QueryParameter(pattern=r"^[^\x00]{1,200}$")] = None,
) -> Listed[Suppression]:
    """Suppressions, or those of one address of a channel."""
    if address is not None:
        try:
            address = addresses.normalized(channel, address)
        except ValueError as error:
            raise Refused(400, str(error), "address") from error
    return listed(Suppression.of, await suppressions.page(connection, tenant_id, page, address), page)


@delete("/suppressions/{suppression_id:uuid}")
async def lift_suppression(suppression_id: Id, tenant_id: TenantId, connection: Connection) -> None:
    """Lift a suppression: the address may be written to again."""
    await suppressions.lift(connection, tenant_id, suppression_id)


def _normalized(item: SuppressionData, place: int) -> Suppressed | Problem:
    try:
        address = addresses.normalized(item.channel, item.address)
    except ValueError as error:
        return Problem(error="invalid", message=str(error), path=f"/suppressions/{place}/address")
    return Suppressed(item.channel, address, item.scope)


ROUTES = (add_suppressions, list_suppressions, lift_suppression)
