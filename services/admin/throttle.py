"""Throttle: who guesses passwords waits."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import timedelta


class Throttle:
    """Lets at most so many tries of a key fail in a window of time.

    A try counts from its beginning, so that many at once are no way around. At most `keys` keys are kept;
    those that were tried longest ago are forgotten first.
    """

    def __init__(
        self,
        tries: int = 10,
        within: timedelta = timedelta(minutes=5),
        keys: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tries = tries
        self._within = within.total_seconds()
        self._keys = keys
        self._clock = clock
        self._tried: OrderedDict[str, deque[float]] = OrderedDict()

    def admit(self, *keys: str) -> timedelta | None:
        """Count a try against every key and return None; or, where one had its share, how long to wait."""
        now = self._clock()
        waits = [wait for key in keys if (wait := self._wait(key, now)) > 0]
        if waits:
            return timedelta(seconds=max(waits))
        for key in keys:
            self._tried.setdefault(key, deque(maxlen=self._tries)).append(now)
            self._tried.move_to_end(key)
        while len(self._tried) > self._keys:
            self._tried.popitem(last=False)
        return None

    def succeeded(self, *keys: str) -> None:
        """A try was right after all, and counts no more."""
        for key in keys:
            tried = self._tried.get(key)
            if tried:
                tried.pop()

    def _wait(self, key: str, now: float) -> float:
        tried = self._tried.get(key)
        if not tried or len(tried) < self._tries:
            return 0
        return tried[0] + self._within - now
