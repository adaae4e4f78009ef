"""Senders, and the provider accounts they send through."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shared.errors import Conflict, NotFound
from shared.store.database import AsyncConnection
from shared.store.ids import uuid7
from shared.store.pages import Page, row_of, rows_of
from shared.store.tables import closures, provider_accounts, senders


async def create_account(
    connection: AsyncConnection, tenant_id: UUID, provider: str, credentials: bytes, base_url: str | None
) -> UUID:
    """Make an account with sealed credentials; its id."""
    account_id = uuid7()
    await connection.execute(
        insert(provider_accounts).values(
            tenant_id=tenant_id, id=account_id, provider=provider, credentials=credentials, base_url=base_url
        )
    )
    return account_id


async def accounts(connection: AsyncConnection, tenant_id: UUID, page: Page) -> list[Row[Any]]:
    """The tenant's accounts, without their credentials: id, provider, base_url, created_at."""
    return await rows_of(connection, _accounts(tenant_id), provider_accounts, page)


async def account(connection: AsyncConnection, tenant_id: UUID, account_id: UUID) -> Row[Any]:
    """One account, without its credentials. Raises NotFound."""
    query = _accounts(tenant_id).where(provider_accounts.c.id == account_id)
    return await row_of(connection, query, "provider account")


async def replace_credentials(
    connection: AsyncConnection, tenant_id: UUID, account_id: UUID, credentials: bytes
) -> None:
    """Give an account other sealed credentials; sends from now on use them. Raises NotFound."""
    query = update(provider_accounts).values(credentials=credentials)
    query = query.where(provider_accounts.c.tenant_id == tenant_id, provider_accounts.c.id == account_id)
    if (await connection.execute(query)).rowcount == 0:
        raise NotFound("There is no such provider account.")


async def create(
    connection: AsyncConnection, tenant_id: UUID, account_id: UUID, channel: str, address: str, name: str
) -> UUID:
    """Make a sender of an existing account; its id. Raises Conflict: the address is taken on this channel."""
    statement = upsert(senders).values(
        tenant_id=tenant_id,
        id=uuid7(),
        provider_account_id=account_id,
        channel=channel,
        address=address,
        name=name,
    )
    sender_id: UUID | None = await connection.scalar(
        statement.on_conflict_do_nothing(index_elements=["tenant_id", "channel", "address"]).returning(
            senders.c.id
        )
    )
    if sender_id is None:
        raise Conflict("There is a sender with this address on this channel: use that one.")
    return sender_id


async def page(connection: AsyncConnection, tenant_id: UUID, page: Page) -> list[Row[Any]]:
    """The tenant's senders: id, provider_account_id, channel, address, name, created_at."""
    query = select(senders).where(senders.c.tenant_id == tenant_id)
    return await rows_of(connection, query, senders, page)


async def get(connection: AsyncConnection, tenant_id: UUID, sender_id: UUID) -> Row[Any]:
    """One sender. Raises NotFound."""
    query = select(senders).where(senders.c.tenant_id == tenant_id, senders.c.id == sender_id)
    return await row_of(connection, query, "sender")


async def on_channel(connection: AsyncConnection, tenant_id: UUID, sender_id: UUID, channel: str) -> None:
    """Raises NotFound: the tenant has no such sender on this channel."""
    query = select(senders.c.id).where(senders.c.tenant_id == tenant_id, senders.c.id == sender_id)
    await row_of(connection, query.where(senders.c.channel == channel), f"sender on the channel {channel}")


async def closed(connection: AsyncConnection, tenant_id: UUID, sender_id: UUID) -> list[Row[Any]]:
    """Why a sender is closed, if it is: reason, closed_at, until (None: until an operator reopens it)."""
    query = select(closures.c.reason, closures.c.closed_at, closures.c.until).where(
        closures.c.tenant_id == tenant_id, closures.c.sender_id == sender_id
    )
    return list(await connection.execute(query.order_by(closures.c.closed_at)))


async def sealed_account(connection: AsyncConnection, tenant_id: UUID, sender_id: UUID) -> Row[Any]:
    """The account that a sender sends through: provider, credentials (sealed), base_url. Raises NotFound."""
    columns = (provider_accounts.c.provider, provider_accounts.c.credentials, provider_accounts.c.base_url)
    query: Select[Any] = select(*columns).join_from(senders, provider_accounts)
    query = query.where(senders.c.tenant_id == tenant_id, senders.c.id == sender_id)
    return await row_of(connection, query, "sender")


def _accounts(tenant_id: UUID) -> Select[Any]:
    columns = (column for column in provider_accounts.c if column.name not in {"tenant_id", "credentials"})
    return select(*columns).where(provider_accounts.c.tenant_id == tenant_id)
