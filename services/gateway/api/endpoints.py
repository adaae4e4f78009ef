"""Webhook endpoints and the rotation of their keys."""

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from litestar import delete, get, post
from litestar.params import JSONBody
from pydantic import Field, SecretStr

from services.gateway.api.installation import Here, Installation
from services.gateway.api.shapes import Connection, Id, Listed, Paging, Shape, TenantId, Word, listed
from services.gateway.callers import SCOPE
from services.gateway.webhooks import PREFIX
from shared.providers import PROVIDERS
from shared.store import endpoints
from shared.store.api_keys import Scope
from shared.store.database import AsyncConnection

_ADMIN = {SCOPE: Scope.ADMIN}

Secret = Annotated[SecretStr, Field(min_length=1, max_length=2000)]


class NewEndpoint(Shape):
    """Where a provider is to post. `key` is what it signs with: a public key, or Twilio's auth token."""

    provider: Word
    key: Secret


class NewKey(Shape):
    """The next key; the one before stays valid for `overlap`."""

    key: Secret
    overlap: Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=30))] = timedelta(days=1)


class Endpoint(Shape):
    """A webhook endpoint; `url` is what the provider is told."""

    id: UUID
    provider: str
    url: str
    created_at: datetime


class EndpointKey(Shape):
    """A key, without what it is."""

    id: UUID
    created_at: datetime
    expires_at: datetime | None


class EndpointDetail(Endpoint):
    """A webhook endpoint and its keys."""

    keys: list[EndpointKey]


@post("/webhook-endpoints", opt=_ADMIN)
async def create_endpoint(
    data: JSONBody[NewEndpoint], tenant_id: TenantId, connection: Connection, installation: Here
) -> EndpointDetail:
    """Make a webhook endpoint."""
    PROVIDERS[data.provider]
    endpoint_id = await endpoints.create(
        connection, tenant_id, data.provider, _sealed(data.key, installation)
    )
    return await _detail(connection, tenant_id, endpoint_id, installation)


@get("/webhook-endpoints", opt=_ADMIN)
async def list_endpoints(
    tenant_id: TenantId, connection: Connection, page: Paging, installation: Here
) -> Listed[Endpoint]:
    """Webhook endpoints."""
    rows = await endpoints.page(connection, tenant_id, page)
    return listed(lambda row: _shown(row, installation), rows, page)


@get("/webhook-endpoints/{endpoint_id:uuid}", opt=_ADMIN)
async def get_endpoint(
    endpoint_id: Id, tenant_id: TenantId, connection: Connection, installation: Here
) -> EndpointDetail:
    """One webhook endpoint and its keys."""
    return await _detail(connection, tenant_id, endpoint_id, installation)


@delete("/webhook-endpoints/{endpoint_id:uuid}", opt=_ADMIN)
async def delete_endpoint(endpoint_id: Id, tenant_id: TenantId, connection: Connection) -> None:
    """Remove a webhook endpoint; what it delivered stays."""
    await endpoints.remove(connection, tenant_id, endpoint_id)


@post("/webhook-endpoints/{endpoint_id:uuid}/keys", opt=_ADMIN)
async def rotate_key(
    endpoint_id: Id, data: JSONBody[NewKey], tenant_id: TenantId, connection: Connection, installation: Here
) -> EndpointDetail:
    """Give an endpoint its next key; posts signed with the one before pass until the overlap ends."""
    key = _sealed(data.key, installation)
    await endpoints.rotate_key(connection, tenant_id, endpoint_id, key, data.overlap)
    return await _detail(connection, tenant_id, endpoint_id, installation)


@delete("/webhook-endpoints/{endpoint_id:uuid}/keys/{key_id:uuid}", opt=_ADMIN)
async def revoke_key(endpoint_id: Id, key_id: Id, tenant_id: TenantId, connection: Connection) -> None:
    """End a key within seconds."""
    await endpoints.revoke_key(connection, tenant_id, endpoint_id, key_id)


async def _detail(
    connection: AsyncConnection, tenant_id: UUID, endpoint_id: UUID, installation: Installation
) -> EndpointDetail:
    endpoint = _shown(await endpoints.get(connection, tenant_id, endpoint_id), installation)
    keys = [EndpointKey.of(row) for row in await endpoints.keys(connection, tenant_id, endpoint_id)]
    return EndpointDetail(**endpoint.model_dump(), keys=keys)


def _shown(row: Any, installation: Installation) -> Endpoint:
    url = f"{installation.public_url}{PREFIX}{row.id}"
    return Endpoint(id=row.id, provider=row.provider, url=url, created_at=row.created_at)


def _sealed(key: SecretStr, installation: Installation) -> bytes:
    return installation.webhook_keys.seal(key.get_secret_value().encode())


ROUTES = (create_endpoint, list_endpoints, get_endpoint, delete_endpoint, rotate_key, revoke_key)
