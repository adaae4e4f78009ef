"""Idempotency keys: the answer to a request, kept in the transaction that did its work."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from shared.store.database import AsyncConnection

KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a key was first used for, and what was answered."""

    request_hash: bytes
    status: int
    body: bytes


_LOCK = text("""
select pg_try_advisory_xact_lock(
    hashtextextended(concat(cast(:tenant_id as text), '/', cast(:key as text)), 0)
)
""")

_FIND = text("""
select request_hash, status, response from idempotency_keys
where tenant_id = :tenant_id and key = :key and created_at > now() - cast(:kept as interval)
""")

_KEEP = text("""
insert into idempotency_keys (tenant_id, key, request_hash, status, response)
values (:tenant_id, :key, :request_hash, :status, :response)
on conflict (tenant_id, key) do update set
    request_hash = excluded.request_hash, status = excluded.status, response = excluded.response,
    created_at = now()
""")

_FORGET = text("""
delete from idempotency_keys where (tenant_id, key) in (
    select tenant_id, key from idempotency_keys where created_at < now() - cast(:kept as interval)
    order by created_at limit :most for update skip locked
)
""")


async def hold(connection: AsyncConnection, tenant_id: UUID, key: str) -> bool:
    """Hold the key until the transaction ends; False while another request holds it."""
    return bool(await connection.scalar(_LOCK, {"tenant_id": str(tenant_id), "key": key}))


async def find(connection: AsyncConnection, tenant_id: UUID, key: str) -> KeptAnswer | None:
    """The answer kept under a key that this transaction holds, for 24 h."""
    row = (await connection.execute(_FIND, {"tenant_id": tenant_id, "key": key, "kept": KEPT})).one_or_none()
    return None if row is None else KeptAnswer(*row)


async def keep(connection: AsyncConnection, tenant_id: UUID, key: str, answer: KeptAnswer) -> None:
    """Keep the answer under a key that this transaction holds: it is there if, and only if, the work is."""
    await connection.execute(
        _KEEP,
        {
            "tenant_id": tenant_id,
            "key": key,
            "request_hash": answer.request_hash,
            "status": answer.status,
            "response": answer.body,
        },
    )


async def forget(connection: AsyncConnection, most: int) -> int:
    """Remove keys that are past their time; how many."""
    return (await connection.execute(_FORGET, {"kept": KEPT, "most": most})).rowcount
