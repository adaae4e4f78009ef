"""A cache of rows that are looked up on every request and change seldom."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Generic, TypeVar

from shared.coalesce import Coalescer

Key = TypeVar("Key")
Value = TypeVar("Value")


class Cache(Generic[Key, Value]):
    """Believes what `load` found, and that it found nothing, for `believe`; keeps at most `most` keys.

    Concurrent misses are loaded together.
    """

    def __init__(
        self,
        load: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]],
        believe: timedelta,
        most: int = 10_000,
    ) -> None:
        self._load = load
        self._believe = believe.total_seconds()
        self._most = most
        self._entries: dict[Key, tuple[float, Value | None]] = {}
        self._missing: Coalescer[Key, Value | None] = Coalescer(self._look_up)

    async def get(self, key: Key) -> Value | None:
        """The value, or None where there is none; raises what `load` raises."""
        entry = self._entries.get(key)
        if entry is not None and time.monotonic() < entry[0]:
            return entry[1]
        return await self._missing(key)

    async def _look_up(self, keys: Sequence[Key]) -> list[Value | Exception | None]:
        found = await self._load(list(dict.fromkeys(keys)))
        until = time.monotonic() + self._believe
        for key in keys:
            self._entries.pop(key, None)
            self._entries[key] = (until, found.get(key))
        while len(self._entries) > self._most:
            del self._entries[next(iter(self._entries))]
        return [found.get(key) for key in keys]
