"""The limiter for whoever is not a queue: the same rolling windows, one key at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from redis.asyncio import Redis

from shared.redis.scripts import load, run

_MOST = 1 << 32  # a log's lengths and costs take four bytes


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a check was allowed, and so charged.

    `remaining` is what else fits now. `reset_at_ms`, by the server's clock, is when the oldest charge leaves
    the window; of a refused check, when its cost would fit.
    """

    allowed: bool
    remaining: int
    reset_at_ms: int


class RateLimiter:
    """Never more than a limit in any window of a length, and at least 98 % of it where there is demand.

    A key has a log for each length of window it is checked by. The charges live in Redis alone: a flush
    forgets them. `clock` gives the time in ms to tests.
    """

    def __init__(self, redis: Redis, *, prefix: str, clock: Callable[[], int] | None = None) -> None:
        self._redis = redis
        self._prefix = prefix
        self._clock = clock

    async def check(self, key: str, limit: int, window: timedelta, cost: int = 1) -> Decision:
        """Charge a key if there is room; a refused check costs nothing.

        Raises:
            ValueError: the limit or the cost is negative, or the limit or the window out of bounds.
        """
        length = window // timedelta(milliseconds=1)
        if min(limit, cost) < 0 or limit >= _MOST or not 64 <= length < _MOST:
            raise ValueError(
                "A limit and a cost are at least 0, a limit below 2^32, and a window 64 ms to 49 days long."
            )
        argv = {
            "now": self._clock() if self._clock is not None else "",
            "limit": limit,
            "length": length,
            "cost": cost,
        }
        keys = {"log": f"{self._prefix}:limit:{length}:{key}"}
        word, remaining, reset = await run(self._redis, load("limits", "check"), keys, argv)
        return Decision(word == b"allowed", remaining, reset)
