"""Watches: what is shown is looked at now and then, however many look at the page."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, Self, TypeVar

from shared.loop import Loop

Seen = TypeVar("Seen")

_PATIENCE = timedelta(seconds=5)
"""A look takes no longer; and what was seen is called old when no look since then succeeded."""


@dataclass(frozen=True, slots=True)
class View(Generic[Seen]):
    """What was seen last, None before the first look; and how long ago, where that is too long."""

    seen: Seen | None
    away_for: timedelta | None


class Watch(Generic[Seen]):
    """Looks every `every`, and keeps what it saw; entering starts it."""

    def __init__(
        self,
        name: str,
        look: Callable[[], Awaitable[Seen]],
        every: timedelta,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look
        self._every = every
        self._clock = clock
        self._loop = Loop(name, self.step, every)
        self._seen: Seen | None = None
        self._at = clock()

    @property
    def view(self) -> View[Seen]:
        """What there is to show."""
        age = timedelta(seconds=self._clock() - self._at)
        return View(self._seen, age if age > self._every + _PATIENCE else None)

    async def step(self) -> None:
        """Look once."""
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            self._seen = await self._look()
        self._at = self._clock()

    async def __aenter__(self) -> Self:
        await self._loop.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._loop.cancel()
        await self._loop.__aexit__()
