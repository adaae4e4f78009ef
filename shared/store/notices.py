"""Notices: being told by Postgres, so that nobody who polls has to wait."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Self

import asyncpg

from shared.errors import StoreUnavailable
from shared.loop import Loop
from shared.settings import DatabaseSettings

_CHECK_EVERY = timedelta(seconds=5)


class Notices:
    """Calls `told` after each notice on a channel, and after a connection that was lost is back.

    It needs a session of its own: `DATABASE_DIRECT_URL`, where a transaction pooler is in between.
    """

    def __init__(self, settings: DatabaseSettings, channel: str, told: Callable[[], None]) -> None:
        self._dsn = settings.direct_dsn.replace("postgresql+asyncpg://", "postgresql://", 1)
        self._timeout = settings.connect_timeout.total_seconds()
        self._channel = channel
        self._told = told
        self._connection: Any = None
        self._loop = Loop(f"notices.{channel}", self._step, every=_CHECK_EVERY)

    async def __aenter__(self) -> Self:
        await self._loop.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._loop.__aexit__()
        if self._connection is not None:
            self._connection.terminate()

    async def _step(self) -> None:
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(
                    self._dsn, timeout=self._timeout, command_timeout=self._timeout
                )
                await self._connection.add_listener(self._channel, self._on_notice)
                self._told()
            else:
                await self._connection.execute("select 1")
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StoreUnavailable from error

    def _on_notice(self, *_: object) -> None:
        self._told()
