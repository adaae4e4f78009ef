"""Rate limits: what overrides the defaults, of the tenant on a channel or of one sender."""

from typing import Annotated
from uuid import UUID

from litestar import get, put
from litestar.params import FromPath, JSONBody
from pydantic import Field

from services.gateway.api.shapes import Connection, Id, Shape, TenantId
from services.gateway.callers import SCOPE
from shared.limits.config import MAX_LIMIT
from shared.providers.base import Channel
from shared.store import limit_overrides, senders
from shared.store.api_keys import Scope
from shared.store.database import AsyncConnection

_ADMIN = {SCOPE: Scope.ADMIN}

Limit = Annotated[int, Field(ge=0, le=MAX_LIMIT)]


class Limits(Shape):
    """The most units in any minute, hour and day, and the most sends at once; null: the default."""

    minute: Limit | None = None
    hour: Limit | None = None
    day: Limit | None = None
    concurrent: Limit | None = None


class Override(Shape):
    """What overrides the defaults; `senderId` null: of the tenant on the channel."""

    channel: Channel
    sender_id: UUID | None
    limits: Limits


class Overrides(Shape):
    """All of a tenant's overrides."""

    items: list[Override]


@get("/limits")
async def list_limits(tenant_id: TenantId, connection: Connection) -> Overrides:
    """What overrides the default limits."""
    return Overrides(items=[Override.of(row) for row in await limit_overrides.read(connection, tenant_id)])


@put("/limits/{channel:str}", opt=_ADMIN)
async def set_limits(
    channel: FromPath[Channel], data: JSONBody[Limits], tenant_id: TenantId, connection: Connection
) -> Overrides:
    """Override the limits of the tenant on a channel; workers follow within seconds."""
    return await _replaced(connection, tenant_id, channel, None, data)


@put("/senders/{sender_id:uuid}/limits", opt=_ADMIN)
async def set_sender_limits(
    sender_id: Id, data: JSONBody[Limits], tenant_id: TenantId, connection: Connection
) -> Overrides:
    """Override the limits of one sender; workers follow within seconds."""
    sender = await senders.get(connection, tenant_id, sender_id)
    return await _replaced(connection, tenant_id, sender.channel, sender_id, data)


async def _replaced(
    connection: AsyncConnection, tenant_id: UUID, channel: str, sender_id: UUID | None, limits: Limits
) -> Overrides:
    wanted = limits.model_dump(exclude_none=True)
    await limit_overrides.replace(connection, tenant_id, channel, sender_id, wanted)
    return Overrides(items=[Override.of(row) for row in await limit_overrides.read(connection, tenant_id)])


ROUTES = (list_limits, set_limits, set_sender_limits)
