"""The database: an engine, transactions, and what is tried again."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import asyncpg
from sqlalchemy import Row
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.errors import SchemaMissing, SettingsError, StoreUnavailable
from shared.settings import DatabaseSettings

T = TypeVar("T")

_AGAIN = {"40001", "40P01"}  # serialization_failure, deadlock_detected
_REPLICA = "25006"  # read_only_sql_transaction
# connection_exception, admin_shutdown and kin, no room (for connections, memory, data), a broken disk
_AWAY = ("08", "57P0", "53", "58", _REPLICA)
_REFUSED = ("28", "3D")  # invalid_authorization_specification, invalid_catalog_name
_SCHEMA = {"42P01", "42703"}  # undefined_table, undefined_column
_TRIES = 5


def engine_of(url: str, **options: Any) -> AsyncEngine:
    """An engine, which connects when it is first used. Raises SettingsError: that is no URL of Postgres."""
    try:
        return create_async_engine(url, **options)
    except (ArgumentError, ValueError):  # a port that is no number is a ValueError
        pass
    # Out here: the error itself, which quotes the URL and its password, is then no context of ours.
    raise SettingsError("DATABASE_URL is not as postgresql://user:password@host:port/database.")


class Database:
    """One pool of connections; every statement of the store runs in one of its transactions.

    Raises SettingsError: the URL is none of Postgres.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self.settings = settings
        self.engine = engine_of(
            settings.dsn,
            pool_size=settings.pool_size,
            max_overflow=0,
            pool_timeout=settings.connect_timeout.total_seconds(),
            pool_pre_ping=False,
            hide_parameters=True,  # an error's text goes to logs, and parameters hold bodies and addresses
            connect_args=_connect_args(settings),
        )

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed on leaving, rolled back on an error.

        Raises StoreUnavailable when Postgres does not answer or lets nobody in, SchemaMissing before it is
        migrated.
        """
        try:
            async with self.engine.begin() as connection:
                try:
                    yield connection
                except DBAPIError as error:
                    if _code(error) == _REPLICA:
                        await connection.invalidate()  # the primary is at the end of a new one, if anywhere
                    raise
        except (OSError, PoolTimeout, InterfaceError, TimeoutError) as error:
            raise StoreUnavailable from error
        except DBAPIError as error:
            _forget_details(error)
            code = _code(error)
            if error.connection_invalidated or code.startswith(_AWAY):
                raise StoreUnavailable from error
            if code.startswith(_REFUSED):
                raise StoreUnavailable("Postgres refuses us: look at DATABASE_URL.") from error
            if code in _SCHEMA:
                raise SchemaMissing from error
            raise

    async def run(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run `work` in a transaction; again, with a pause, after a deadlock or serialization failure."""
        for tries_left in reversed(range(_TRIES)):
            try:
                async with self.begin() as connection:
                    return await work(connection)
            except DBAPIError as error:
                if _code(error) not in _AGAIN or not tries_left:
                    raise
                await asyncio.sleep(
                    random.uniform(0.005, 0.05)
                )  # apart, so that the same two do not meet again
        raise AssertionError("unreachable: the last try returns or raises")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give all connections back."""
        await self.engine.dispose()


def _connect_args(settings: DatabaseSettings) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "timeout": settings.connect_timeout.total_seconds(),
        "command_timeout": settings.statement_timeout.total_seconds(),
        # The custom plans of our small set statements are never worth planning anew.
        "server_settings": {"application_name": "outreach", "jit": "off"},
    }
    if not settings.prepared_statements:
        # A transaction pooler refuses who asks a session for more than it knows of.
        arguments |= {
            "server_settings": {"application_name": "outreach"},
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
        }
    return arguments


def _forget_details(error: DBAPIError) -> None:
    """Keep out of logs what Postgres quotes in a detail: the row, addresses and bodies included."""
    cause = error.orig and error.orig.__cause__
    if isinstance(cause, asyncpg.PostgresError):
        cause.detail = None


def _code(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None) or "")


__all__ = ["AsyncConnection", "Database", "Row"]
