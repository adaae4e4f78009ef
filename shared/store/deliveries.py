"""Webhook bodies on their way in: stored once, durable before they are acknowledged."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from uuid import UUID

from sqlalchemy import text

from shared.store.database import AsyncConnection
from shared.store.ids import uuid7


@dataclass(frozen=True, slots=True)
class Post:
    """One authenticated post of a provider: `body` and `query` exactly as they came."""

    tenant_id: UUID
    endpoint_id: UUID
    provider: str
    headers: Mapping[str, str]
    query: str
    body: bytes

    @property
    def digest(self) -> bytes:
        """What makes a post the same again: the query and the body, since a retry may be signed anew."""
        digest = blake2b(self.query.encode(), digest_size=16, person=b"delivery")
        digest.update(b"\0" + self.body)
        return digest.digest()


@dataclass(frozen=True, slots=True)
class Receipt:
    """The delivery that holds a post, and the generation to process; `g` None: nothing is to be done.

    `new` is false where an earlier delivery holds the same body.
    """

    delivery_id: UUID
    new: bool
    g: int | None


# The digest decides: who inserts it stores the body. The no-op update makes a known digest, one of a
# transaction that commits meanwhile included, answer with its delivery. Rows are locked in order, so two of
# these statements never wait for each other in a circle.
_STORE = text("""
with posted as (
    select * from unnest(
        cast(:tenant_ids as uuid[]), cast(:endpoint_ids as uuid[]), cast(:digests as bytea[]),
        cast(:ids as uuid[]), cast(:providers as text[]), cast(:headers as text[]),
        cast(:queries as text[]), cast(:bodies as bytea[])
    ) as posted (tenant_id, endpoint_id, digest, id, provider, headers, query, body)
), known as (
    insert into delivery_digests as held (tenant_id, endpoint_id, digest, delivery_id)
    select tenant_id, endpoint_id, digest, id from posted order by tenant_id, endpoint_id, digest
    on conflict (tenant_id, endpoint_id, digest) do update set
        delivery_id = case when held.received_at < now() - interval '48 hours'
            then excluded.delivery_id else held.delivery_id end,
        received_at = case when held.received_at < now() - interval '48 hours'
            then excluded.received_at else held.received_at end
    returning tenant_id, endpoint_id, digest, delivery_id
), stored as (
    insert into deliveries (tenant_id, id, endpoint_id, provider, headers, query, body)
    select posted.tenant_id, id, posted.endpoint_id, provider, cast(headers as jsonb), query, body
    from posted join known on known.delivery_id = posted.id
    returning id, g
), idle as (
    select tenant_id, id, received_at from deliveries
    where (tenant_id, id) in (
        select tenant_id, delivery_id from known where delivery_id not in (select id from posted)
    ) and state in ('failed', 'parked') and received_at > now() - interval '49 hours'
    order by tenant_id, id for update
), armed as (
    update deliveries set
        state = 'received', g = deliveries.g + 1, state_at = now(), retry_at = null, tries = 0, reason = null
    from idle
    where deliveries.tenant_id = idle.tenant_id and deliveries.id = idle.id
        and deliveries.received_at = idle.received_at
    returning deliveries.id, deliveries.g
)
select
    known.tenant_id, known.endpoint_id, known.digest,
    known.delivery_id, stored.id is not null as new, coalesce(stored.g, armed.g) as g
from known left join stored on stored.id = known.delivery_id left join armed on armed.id = known.delivery_id
""")


_FORGET = text("""
delete from delivery_digests where (tenant_id, endpoint_id, digest) in (
    select tenant_id, endpoint_id, digest from delivery_digests
    where received_at < now() - interval '48 hours'
    order by received_at limit :most for update skip locked
)
""")


async def accept(connection: AsyncConnection, posts: Sequence[Post]) -> list[Receipt]:
    """Store posts in one statement; the receipt of each, in their order.

    A body that its endpoint already posted within 48 h is not stored again; if it was never processed
    (failed, or parked), it gets another turn.
    """
    keys = [(post.tenant_id, post.endpoint_id, post.digest) for post in posts]
    distinct = dict(zip(keys, posts, strict=True))
    rows = await connection.execute(_STORE, _columns(distinct))
    receipts = {(row[0], row[1], row[2]): Receipt(*row[3:]) for row in rows}
    return [receipts[key] for key in keys]


async def forget(connection: AsyncConnection, most: int) -> int:
    """Remove digests that are past their time, at most so many; how many."""
    return (await connection.execute(_FORGET, {"most": most})).rowcount


def _columns(posts: Mapping[tuple[UUID, UUID, bytes], Post]) -> dict[str, list[object]]:
    values = posts.values()
    return {
        "tenant_ids": [post.tenant_id for post in values],
        "endpoint_ids": [post.endpoint_id for post in values],
        "digests": [digest for _, _, digest in posts],
        "ids": [uuid7() for _ in values],
        "providers": [post.provider for post in values],
        "headers": [json.dumps(dict(post.headers)) for post in values],
        "queries": [post.query for post in values],
        "bodies": [post.body for post in values],
    }
