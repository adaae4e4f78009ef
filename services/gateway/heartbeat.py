"""The heartbeat: the row that says webhooks could come in, and whether this process may say it is ready."""

import time
from datetime import timedelta
from typing import Self

from shared.loop import Loop
from shared.store import beats
from shared.store.database import Database


class Heartbeat:
    """Beats every `every`, through the pool that stores webhooks, for as long as it is entered."""

    def __init__(
        self, database: Database, every: timedelta, silence: timedelta, ready_within: timedelta
    ) -> None:
        self._database = database
        self._silence = silence
        self._ready_within = ready_within.total_seconds()
        self._last = float("-inf")
        self._loop = Loop("gateway.heartbeat", self._beat, every=every)

    def ready(self) -> bool:
        """Whether a beat succeeded lately."""
        return time.monotonic() - self._last < self._ready_within

    async def __aenter__(self) -> Self:
        await self._loop.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._loop.__aexit__()

    async def _beat(self) -> None:
        await self._database.run(lambda connection: beats.beat(connection, self._silence))
        self._last = time.monotonic()
