"""API keys: `or_<prefix>_<secret>`, found by their prefix, kept as a hash, shown once.

A secret has 256 random bits, so one round of SHA-256 keeps it as well as any slow hash would.
"""

import hmac
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, or_, select, update

from shared.errors import NotFound
from shared.store.database import AsyncConnection
from shared.store.ids import uuid7
from shared.store.pages import Page, rows_of
from shared.store.tables import api_keys


class Scope(StrEnum):
    """What a key is good for."""

    READ = "read"
    """Every GET."""
    WRITE = "write"
    """Contacts, suppressions, campaigns, enrolments."""
    ADMIN = "admin"
    """Senders and their accounts, webhook endpoints, rate limits."""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key. `token` is what its holder sends; it cannot be read again."""

    id: UUID
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key that is valid now."""

    id: UUID
    tenant_id: UUID
    scopes: frozenset[str]
    hash: bytes = field(repr=False)

    def opens(self, token: str) -> bool:
        """Whether this is the key's token."""
        return hmac.compare_digest(self.hash, _hash(token))


def prefix_of(token: str) -> str | None:
    """The part of a token that its key is found by; None for what is no token of ours."""
    parts = token.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == "or" and parts[1] else None


async def create(
    connection: AsyncConnection,
    tenant_id: UUID,
    name: str,
    scopes: Collection[str] = tuple(Scope),
    expires_at: datetime | None = None,
) -> IssuedKey:
    """Make a key of an existing tenant."""
    prefix = secrets.token_hex(6)
    issued = IssuedKey(uuid7(), f"or_{prefix}_{secrets.token_urlsafe(32)}")
    await connection.execute(
        insert(api_keys).values(
            tenant_id=tenant_id,
            id=issued.id,
            name=name,
            prefix=prefix,
            hash=_hash(issued.token),
            scopes=sorted(scopes),
            expires_at=expires_at,
        )
    )
    return issued


async def page(connection: AsyncConnection, tenant_id: UUID, page: Page) -> list[Row[Any]]:
    """The tenant's keys, past ones too: id, name, prefix, scopes, created_at, expires_at, revoked_at."""
    query = select(*(column for column in api_keys.c if column.name not in {"tenant_id", "hash"}))
    return await rows_of(connection, query.where(api_keys.c.tenant_id == tenant_id), api_keys, page)


async def rotate(
    connection: AsyncConnection, tenant_id: UUID, key_id: UUID, overlap: timedelta = timedelta(days=1)
) -> IssuedKey:
    """Make a key like this valid one, which stays valid for `overlap`. Raises NotFound."""
    expiry = func.least(api_keys.c.expires_at, func.now() + overlap)
    row = (
        await connection.execute(
            update(api_keys)
            .where(api_keys.c.tenant_id == tenant_id, api_keys.c.id == key_id, _is_valid)
            .values(expires_at=expiry)
            .returning(api_keys.c.name, api_keys.c.scopes)
        )
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such valid key of this tenant.")
    return await create(connection, tenant_id, row.name, row.scopes)


async def revoke(connection: AsyncConnection, tenant_id: UUID, key_id: UUID) -> None:
    """End a key now; to end it twice changes nothing. Raises NotFound."""
    result = await connection.execute(
        update(api_keys)
        .where(api_keys.c.tenant_id == tenant_id, api_keys.c.id == key_id)
        .values(revoked_at=func.coalesce(api_keys.c.revoked_at, func.now()))
    )
    if result.rowcount == 0:
        raise NotFound("There is no such key of this tenant.")


async def find(connection: AsyncConnection, prefixes: Sequence[str]) -> Mapping[str, StoredKey]:
    """The valid keys with these prefixes, whosever they are."""
    columns = (api_keys.c.prefix, api_keys.c.id, api_keys.c.tenant_id, api_keys.c.scopes, api_keys.c.hash)
    rows = await connection.execute(select(*columns).where(api_keys.c.prefix.in_(prefixes), _is_valid))
    return {
        row.prefix: StoredKey(row.id, row.tenant_id, frozenset(row.scopes), bytes(row.hash)) for row in rows
    }


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()


_is_valid = api_keys.c.revoked_at.is_(None) & or_(
    api_keys.c.expires_at.is_(None), api_keys.c.expires_at > func.now()
)
