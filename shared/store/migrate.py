"""Bring the schema up to date, and say whether it is.

Pods wait for the schema; only `outreach migrate`, the embedded servers and tests change it.
"""

import asyncio
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.store.database import engine_of
from shared.store.partitions import ensure_partitions

_LOCK = 0x6F757472  # "outr": two migrations at once take turns
_OFTEN = timedelta(seconds=0.2)


class Standing(StrEnum):
    """How a schema stands to what this release needs.

    A newer one serves it too: migrations expand before they contract.
    """

    MISSING = "missing"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"


def ours(_object: Any, name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:
    """Whether a schema object is described by the metadata: a day's partition is not."""
    return not (kind in {"table", "index"} and name is not None and "_p2" in name) and not str(name).endswith(
        "_default"
    )


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    command.upgrade(_config(connection), "head")


async def upgrade(url: str, days_ahead: int = 7) -> None:
    """Apply every migration that is missing and make the coming days' partitions.

    It can be broken off and run again. It needs a session: `DATABASE_DIRECT_URL`, past a transaction pooler.
    """
    engine = engine_of(url)
    try:
        async with engine.connect() as connection:
            await _take_turn(connection)
            await connection.run_sync(_upgrade)
            await connection.commit()
            await ensure_partitions(connection, days_ahead)
            await connection.commit()
    finally:
        await engine.dispose()


async def _take_turn(connection: AsyncConnection) -> None:
    """Wait until no other migration runs, and keep others waiting for as long as the connection lives."""
    # Not in a statement that waits: Postgres would let the other's index wait for the end of that statement.
    while not await connection.scalar(text(f"select pg_try_advisory_lock({_LOCK})")):
        await connection.commit()
        await asyncio.sleep(_OFTEN.total_seconds())
    await connection.commit()


def compare(found: set[str], heads: set[str], known: set[str]) -> Standing:
    """How revisions that were found stand to those that this release knows, and to the last of them."""
    if not found:
        return Standing.MISSING
    if found == heads:
        return Standing.CURRENT
    return Standing.OLDER if found <= known else Standing.NEWER


def _standing(connection: Connection) -> Standing:
    scripts = ScriptDirectory.from_config(_config())
    known = {script.revision for script in scripts.walk_revisions()}
    found = set(MigrationContext.configure(connection).get_current_heads())
    return compare(found, set(scripts.get_heads()), known)


async def standing(connection: AsyncConnection) -> Standing:
    """How the schema stands to this release."""
    return await connection.run_sync(_standing)


async def is_current(url: str) -> bool:
    """Whether the schema is the one this release needs, or a newer one."""
    engine = engine_of(url)
    try:
        async with engine.connect() as connection:
            return await standing(connection) in (Standing.CURRENT, Standing.NEWER)
    finally:
        await engine.dispose()
