"""What rows put in force on the queues: weights, pauses, limits, closures, who is being probed; pins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB

from shared.store import pauses
from shared.store.database import AsyncConnection
from shared.store.pauses import Pause


class Scope(NamedTuple):
    """A sender; with `sender_id` None its tenant's whole channel."""

    tenant_id: UUID
    channel: str
    sender_id: UUID | None


@dataclass(frozen=True, slots=True)
class InForce:
    """What is in force.

    weights     of tenants, where they are not 1
    overrides   limits by kind of (tenant, channel), by sender; under None those of the tenant itself
    senders     whose tenant has overrides on their channel: they hold for them too
    closures    that have not ended, and until when; None: until reopened
    probed      senders that may send one at a time, after ambiguous outcomes in a row
    pins        how many workers a queue shall have, by an operator's word
    """

    weights: Mapping[UUID, int] = field(default_factory=dict)
    pauses: Sequence[Pause] = ()
    overrides: Mapping[tuple[UUID, str], Mapping[UUID | None, Mapping[str, int]]] = field(
        default_factory=dict
    )
    senders: Sequence[Scope] = ()
    closures: Mapping[Scope, datetime | None] = field(default_factory=dict)
    probed: Sequence[Scope] = ()
    pins: Mapping[str, int] = field(default_factory=dict)


_WEIGHTS = text("select id, weight from tenants where weight <> 1")

_OVERRIDES = text("""
select tenant_id, channel, sender_id, jsonb_object_agg(kind, "limit") as limits
from rate_limits group by tenant_id, channel, sender_id
""").columns(limits=JSONB)

_SENDERS = text("""
select s.tenant_id, s.channel, s.id from senders s
where exists (
    select 1 from rate_limits r
    where r.tenant_id = s.tenant_id and r.channel = s.channel and r.sender_id is null
)
""")

_CLOSURES = text("""
select tenant_id, channel, sender_id, case when bool_and(until is not null) then max(until) end as until
from closures where until is null or until > now()
group by tenant_id, channel, sender_id
""")

_PROBED = text("select tenant_id, channel, id from senders where ambiguous >= :limit")

_PINS = text("select queue, workers from scaling_pins")


async def read(tx: AsyncConnection, ambiguous_limit: int) -> InForce:
    """All that is in force; senders with so many ambiguous outcomes in a row are probed."""
    overrides: dict[tuple[UUID, str], dict[UUID | None, dict[str, int]]] = {}
    for row in await tx.execute(_OVERRIDES):
        overrides.setdefault((row.tenant_id, row.channel), {})[row.sender_id] = row.limits
    return InForce(
        weights={row.id: row.weight for row in await tx.execute(_WEIGHTS)},
        pauses=await pauses.current(tx),
        overrides=overrides,
        senders=await _named(tx, _SENDERS),
        closures={
            Scope(row.tenant_id, row.channel, row.sender_id): row.until for row in await tx.execute(_CLOSURES)
        },
        probed=await _named(tx, _PROBED, limit=ambiguous_limit),
        pins={row.queue: row.workers for row in await tx.execute(_PINS)},
    )


async def _named(tx: AsyncConnection, statement: Any, **values: Any) -> list[Scope]:
    return [Scope(*row) for row in await tx.execute(statement, values)]
