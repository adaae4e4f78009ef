"""Overrides of the default rate limits: of a tenant on a channel, or of one sender."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.store.database import AsyncConnection
from shared.store.ids import uuid7
from shared.store.sets import columns

_REPLACE = text("""
with wanted as (
    select * from unnest(cast(:ids as uuid[]), cast(:kinds as text[]), cast(:limits as bigint[]))
        as wanted (id, kind, "limit")
), dropped as (
    delete from rate_limits
    where tenant_id = :tenant_id and channel = :channel
        and sender_id is not distinct from cast(:sender_id as uuid)
        and kind not in (select kind from wanted)
)
insert into rate_limits (tenant_id, id, channel, sender_id, kind, "limit")
select :tenant_id, id, :channel, :sender_id, kind, "limit" from wanted order by kind
on conflict (tenant_id, channel, sender_id, kind) do update set
    "limit" = excluded."limit", updated_at = now()
""")

_UNSET = text("""
delete from rate_limits
where tenant_id = :tenant_id and channel = :channel and kind = any(cast(:kinds as text[]))
    and sender_id is not distinct from cast(:sender_id as uuid)
""")

_SET = text("""
insert into rate_limits (tenant_id, id, channel, sender_id, kind, "limit")
select :tenant_id, id, :channel, :sender_id, kind, "limit"
from unnest(cast(:ids as uuid[]), cast(:kinds as text[]), cast(:limits as bigint[]))
    as wanted (id, kind, "limit")
order by kind
on conflict (tenant_id, channel, sender_id, kind) do update set
    "limit" = excluded."limit", updated_at = now()
""")

_READ = text("""
select channel, sender_id, jsonb_object_agg(kind, "limit") as limits
from rate_limits
where tenant_id = :tenant_id
    and (sender_id is null or cast(:senders as uuid[]) is null or sender_id = any(cast(:senders as uuid[])))
group by channel, sender_id order by channel, sender_id nulls first
""").columns(limits=JSONB)


async def replace(
    connection: AsyncConnection,
    tenant_id: UUID,
    channel: str,
    sender_id: UUID | None,
    limits: Mapping[str, int],
) -> None:
    """Override minute, hour, day and concurrent of a tenant on a channel, or of a sender.

    What is left out has its default again; workers follow within seconds.
    """
    await connection.execute(
        _REPLACE,
        {
            "tenant_id": tenant_id,
            "channel": channel,
            "sender_id": sender_id,
            "ids": [uuid7() for _ in limits],
            "kinds": list(limits),
            "limits": list(limits.values()),
        },
    )


async def change(
    connection: AsyncConnection,
    tenant_id: UUID,
    channel: str,
    sender_id: UUID | None,
    limits: Mapping[str, int | None],
) -> None:
    """As `replace`, but what is left out stays; None takes an override away."""
    whose = {"tenant_id": tenant_id, "channel": channel, "sender_id": sender_id}
    wanted = {kind: limit for kind, limit in limits.items() if limit is not None}
    await connection.execute(_UNSET, {**whose, "kinds": [kind for kind in limits if kind not in wanted]})
    rows = [(uuid7(), kind, limit) for kind, limit in wanted.items()]
    await connection.execute(_SET, {**whose, **columns(("ids", "kinds", "limits"), rows)})


async def read(
    connection: AsyncConnection, tenant_id: UUID, senders: Sequence[UUID] | None = None
) -> list[Row[Any]]:
    """The tenant's overrides: channel, sender_id (None: the tenant itself), limits by kind.

    Those of its `senders`, if they are named, else of all.
    """
    return list(await connection.execute(_READ, {"tenant_id": tenant_id, "senders": senders}))
