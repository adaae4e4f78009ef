"""Counts for gauges: each by an index, and of no more rows than are worth knowing of."""

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.types import Interval

from shared.jobs import SENDS, TIMEOUTS
from shared.store.database import AsyncConnection
from shared.store.due import FREE, LANES
from shared.store.partitions import PARTITIONED

OPEN_STATES = ("received", "processing", "parked")
"""The states of deliveries that somebody still has to work on."""

_MOST_LANES = 10_000
_MOST_ACTIONS = 10_000
_MOST_DELIVERIES = 10_000
_MOST_DAYS = 30


class Waiting(NamedTuple):
    """How many rows wait, and since how many seconds the first of them."""

    rows: int
    seconds: float


_OPEN = text(
    "select state, count(*), cast(extract(epoch from now() - min(received_at)) as float8) from ("
    + " union all ".join(
        f"(select state, received_at from deliveries where state = '{state}' limit :most)"
        for state in OPEN_STATES
    )
    + ") as open group by state"
)

# A lane that has rows in the queue is at work; one that is paused or closed waits as it should.
_OVERDUE = text(f"""
{LANES}, late as (
    select lanes.tenant_id, lanes.lane_id, lanes.due_at
    from lanes
    left join senders s on s.tenant_id = lanes.tenant_id and s.id = lanes.lane_id
    where lanes.due_at < now() - :age and {FREE} and not exists (
        select 1 from scheduled_actions x
        where x.kind = :kind and x.status = 'enqueued'
            and x.tenant_id = lanes.tenant_id and x.lane_id = lanes.lane_id
    )
)
select
    (select count(*) from (
        select 1 from late cross join lateral (
            select 1 from scheduled_actions a
            where a.status = 'pending' and a.kind = :kind and a.due_at < now() - :age
                and a.tenant_id = late.tenant_id and a.lane_id = late.lane_id
        ) due
        limit :most
    ) counted),
    cast(coalesce((select extract(epoch from now() - min(late.due_at)) from late), 0) as float8)
""").bindparams(bindparam("age", type_=Interval))

_CLOSED = text("""
select reason, count(*) from (
    select distinct tenant_id, channel, sender_id, reason from closures where until is null or until > now()
) as closed group by reason
""")

_AHEAD = text("""
select coalesce(min(day) filter (where to_regclass(
    :table || '_p' || to_char((now() at time zone 'utc')::date + day, 'YYYYMMDD')
) is null), :most + 1) - 1
from generate_series(1, :most) as day
""")


async def deliveries(tx: AsyncConnection) -> dict[str, Waiting]:
    """The deliveries in each state that is no end; of at most 10,000 a state."""
    found = {row[0]: Waiting(row[1], row[2]) for row in await tx.execute(_OPEN, {"most": _MOST_DELIVERIES})}
    return {state: found.get(state, Waiting(0, 0.0)) for state in OPEN_STATES}


async def overdue(tx: AsyncConnection, kind: str, age: timedelta) -> Waiting:
    """The actions of a kind due for longer than `age` that nothing holds back and nobody takes.

    Of 10,000 lanes, and at most 10,000 rows of them.
    """
    queue = SENDS if kind == "send" else TIMEOUTS
    place = {"after_tenant": UUID(int=0), "after_lane": UUID(int=0), "lanes": _MOST_LANES}
    values = {"kind": kind, "queue": queue.name, "age": age, "most": _MOST_ACTIONS, **place}
    return Waiting(*(await tx.execute(_OVERDUE, values)).one())


async def closed_senders(tx: AsyncConnection) -> dict[str, int]:
    """How many senders, or channels of a tenant, admit nothing now, by reason."""
    return {row[0]: row[1] for row in await tx.execute(_CLOSED)}


async def partitions_ahead(tx: AsyncConnection) -> dict[str, int]:
    """For how many days after today each partitioned table has its partition, at most 30."""
    return {
        table: int((await tx.execute(_AHEAD, {"table": table, "most": _MOST_DAYS})).scalar_one())
        for table in PARTITIONED
    }
