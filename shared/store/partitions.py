"""Day partitions: kept ahead of time, dropped when their time is over.

`deliveries` and `attempts` have a default partition too, so that a late dispatch loses nothing. A day that it
holds rows of stays there: Postgres makes no partition for them, and to move a day's bodies may take long.
"""

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

PARTITIONED = {"deliveries": "received_at", "attempts": "charged_at"}
"""The tables, and the time that says which day's a row is."""


def partition_name(table: str, day: date) -> str:
    """The name of a day's partition."""
    return f"{table}_p{day:%Y%m%d}"


async def ensure_partitions(connection: AsyncConnection, days_ahead: int) -> None:
    """Make the partitions from yesterday to `days_ahead` days from now that do not exist.

    Except those of days that a default partition holds rows of.
    """
    # Two who make the same one at once would fail.
    await connection.execute(text("select pg_advisory_xact_lock(hashtextextended('outreach partitions', 0))"))
    today = (await connection.scalar(text("select (now() at time zone 'utc')::date"))) or date.min
    for table in PARTITIONED:
        for offset in range(-1, days_ahead + 1):
            await _ensure(connection, table, today + timedelta(days=offset))


async def _ensure(connection: AsyncConnection, table: str, day: date) -> None:
    name = partition_name(table, day)
    if await connection.scalar(text("select to_regclass(:name)"), {"name": name}) is not None:
        return
    first, after = f"{day:%Y-%m-%d}T00:00:00Z", f"{day + timedelta(days=1):%Y-%m-%d}T00:00:00Z"
    key = PARTITIONED[table]
    held = f"select exists (select 1 from {table}_default where {key} >= '{first}' and {key} < '{after}')"
    if await connection.scalar(text(held)):
        return
    await connection.execute(
        text(
            f"create table if not exists {name} partition of {table}"
            f" for values from ('{first}') to ('{after}')"
        )
    )


async def drop_partitions(connection: AsyncConnection, table: str, keep: timedelta) -> list[str]:
    """Drop the partitions whose whole day is older than `keep`; the names of those dropped."""
    last_kept = (datetime.now(UTC) - keep).date()
    rows = await connection.execute(
        text("select inhrelid::regclass::text from pg_inherits where inhparent = to_regclass(:table)"),
        {"table": table},
    )
    names = [name for name in rows.scalars() if "_p" in name and name < partition_name(table, last_kept)]
    for name in names:
        await connection.execute(text(f"drop table {name}"))
    return names


async def empty_default(connection: AsyncConnection, table: str, keep: timedelta, most: int) -> int:
    """Remove rows older than `keep` from the default partition, at most so many; how many."""
    key, default = PARTITIONED[table], f"{table}_default"
    old = f"select ctid from {default} where {key} < :before limit :most"
    statement = text(f"delete from {default} where ctid = any(array({old}))")
    return (await connection.execute(statement, {"before": datetime.now(UTC) - keep, "most": most})).rowcount
