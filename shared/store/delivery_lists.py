"""Deliveries of all tenants as an operator pages through them, and counts of what is not done with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, TextClause, text

from shared.store.database import AsyncConnection
from shared.store.delivery_rows import SHOWN, STATES
from shared.store.partitions import partition_name


class Spot(NamedTuple):
    """Where a page ended."""

    received_at: datetime
    tenant_id: UUID
    id: UUID


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of deliveries without their bodies, and where it ended; None: there are no more.

    Rows have the columns of a tenant's page, and `tenant_id` and `tenant`, its name, None where it is gone.
    """

    rows: Sequence[Row[Any]]
    after: Spot | None


TOP = Spot(datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1), UUID(int=2**128 - 1))
"""Before the first page."""

_NAMED = f"{SHOWN}, x.tenant_id, left(t.name, 500) as tenant"

# Of every body that came within 48 h there is a digest, by time.
_LATEST = text(f"""
with latest as (
    select received_at, tenant_id, delivery_id from delivery_digests
    where received_at <= :received_at
        and (received_at, tenant_id, delivery_id) < (:received_at, :tenant_id, :id)
    order by received_at desc, tenant_id desc, delivery_id desc limit :most
)
select {_NAMED} from latest l
cross join lateral (
    select * from deliveries d
    where d.tenant_id = l.tenant_id and d.id = l.delivery_id and d.received_at = l.received_at offset 0
) x
left join tenants t on t.id = x.tenant_id
order by x.received_at desc, x.tenant_id desc, x.id desc
""")

# The partitions of days, the latest first, and last the default one, which holds what is of no other.
_TABLES = text("""
select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = cast('deliveries' as regclass) order by c.relname desc
""")


def _of_a_state(state: str, tables: Sequence[str], continued: bool) -> TextClause:
    """A page of the index of a state in each partition, of which the first is `continued`.

    By a condition on the time a partition would be found, but its primary key, too: Postgres would read all
    of a day by that, to find what failed.
    """
    columns = ("tenant_id", "id") if state == "failed" else ("tenant_id", "received_at", "id")
    order = ", ".join(f"{name} desc" for name in columns)
    names, place = ", ".join(columns), ", ".join(f":{name}" for name in columns)
    parts = [
        f"(select {n} as part, y.* from {table} y where y.state = '{state}'"
        f" and {f'({names}) < ({place})' if continued and n == 0 else 'true'} order by {order} limit :most)"
        for n, table in enumerate(tables)
    ]
    return text(f"""
with found as (select * from ({" union all ".join(parts)}) every order by part, {order} limit :most)
select {_NAMED} from found x left join tenants t on t.id = x.tenant_id order by x.part, {order}
""")


_COUNTS = text(
    "select state, count(*) from ("
    + " union all ".join(
        f"(select state from deliveries where state = '{each}' limit :most)" for each in STATES
    )
    + ") found group by state"
)

_COUNTS_OF_ONE = text(_COUNTS.text.replace(" limit", " and tenant_id = :tenant_id limit"))


async def latest(tx: AsyncConnection, after: Spot | None, most: int) -> Listed:
    """Deliveries of all tenants in any state that came within 48 h, the latest first."""
    return await _page(tx, _LATEST, after, most)


async def of_state(tx: AsyncConnection, state: str, after: Spot | None, most: int) -> Listed:
    """Deliveries of all tenants in one of `STATES`, by day, the latest first; of a day by tenant."""
    tables = list((await tx.execute(_TABLES)).scalars())
    if after is not None:
        day = partition_name("deliveries", after.received_at.astimezone(UTC).date())
        tables = tables[tables.index(day) if day in tables else -1 :]
    return await _page(tx, _of_a_state(state, tables, after is not None), after, most)


async def counts(tx: AsyncConnection, tenant_id: UUID | None, most: int) -> dict[str, int]:
    """How many deliveries of a tenant, or of all, are in each of `STATES`; of each at most so many."""
    statement = _COUNTS if tenant_id is None else _COUNTS_OF_ONE
    found = await tx.execute(statement, {"tenant_id": tenant_id, "most": most})
    return {**dict.fromkeys(STATES, 0), **{row[0]: row[1] for row in found}}


async def _page(tx: AsyncConnection, statement: TextClause, after: Spot | None, most: int) -> Listed:
    place = (after or TOP)._asdict()
    rows = (await tx.execute(statement, {**place, "most": most})).all()
    last = rows[-1] if len(rows) == most else None
    return Listed(rows, Spot(last.received_at, last.tenant_id, last.id) if last is not None else None)
