"""What `outreach doctor` reads: by index, and bounded however many rows there are.

Of rows in flight the oldest of each lane is looked at, of deliveries the oldest of each tenant; of so many
lanes or tenants at most, in the order of their ids.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, TextClause, bindparam, text
from sqlalchemy.types import Interval

from shared.store.database import AsyncConnection
from shared.store.partitions import PARTITIONED, partition_name
from shared.store.sets import columns


class Server(NamedTuple):
    """The server that answers: its major version, and whether it only follows another."""

    version: int
    replica: bool


class Stuck(NamedTuple):
    """A row that has been as it is for longer than it may be; `age` is for how long."""

    tenant_id: UUID
    id: UUID
    g: int
    age: timedelta


class Days(NamedTuple):
    """A partitioned table: the coming days without a partition, and whether its default holds rows."""

    table: str
    missing: list[str]
    strays: bool


_SERVER = text("""
select cast(current_setting('server_version_num') as int) / 10000, pg_is_in_recovery()
""")


def _actions(kind: str, status: str) -> TextClause:
    # A loose index scan: one probe a lane, however many rows each has.
    return text(f"""
with recursive lanes as (
    (
        select tenant_id, lane_id, status_at, id, g, 1 as n from scheduled_actions
        where kind = '{kind}' and status = '{status}'
        order by tenant_id, lane_id, status_at limit 1
    )
    union all
    select next.tenant_id, next.lane_id, next.status_at, next.id, next.g, lanes.n + 1
    from lanes cross join lateral (
        select tenant_id, lane_id, status_at, id, g from scheduled_actions
        where kind = '{kind}' and status = '{status}'
            and (tenant_id, lane_id) > (lanes.tenant_id, lanes.lane_id)
        order by tenant_id, lane_id, status_at limit 1
    ) next
    where lanes.n < :most
)
select lanes.tenant_id, lanes.id, lanes.g, now() - lanes.status_at as age
from lanes join tenants t on t.id = lanes.tenant_id
where lanes.status_at < now() - :age and ('{status}' <> 'unknown' or t.unknown_policy = 'fail')
""").bindparams(bindparam("age", type_=Interval))


def _deliveries(state: str) -> TextClause:
    since = "coalesce(retry_at, state_at)" if state == "parked" else "state_at"
    return text(f"""
with recursive found as (
    (
        select tenant_id, id, g, {since} as since, 1 as n from deliveries where state = '{state}'
        order by tenant_id, received_at limit 1
    )
    union all
    select next.tenant_id, next.id, next.g, next.since, found.n + 1
    from found cross join lateral (
        select tenant_id, id, g, {since} as since from deliveries
        where state = '{state}' and tenant_id > found.tenant_id
        order by tenant_id, received_at limit 1
    ) next
    where found.n < :most
)
select tenant_id, id, g, now() - since as age from found where since < now() - :age
""").bindparams(bindparam("age", type_=Interval))


_STUCK = {
    **{("send", status): _actions("send", status) for status in ("enqueued", "submitting", "unknown")},
    ("timeout", "enqueued"): _actions("timeout", "enqueued"),
    **{("webhook", state): _deliveries(state) for state in ("received", "processing", "parked")},
}

_WANTED = "unnest(cast(:tenant_id as uuid[]), cast(:id as uuid[])) as wanted (tenant_id, id)"

_POINTED_AT = {
    "scheduled_actions": text(f"""
select a.id, a.status, a.g from {_WANTED} join scheduled_actions a using (tenant_id, id)
"""),
    "deliveries": text(f"""
select d.id, d.state as status, d.g from {_WANTED} join deliveries d using (tenant_id, id)
"""),
}

_INSTALLATION = text("select id from installation")

_OPENINGS = text("""
select queue, partition, opening_at, opened_at, now() as now from queue_partitions order by queue, partition
""")

_LAST_BEAT = text("select clock_timestamp() - at from gateway_beats")

_KEYLESS = text("""
select e.id, e.provider, t.name as tenant
from webhook_endpoints e join tenants t on t.id = e.tenant_id
where not exists (
    select 1 from webhook_keys k
    where k.tenant_id = e.tenant_id and k.endpoint_id = e.id
        and (k.expires_at is null or k.expires_at > now())
)
order by e.id limit :most
""")

_SEALED = text("select id, credentials from provider_accounts limit :most")


async def server(tx: AsyncConnection) -> Server:
    """Which server answers."""
    version, replica = (await tx.execute(_SERVER)).one()
    return Server(version, replica)


async def stuck(tx: AsyncConnection, kind: str, status: str, age: timedelta, most: int) -> list[Stuck]:
    """Rows that have been in a status for longer than `age`, the oldest first; at most one a lane or tenant.

    `kind` is that of their job's id. Of a parked delivery the age counts from when it was to be looked at;
    an unknown send of a tenant whose policy leaves it so is not stuck.
    """
    rows = await tx.execute(_STUCK[kind, status], {"age": age, "most": most})
    return sorted((Stuck(*row) for row in rows), key=lambda row: row.age, reverse=True)


async def pointed_at(
    tx: AsyncConnection, table: str, rows: Sequence[tuple[UUID, UUID]]
) -> dict[UUID, tuple[str, int]]:
    """Status and generation of those of these rows (tenant, id) of a table that there are, by id."""
    found = await tx.execute(_POINTED_AT[table], columns(("tenant_id", "id"), rows))
    return {row.id: (row.status, row.g) for row in found}


async def installation(tx: AsyncConnection) -> UUID | None:
    """The installation's id; None before any service ran."""
    found = await tx.scalar(_INSTALLATION)
    return UUID(str(found)) if found is not None else None


async def openings(tx: AsyncConnection) -> list[Row[Any]]:
    """Every registered partition: queue, partition, opening_at, opened_at; and the time now."""
    return list(await tx.execute(_OPENINGS))


async def last_beat(tx: AsyncConnection) -> timedelta | None:
    """How long ago a gateway last said that it serves; None: never."""
    found: timedelta | None = await tx.scalar(_LAST_BEAT)
    return found


async def keyless(tx: AsyncConnection, most: int) -> list[Row[Any]]:
    """Webhook endpoints that no post can be signed for, at most so many: id, provider, the tenant's name."""
    return list(await tx.execute(_KEYLESS, {"most": most}))


async def sealed(tx: AsyncConnection, most: int) -> list[Row[Any]]:
    """Some provider accounts, at most so many: id, sealed credentials."""
    return list(await tx.execute(_SEALED, {"most": most}))


async def days(tx: AsyncConnection, ahead: int) -> list[Days]:
    """How the partitioned tables stand for today and so many days more."""
    now: datetime = (await tx.execute(text("select now() at time zone 'utc'"))).scalar_one()
    coming = [now.date() + timedelta(days=offset) for offset in range(ahead + 1)]
    found = []
    for table in PARTITIONED:
        names = [partition_name(table, day) for day in coming]
        there = await tx.execute(
            text(
                "select name from unnest(cast(:names as text[])) as name where to_regclass(name) is not null"
            ),
            {"names": names},
        )
        missing = sorted(set(names) - set(there.scalars()))
        strays = await tx.scalar(text(f"select exists (select 1 from {table}_default)"))
        found.append(Days(table, missing, bool(strays)))
    return found
