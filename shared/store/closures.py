"""Closures: senders and channels that admit nothing until a time, or until an operator reopens them.

A closure is a row before Redis hears of it. Ambiguous outcomes in a row close a sender too, each time for
longer, and it opens for one probe at a time.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.types import Interval

from shared.errors import NotFound
from shared.store.database import AsyncConnection
from shared.store.ids import uuid7
from shared.store.sets import columns


class Closure(NamedTuple):
    """A sender's closure; `until` None: until it is reopened."""

    tenant_id: UUID
    channel: str
    sender_id: UUID
    reason: str
    until: datetime | None


class Verdict(NamedTuple):
    """Whether a sender's submission had an ambiguous outcome; a definite one ends a row of them."""

    tenant_id: UUID
    sender_id: UUID
    ambiguous: bool


_FOR_EVER = datetime.max.replace(tzinfo=UTC)

_CLOSE = text("""
insert into closures (tenant_id, id, channel, sender_id, reason, until)
select tenant_id, new_id, channel, sender_id, reason, until
from unnest(
    cast(:new_id as uuid[]), cast(:tenant_id as uuid[]), cast(:channel as text[]), cast(:sender_id as uuid[]),
    cast(:reason as text[]), cast(:until as timestamptz[])
) as wanted (new_id, tenant_id, channel, sender_id, reason, until)
order by tenant_id, sender_id
on conflict (tenant_id, channel, sender_id, reason) do update set
    closed_at = now(), strikes = closures.strikes + 1,
    until = case
        when excluded.until is null then null else greatest(closures.until, excluded.until) end
""")

_COUNT = text("""
with told as (
    select tenant_id, id, count(*) filter (where ambiguous) as times, bool_or(not ambiguous) as definite
    from unnest(cast(:tenant_id as uuid[]), cast(:sender_id as uuid[]), cast(:ambiguous as bool[]))
        as told (tenant_id, id, ambiguous)
    group by tenant_id, id
), locked as (
    select s.tenant_id, s.id, s.ambiguous as before from told join senders s using (tenant_id, id)
    where s.ambiguous > 0 or told.times > 0
    order by s.id for update of s
)
update senders s set ambiguous = case when told.definite then 0 else s.ambiguous + told.times end
from told join locked using (tenant_id, id)
where s.tenant_id = told.tenant_id and s.id = told.id
returning s.tenant_id, s.id, s.channel, s.ambiguous, locked.before
""")

# What was on its way when the sender closed says nothing new: only a probe doubles the pause.
_PAUSE = text("""
insert into closures (tenant_id, id, channel, sender_id, reason, until)
values (:tenant_id, :new_id, :channel, :sender_id, 'ambiguous', now() + :pause)
on conflict (tenant_id, channel, sender_id, reason) do update set
    closed_at = now(), strikes = closures.strikes + 1,
    until = now() + least(:cap, :pause * power(2, least(closures.strikes, 20)))
where closures.until <= now()
""").bindparams(bindparam("pause", type_=Interval), bindparam("cap", type_=Interval))

_FORGIVE = text("""
delete from closures where tenant_id = :tenant_id and sender_id = :sender_id and reason = 'ambiguous'
""")

_REOPEN = text("delete from closures where tenant_id = :tenant_id and sender_id = :sender_id")

_STANDING = text("""
select t.name as tenant, c.sender_id, c.channel, s.address, c.reason, c.closed_at, c.until
from closures c
join tenants t on t.id = c.tenant_id
left join senders s on s.tenant_id = c.tenant_id and s.id = c.sender_id
where (c.until is null or c.until > now())
    and (cast(:tenant_id as uuid) is null or c.tenant_id = :tenant_id)
order by c.closed_at, c.id limit :most
""")

_GO_ON = text("""
with waiting as (
    select tenant_id, id from scheduled_actions
    where tenant_id = :tenant_id and lane_id = :sender_id and kind = 'send' and status = 'pending'
        and due_at > now() and reason = 'closed'
    order by id for update
)
update scheduled_actions a set due_at = now()
from waiting where a.tenant_id = waiting.tenant_id and a.id = waiting.id
""")


async def close(tx: AsyncConnection, closures: Sequence[Closure]) -> None:
    """Close senders; a longer closure stands."""
    # One row a sender and reason, the longest: a statement may not touch the same row twice.
    rising = sorted(closures, key=lambda closure: closure.until or _FOR_EVER)
    rows = [(uuid7(), *closure) for closure in {(c.sender_id, c.reason): c for c in rising}.values()]
    await tx.execute(_CLOSE, columns(("new_id", *Closure._fields), rows))


async def count(
    tx: AsyncConnection, verdicts: Sequence[Verdict], limit: int, pause: timedelta, cap: timedelta
) -> list[Row[Any]]:
    """Count ambiguous outcomes, and close the senders that had `limit` of them in a row; those closed now.

    The first closure lasts `pause`, each further one twice as long up to `cap`; a definite outcome ends it.
    """
    counted = (await tx.execute(_COUNT, columns(Verdict._fields, verdicts))).all()
    closed = [row for row in counted if row.ambiguous >= limit]
    for row in counted:
        key = {"tenant_id": row.tenant_id, "sender_id": row.id}
        if row.ambiguous >= limit:
            await tx.execute(
                _PAUSE, {**key, "new_id": uuid7(), "channel": row.channel, "pause": pause, "cap": cap}
            )
        elif row.before >= limit:
            await tx.execute(_FORGIVE, key)
    return closed


async def standing(tx: AsyncConnection, tenant_id: UUID | None, most: int) -> list[Row[Any]]:
    """What is closed now, of a tenant or all, the longest first, at most so many.

    Rows of tenant (its name), sender_id, channel, address, reason, closed_at and until: None until reopened.
    """
    return list(await tx.execute(_STANDING, {"tenant_id": tenant_id, "most": most}))


async def reopen(tx: AsyncConnection, tenant_id: UUID, sender_id: UUID) -> None:
    """End every closure of a sender, and let its waiting sends go on. Raises NotFound: it is not closed."""
    key = {"tenant_id": tenant_id, "sender_id": sender_id}
    if (await tx.execute(_REOPEN, key)).rowcount == 0:
        raise NotFound("There is no closed sender with this id.")
    await tx.execute(_GO_ON, key)
