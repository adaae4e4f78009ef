"""Openings: what rows say about a partition whose Redis knows nothing any more (design §2).

What was on its way goes back under the next generation, so that nobody who held it before can go on; what
was charged, and what still runs at a provider, is read for the limits.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, TextClause, text

from shared.jobs import SENDS, TIMEOUTS, WEBHOOKS
from shared.store.database import AsyncConnection
from shared.store.sets import checked

_SKEW = timedelta(minutes=1)  # between Redis's clock, which charged, and ours
_SPANS = 8  # of the longest window: a day's three million attempts took as long as a statement may


def _tenants(table: str, where: str) -> TextClause:
    # A loose index scan: one probe a tenant, however many rows each has.
    return text(f"""
with recursive found as (
    (select tenant_id from {table} where {where} order by tenant_id limit 1)
    union all
    select (
        select x.tenant_id from {table} x
        where {where} and x.tenant_id > found.tenant_id order by x.tenant_id limit 1
    ) from found where found.tenant_id is not null
)
select tenant_id from found where tenant_id is not null
""")


def _actions_back(kind: str) -> TextClause:
    # Tenant by tenant, in the order of the index: nothing may tempt the planner to read the whole table.
    return text(f"""
with chosen as (
    select tenant.id as tenant_id, found.id
    from unnest(cast(:tenants as uuid[])) as tenant (id)
    cross join lateral (
        select id from scheduled_actions
        where kind = '{kind}' and status = 'enqueued' and tenant_id = tenant.id and status_at <= :before
        order by lane_id, status_at limit :most
    ) found
    limit :most
), locked as (
    select a.tenant_id, a.id from chosen join scheduled_actions a using (tenant_id, id)
    where {checked("a.status = 'enqueued'")} order by a.id for update of a
), back as (
    update scheduled_actions a set status = 'pending', g = a.g + 1, status_at = now()
    from locked where a.tenant_id = locked.tenant_id and a.id = locked.id
)
select count(*) from chosen
""")


# `state_at` stays: a delivery has waited since then, and the sweeper goes by it.
_DELIVERIES_BACK = text(f"""
with chosen as (
    select tenant_id, id, received_at from deliveries
    where state = 'processing' and tenant_id = any(cast(:tenants as uuid[])) and state_at <= :before
    limit :most
), locked as (
    select d.tenant_id, d.id, d.received_at from chosen join deliveries d using (tenant_id, id, received_at)
    where {checked("d.state = 'processing'")} order by d.id for update of d
), back as (
    update deliveries d set state = 'received', g = d.g + 1
    from locked
    where d.tenant_id = locked.tenant_id and d.id = locked.id and d.received_at = locked.received_at
)
select count(*) from chosen
""")

_ON_THEIR_WAY = {
    SENDS.name: _tenants("scheduled_actions", "kind = 'send' and status = 'enqueued'"),
    TIMEOUTS.name: _tenants("scheduled_actions", "kind = 'timeout' and status = 'enqueued'"),
    WEBHOOKS.name: _tenants("deliveries", "state = 'processing'"),
}
_BACK = {
    SENDS.name: _actions_back("send"),
    TIMEOUTS.name: _actions_back("timeout"),
    WEBHOOKS.name: _DELIVERIES_BACK,
}

# The charges of a bin count as of its last one, and a bin is as wide as those of the engine's own logs: 1/64
# of the shortest window that they are within. So no charge leaves a window early, and a million are a few
# thousand.
_CHARGES = text("""
with charged as (
    select tenant_id, channel, sender_id, cost, charged_at,
        cast(extract(epoch from now() - charged_at) as float8) as age
    from attempts
    where tenant_id = any(cast(:tenants as uuid[])) and charged_at > :after and charged_at <= :until
        and not given_back
), placed as (
    select charged.*, case
        when age <= :minute then cast(:minute as float8)
        when age <= :hour then cast(:hour as float8)
        else cast(:day as float8)
    end as length
    from charged
)
select
    tenant_id, channel, sender_id, sum(cost) as cost,
    cast(floor(extract(epoch from max(charged_at)) * 1000) as bigint) as charged_ms
from placed
group by tenant_id, channel, sender_id, length, floor(age * 64 / length)
order by tenant_id, channel, charged_ms
""")

_SUBMITTING = text("""
select tenant_id, id, g, channel, sender_id, status_at
from scheduled_actions
where kind = 'send' and status = 'submitting' and tenant_id = any(cast(:tenants as uuid[]))
""")


async def clock(tx: AsyncConnection) -> datetime:
    """The database's time now."""
    now: datetime = (await tx.execute(text("select clock_timestamp()"))).scalar_one()
    return now


async def every_tenant(tx: AsyncConnection) -> list[UUID]:
    """All tenants."""
    return list((await tx.execute(text("select id from tenants"))).scalars())


async def on_their_way(tx: AsyncConnection, queue: str) -> list[UUID]:
    """The tenants with rows whose jobs are in a queue."""
    return list((await tx.execute(_ON_THEIR_WAY[queue])).scalars())


async def put_back(
    tx: AsyncConnection, queue: str, tenants: Collection[UUID], before: datetime, most: int
) -> bool:
    """Put back rows that were on their way `before`, at most so many; whether there may be more.

    It waits for whoever holds one of them: after it, no claim from before can go on with one.
    """
    wanted = {"tenants": list(tenants), "before": before, "most": most}
    return int((await tx.execute(_BACK[queue], wanted)).scalar_one()) == most


def spans(now: datetime, longest: timedelta) -> list[tuple[datetime, datetime]]:
    """The time in which the charges of windows up to so long lie, cut so that one statement can read each."""
    first, length = now - longest - _SKEW, (longest + _SKEW) / _SPANS
    ends = [first + length * n for n in range(_SPANS)]
    return list(zip(ends, [*ends[1:], now + longest], strict=True))


async def charges(
    tx: AsyncConnection,
    lengths: Sequence[timedelta],
    tenants: Sequence[UUID],
    span: tuple[datetime, datetime],
) -> list[Row[Any]]:
    """What these tenants were charged in a span within windows of three lengths, and not given back.

    A row has charged_ms, tenant_id, channel, sender_id and cost; of each tenant and channel in order of time.
    """
    minute, hour, day = sorted(lengths)
    wanted = {
        "tenants": tenants,
        "after": span[0],
        "until": span[1],
        "minute": minute.total_seconds(),
        "hour": hour.total_seconds(),
        "day": day.total_seconds(),
    }
    return list(await tx.execute(_CHARGES, wanted))


async def submitting(tx: AsyncConnection, tenants: Sequence[UUID]) -> list[Row[Any]]:
    """The sends that are with their provider: tenant_id, id, g, channel, sender_id, status_at."""
    return list(await tx.execute(_SUBMITTING, {"tenants": tenants}))
