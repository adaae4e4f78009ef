"""Due rows: taken in fair pages, several dispatchers at once, and put on their way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.types import Interval

from shared.store.database import AsyncConnection
from shared.store.facts import CONTENT, FACTS, JOINS, with_facts
from shared.store.sends import CLAIMED
from shared.store.sets import checked, columns

Lane = tuple[UUID, UUID]
"""Tenant and lane: a sender's, or the tenant's own."""


@dataclass(frozen=True, slots=True)
class Page:
    """How much to take: at most `rows`, of `lanes` lanes after `after`, `per_tenant` × weight of each tenant.

    `ahead` is how many rows of a lane may be enqueued at once, where it is not what is `usual` on its
    channel; never more than `most`.
    """

    kind: str
    queue: str
    rows: int
    lanes: int
    per_tenant: int
    most: int
    usual: Mapping[str, int]
    ahead: Mapping[Lane, int]
    after: Lane | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """The ids taken, and the last lane looked at; None when no lane was left out.

    `full`: the page, or what a tenant or a lane may have of it, was used up, so there may be more.
    """

    rows: Sequence[tuple[UUID, UUID]]
    last: Lane | None
    full: bool


# A loose index scan: one probe a lane, however many rows each has; with the time of its first.
LANES = """
with recursive lanes as (
    (
        select tenant_id, lane_id, due_at, 1 as n from scheduled_actions
        where status = 'pending' and kind = :kind
            and (tenant_id, lane_id) > (cast(:after_tenant as uuid), cast(:after_lane as uuid))
        order by tenant_id, lane_id, due_at limit 1
    )
    union all
    select next.tenant_id, next.lane_id, next.due_at, lanes.n + 1
    from lanes cross join lateral (
        select tenant_id, lane_id, due_at from scheduled_actions
        where status = 'pending' and kind = :kind
            and (tenant_id, lane_id) > (lanes.tenant_id, lanes.lane_id)
        order by tenant_id, lane_id, due_at limit 1
    ) next
    where lanes.n < :lanes
)
"""

FREE = """not exists (
        select 1 from pauses p
        where (p.queue is null or p.queue = :queue) and (p.tenant_id is null or p.tenant_id = lanes.tenant_id)
    ) and not exists (
        select 1 from closures k
        where k.tenant_id = s.tenant_id and k.channel = s.channel
            and (k.sender_id is null or k.sender_id = s.id) and (k.until is null or k.until > now())
    )"""
"""Of `lanes`, with the sender `s` of each: neither paused nor closed."""

# How many times its share of a page may be looked at of a lane, in case that others have less than theirs.
_SLACK = 2

# Lanes of a tenant share what it may have; no more rows are looked at than a few times those of a page.
_PAGE = text(f"""
{LANES}, ahead as (
    select * from unnest(
        cast(:ahead_tenants as uuid[]), cast(:ahead_lanes as uuid[]), cast(:ahead_rows as int[])
    ) as ahead (tenant_id, lane_id, rows)
), usual as (
    select * from unnest(cast(:usual_channels as text[]), cast(:usual_rows as int[])) as usual (channel, rows)
), allowed as (
    select
        lanes.tenant_id, lanes.lane_id, t.weight,
        least(:most, coalesce(ahead.rows, usual.rows, :most)) as rows
    from lanes
    join tenants t on t.id = lanes.tenant_id
    left join ahead using (tenant_id, lane_id)
    left join senders s on s.tenant_id = lanes.tenant_id and s.id = lanes.lane_id
    left join usual on usual.channel = s.channel
    where lanes.due_at <= now() and {FREE}
), free as (
    select
        lanes.*, lanes.rows - enqueued.rows as room, count(*) over (partition by tenant_id) as siblings
    from allowed lanes
    cross join lateral (
        select count(*) as rows from (
            select 1 from scheduled_actions x
            where x.kind = :kind and x.status = 'enqueued'
                and x.tenant_id = lanes.tenant_id and x.lane_id = lanes.lane_id
            limit lanes.rows
        ) y
    ) enqueued
    where lanes.rows > enqueued.rows
), shared as (
    select
        free.*, :per_tenant * weight as share,
        ceil(least(
            :per_tenant * weight, {_SLACK} * :rows * weight / sum(cast(weight as float8) / siblings) over ()
        ) * {_SLACK} / siblings) as most
    from free
), due as (
    select
        lanes.tenant_id, due.id, due.due_at, lanes.weight, lanes.share, due.nth = lanes.most as "full",
        row_number() over (partition by lanes.tenant_id order by due.nth, due.due_at) as turn
    from shared lanes
    cross join lateral (
        select a.id, a.due_at, row_number() over (order by a.due_at) as nth
        from scheduled_actions a
        where a.status = 'pending' and a.kind = :kind and a.due_at <= now()
            and a.tenant_id = lanes.tenant_id and a.lane_id = lanes.lane_id
        order by a.due_at
        limit least(lanes.room, lanes.share, lanes.most)
    ) due
), picked as (
    select tenant_id, id, row_number() over (order by turn / weight, due_at) as place,
        "full" or turn = share as "full"
    from due where turn <= share
)
select
    coalesce((select array_agg(tenant_id) from (select * from picked where place <= :rows) p), '{{}}'),
    coalesce((select array_agg(id) from (select * from picked where place <= :rows) p), '{{}}'),
    (select count(*) from lanes),
    (select array[tenant_id, lane_id] from lanes order by n desc limit 1),
    (select coalesce(bool_or("full" or place >= :rows), false) from picked)
""")

_FIRST = UUID(int=0)


async def page(connection: AsyncConnection, page: Page) -> Taken:
    """Choose the next page of due rows; nothing is locked yet, so another dispatcher may choose the same."""
    ahead = [(*lane, rows) for lane, rows in page.ahead.items()]
    after = page.after or (_FIRST, _FIRST)
    row = (
        await connection.execute(
            _PAGE,
            {
                "kind": page.kind,
                "queue": page.queue,
                "rows": page.rows,
                "lanes": page.lanes,
                "per_tenant": page.per_tenant,
                "most": page.most,
                "after_tenant": after[0],
                "after_lane": after[1],
                **columns(("ahead_tenants", "ahead_lanes", "ahead_rows"), ahead),
                **columns(("usual_channels", "usual_rows"), list(page.usual.items())),
            },
        )
    ).one()
    tenant_ids, ids, lanes, last, full = row
    return Taken(
        list(zip(tenant_ids, ids, strict=True)),
        (last[0], last[1]) if lanes == page.lanes and last else None,
        full,
    )


_KEYS = "unnest(cast(:tenant_ids as uuid[]), cast(:ids as uuid[])) as wanted (tenant_id, id)"

_TAKE_SENDS = with_facts(f"""
with mine as (
    select a.* from {_KEYS} join scheduled_actions a using (tenant_id, id)
    where {checked("a.status = 'pending' and a.due_at <= now()")} and a.kind = 'send'
    order by a.id for update of a skip locked
)
select
    a.tenant_id, a.id, a.g, a.campaign_id, a.contact_id, a.visit_id, a.node_id, a.channel, a.sender_id,
    a.cost,
    {CONTENT}, {FACTS}
from mine a {JOINS}
order by a.due_at
""")

_TAKE_TIMEOUTS = text(f"""
with mine as (
    select a.tenant_id, a.id from {_KEYS} join scheduled_actions a using (tenant_id, id)
    where {checked("a.status = 'pending'")} and a.kind = 'timeout'
    order by a.id for update of a skip locked
)
update scheduled_actions a set status = 'enqueued', status_at = now()
from mine where a.tenant_id = mine.tenant_id and a.id = mine.id
returning a.tenant_id, a.id, a.g, a.campaign_id, a.contact_id, a.visit_id, a.node_id, a.event_type,
    a.scheduled_at
""")

_ENQUEUED = text("""
update scheduled_actions a set status = 'enqueued', status_at = now(), cost = wanted.cost
from unnest(cast(:tenant_ids as uuid[]), cast(:ids as uuid[]), cast(:costs as int[]))
    as wanted (tenant_id, id, cost)
where a.tenant_id = wanted.tenant_id and a.id = wanted.id
""")


_PUT_BACK = text(f"""
with locked as (
    select a.tenant_id, a.id
    from unnest(cast(:tenant_ids as uuid[]), cast(:ids as uuid[]), cast(:gs as int[]))
        as wanted (tenant_id, id, g)
    join scheduled_actions a using (tenant_id, id)
    where {CLAIMED}
    order by a.id for update of a
)
update scheduled_actions a set
    status = 'pending', g = a.g + 1, status_at = now(),
    due_at = case when :delay > interval '0' then greatest(a.due_at, now() + :delay) else a.due_at end
from locked where a.tenant_id = locked.tenant_id and a.id = locked.id
""").bindparams(bindparam("delay", type_=Interval))


async def take_sends(
    tx: AsyncConnection, keys: Sequence[tuple[UUID, UUID]], max_lateness: timedelta
) -> list[Row[Any]]:
    """Lock those of these sends that are still due and nobody else's; with the facts for the checks."""
    return list(
        await tx.execute(_TAKE_SENDS, {**columns(("tenant_ids", "ids"), keys), "max_lateness": max_lateness})
    )


async def take_timeouts(tx: AsyncConnection, keys: Sequence[tuple[UUID, UUID]]) -> list[Row[Any]]:
    """Mark those of these timeouts enqueued that are still pending and nobody else's."""
    return list(await tx.execute(_TAKE_TIMEOUTS, columns(("tenant_ids", "ids"), keys)))


async def mark_enqueued(tx: AsyncConnection, rows: Sequence[tuple[UUID, UUID, int]]) -> None:
    """Mark locked sends enqueued, each with its cost."""
    await tx.execute(_ENQUEUED, columns(("tenant_ids", "ids", "costs"), rows))


async def put_back(
    tx: AsyncConnection, rows: Sequence[tuple[UUID, UUID, int]], delay: timedelta = timedelta(0)
) -> int:
    """Set rows back to pending under the next generation, if they are still as they were marked; how many.

    They are due again after `delay`; without one they keep their place in the lane. A job of theirs that
    shows up all the same is a no-op.
    """
    values = {**columns(("tenant_ids", "ids", "gs"), rows), "delay": delay}
    return (await tx.execute(_PUT_BACK, values)).rowcount
