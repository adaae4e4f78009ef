"""The servers that tests start for themselves, and whether a test without them is skipped or fails."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar
from uuid import uuid4

import asyncpg
import pytest

from shared.child import EmbeddedServer
from shared.errors import SettingsError
from shared.redis.embedded import EmbeddedValkey
from shared.store.embedded import EmbeddedPostgres

S = TypeVar("S", bound=EmbeddedServer)
TEMPLATE = "migrated"


def setting(name: str) -> str | None:
    """A variable of the environment."""
    return os.environ.get(name)  # noqa: TID251  tests have no __main__ to read settings in


def chosen_path(name: str) -> Path | None:
    """The path that a variable names, or None for the wheel's own."""
    value = setting(name)
    return Path(value) if value else None


def without(reason: str) -> NoReturn:
    """Skip the test on a machine that lacks something; in CI nothing may be lacking."""
    if setting("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def valkey_in(folder: Path) -> EmbeddedValkey:
    """A Valkey that loses everything when it stops."""
    return EmbeddedValkey(
        folder,
        binary=chosen_path("OUTREACH_TEST_REDIS_BINARY"),
        settings={"enable-debug-command": "local"},
    )


def postgres_in(folder: Path) -> EmbeddedPostgres:
    """A Postgres in a hurry."""
    return EmbeddedPostgres(folder, bin_dir=chosen_path("OUTREACH_TEST_POSTGRES_BIN"), durable=False)


@contextmanager
def serving(make: Callable[[Path], S]) -> Iterator[S]:
    """Run a server in a folder of its own for as long as the block; skip or fail without its binary."""
    with tempfile.TemporaryDirectory(prefix="outreach-test-", ignore_cleanup_errors=True) as folder:
        try:
            server = make(Path(folder))
        except SettingsError as error:
            without(str(error))
        try:
            asyncio.run(server.start())
            yield server
        finally:
            asyncio.run(server.stop())


async def admin(server: EmbeddedPostgres, statement: str) -> None:
    """Run a statement that needs no database."""
    connection = await asyncpg.connect(server.dsn, timeout=10, command_timeout=60)
    try:
        await connection.execute(statement)
    finally:
        await connection.close(timeout=5)


@contextmanager
def fresh_database(server: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a new database with every migration applied; it is dropped afterwards."""
    name = f"test_{uuid4().hex}"
    asyncio.run(admin(server, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy"))
    try:
        yield server.url_of(name)
    finally:
        asyncio.run(admin(server, f"DROP DATABASE {name} WITH (FORCE)"))
