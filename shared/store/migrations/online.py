"""Indexes that are built while others write.

A plain `create index` keeps writers out until it is done. Built concurrently, an index takes longer and lets
them be; what a build that was broken off has left is dropped first, so that a migration can be run again.
"""

from alembic import op
from sqlalchemy import Connection, text

_PARTITIONS = text(
    "select relid::regclass::text from pg_partition_tree(to_regclass(:table)) where isleaf order by 1"
)
_BROKEN = text(
    "select exists (select 1 from pg_index where indexrelid = to_regclass(:index) and not indisvalid)"
)


def build_index(name: str, table: str, definition: str) -> None:
    """Build an index of a table, or of each partition of it; one that is there already is left as it is.

    Only inside of `op.get_context().autocommit_block()`, and before the migration's other statements: these
    are one transaction, and what was done in front of it is found done by the next run. `definition` is what
    follows the table's name.
    """
    connection = op.get_bind()
    partitions = list(connection.scalars(_PARTITIONS, {"table": table}))
    for partition in partitions:
        _build(connection, f"{name}_{partition}", partition, definition)
    if partitions:
        # Takes over the partitions' indexes, and builds none but of a partition made just now.
        connection.execute(text(f"create index if not exists {name} on {table} {definition}"))
    else:
        _build(connection, name, table, definition)


def _build(connection: Connection, name: str, table: str, definition: str) -> None:
    if connection.scalar(_BROKEN, {"index": name}):
        connection.execute(text(f"drop index concurrently {name}"))
    connection.execute(text(f"create index concurrently if not exists {name} on {table} {definition}"))
