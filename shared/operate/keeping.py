"""Tenants and their API keys: made, rotated and revoked."""

from uuid import UUID

from shared.operate.base import Base
from shared.store import api_keys, tenants
from shared.store.api_keys import IssuedKey
from shared.store.database import AsyncConnection


class Keeping(Base):
    """Makes tenants and keys; the audit names a key by its prefix or id, never by its secret."""

    async def create_tenant(self, name: str, weight: int = 1) -> UUID:
        """Make a tenant; its id. Raises Conflict."""

        async def work(tx: AsyncConnection) -> UUID:
            tenant_id = await tenants.create(tx, name, weight)
            await self._note(tx, "tenants.create", name, tenant_id, weight=weight)
            return tenant_id

        return await self._database.run(work)

    async def create_key(self, tenant: str, name: str) -> IssuedKey:
        """Make a key of every scope. Raises NotFound."""

        async def work(tx: AsyncConnection) -> IssuedKey:
            tenant_id = await tenants.named(tx, tenant)
            key = await api_keys.create(tx, tenant_id, name)
            await self._note(tx, "keys.create", str(key.id), tenant_id, name=name)
            return key

        return await self._database.run(work)

    async def rotate_key(self, tenant: str, key_id: UUID) -> IssuedKey:
        """Make a key that takes over; the old one stays valid for a day. Raises NotFound."""

        async def work(tx: AsyncConnection) -> IssuedKey:
            tenant_id = await tenants.named(tx, tenant)
            key = await api_keys.rotate(tx, tenant_id, key_id)
            await self._note(tx, "keys.rotate", str(key_id), tenant_id, by=str(key.id))
            return key

        return await self._database.run(work)

    async def revoke_key(self, tenant: str, key_id: UUID) -> None:
        """End a key. Raises NotFound."""

        async def work(tx: AsyncConnection) -> None:
            tenant_id = await tenants.named(tx, tenant)
            await api_keys.revoke(tx, tenant_id, key_id)
            await self._note(tx, "keys.revoke", str(key_id), tenant_id)

        await self._database.run(work)
