"""Senders and the provider accounts behind them. Credentials go in and never come out."""

import json
from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

from litestar import get, post, put
from litestar.params import JSONBody
from pydantic import Field, SecretStr

from services.gateway import addresses
from services.gateway.api.installation import Here, Installation
from services.gateway.api.shapes import Connection, Id, Listed, Paging, Shape, TenantId, Word, listed
from services.gateway.callers import SCOPE
from services.gateway.problems import Refused
from shared.providers import PROVIDERS
from shared.providers.base import Channel
from shared.store import senders
from shared.store.api_keys import Scope
from shared.store.database import AsyncConnection

_ADMIN = {SCOPE: Scope.ADMIN}

Credentials = Annotated[dict[Word, SecretStr], Field(max_length=20)]


class NewAccount(Shape):
    """An account with a provider: `api_key` of sendgrid, `account_sid` and `auth_token` of twilio."""

    provider: Word
    credentials: Credentials
    base_url: Annotated[str, Field(max_length=500)] | None = None
    """Replaces the provider's own address, as for SendGrid's EU region."""


class NewCredentials(Shape):
    """Other credentials for an account."""

    credentials: Credentials


class Account(Shape):
    """A provider account, without its credentials."""

    id: UUID
    provider: str
    base_url: str | None
    created_at: datetime


class NewSender(Shape):
    """Whom messages come from: an address on one channel, sent through one account."""

    provider_account_id: UUID
    channel: Channel
    address: Word
    name: Annotated[str, Field(max_length=200)] = ""


class Sender(Shape):
    """A sender."""

    id: UUID
    provider_account_id: UUID
    channel: Channel
    address: str
    name: str
    created_at: datetime


class Closure(Shape):
    """Why a sender is closed; `until` null: until an operator reopens it."""

    reason: str
    closed_at: datetime
    until: datetime | None


class SenderDetail(Sender):
    """A sender, and what closes it."""

    closures: list[Closure]


@post("/provider-accounts", opt=_ADMIN)
async def create_account(
    data: JSONBody[NewAccount], tenant_id: TenantId, connection: Connection, installation: Here
) -> Account:
    """Make a provider account."""
    PROVIDERS[data.provider]
    if not installation.development:
        _refuse_misuse(data)
    account_id = await senders.create_account(
        connection, tenant_id, data.provider, _sealed(data.credentials, installation), data.base_url
    )
    return Account.of(await senders.account(connection, tenant_id, account_id))


@get("/provider-accounts", opt=_ADMIN)
async def list_accounts(tenant_id: TenantId, connection: Connection, page: Paging) -> Listed[Account]:
    """Provider accounts."""
    return listed(Account.of, await senders.accounts(connection, tenant_id, page), page)


@get("/provider-accounts/{account_id:uuid}", opt=_ADMIN)
async def get_account(account_id: Id, tenant_id: TenantId, connection: Connection) -> Account:
    """One provider account."""
    return Account.of(await senders.account(connection, tenant_id, account_id))


@put("/provider-accounts/{account_id:uuid}/credentials", opt=_ADMIN, status_code=204)
async def replace_credentials(
    account_id: Id,
    data: JSONBody[NewCredentials],
    tenant_id: TenantId,
    connection: Connection,
    installation: Here,
) -> None:
    """Give an account other credentials; sends from now on use them."""
    sealed = _sealed(data.credentials, installation)
    await senders.replace_credentials(connection, tenant_id, account_id, sealed)


@post("/senders", opt=_ADMIN)
async def create_sender(
    data: JSONBody[NewSender], tenant_id: TenantId, connection: Connection
) -> SenderDetail:
    """Make a sender."""
    account = await senders.account(connection, tenant_id, data.provider_account_id)
    if data.channel not in PROVIDERS[account.provider].channels:
        raise Refused(422, f"{account.provider} does not send {data.channel}.", "/channel")
    sender_id = await senders.create(
        connection, tenant_id, data.provider_account_id, data.channel, _address(data), data.name
    )
    return await _detail(connection, tenant_id, sender_id)


@get("/senders")
async def list_senders(tenant_id: TenantId, connection: Connection, page: Paging) -> Listed[Sender]:
    """Senders."""
    return listed(Sender.of, await senders.page(connection, tenant_id, page), page)


@get("/senders/{sender_id:uuid}")
async def get_sender(sender_id: Id, tenant_id: TenantId, connection: Connection) -> SenderDetail:
    """One sender, and what closes it."""
    return await _detail(connection, tenant_id, sender_id)


async def _detail(connection: AsyncConnection, tenant_id: UUID, sender_id: UUID) -> SenderDetail:
    sender = Sender.of(await senders.get(connection, tenant_id, sender_id))
    closures = [Closure.of(row) for row in await senders.closed(connection, tenant_id, sender_id)]
    return SenderDetail(**sender.model_dump(), closures=closures)


def _sealed(credentials: Credentials, installation: Installation) -> bytes:
    plain = {name: value.get_secret_value() for name, value in credentials.items()}
    return installation.credentials.seal(json.dumps(plain).encode())


def _refuse_misuse(account: NewAccount) -> None:
    """A mailbox writes where it is told on the workers' disks, and a plain URL may name any inner service."""
    if account.provider == "mailbox":
        raise Refused(422, "Mailboxes are for development: set GATEWAY_DEVELOPMENT=true.", "/provider")
    if account.base_url is not None and urlsplit(account.base_url).scheme != "https":
        raise Refused(422, "A baseUrl begins with https://.", "/baseUrl")


def _address(sender: NewSender) -> str:
    try:
        return addresses.normalized(sender.channel, sender.address)
    except ValueError as error:
        raise Refused(400, str(error), "/address") from error


ROUTES = (
    create_account,
    list_accounts,
    get_account,
    replace_credentials,
    create_sender,
    list_senders,
    get_sender,
)
