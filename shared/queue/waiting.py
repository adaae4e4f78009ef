"""How a worker waits for work: on one key per partition, where scripts put a nudge when a lane comes alive.

One nudge wakes one worker, and a claim that used up its slots while work remains nudges the next: no herd. A
lost nudge costs no more than the caller's own timeout.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from shared.errors import SettingsError
from shared.queue.engine import Engine

_LONGEST = timedelta(seconds=1)


class Waiting(Engine):
    """Waiting for work."""

    async def wait(self, partitions: Sequence[int], timeout: timedelta = _LONGEST) -> int | None:
        """Wait until a partition has work: which one; None after `timeout`, at most 1 s, when a look is due.

        Cancelling is safe: a nudge that came in the meantime goes to another worker. One `wait` at a time.

        Raises:
            SettingsError: this queue was made without a client for waiting.
        """
        if self._waiting is None:
            raise SettingsError("Give Queue(waiting=...) a connection of its own to wait on.")
        keys = {self._key(partition, "wake").encode(): partition for partition in partitions}
        # The server looks at its timeouts every 100 ms, too coarse for a delayed job: we end the wait.
        pop = asyncio.ensure_future(self._waiting.bzpopmin(list(keys), 2))
        try:
            await asyncio.wait({pop}, timeout=min(timeout, _LONGEST).total_seconds())
            found = await self._withdraw(pop)
        except asyncio.CancelledError:
            found = await self._withdraw(pop)
            if found is not None:
                await self.nudge(keys[found[0]])
            raise
        return keys[found[0]] if found is not None else None

    async def nudge(self, partition: int) -> None:
        """Wake one worker that waits for the partition, or the next that will."""
        await self._redis.zadd(self._key(partition, "wake"), {"work": 0})

    async def _withdraw(self, pop: "asyncio.Future[Any]") -> Any:
        while not pop.done():
            connection: Any = self._waiting.connection if self._waiting is not None else None
            if connection is not None and connection.client_id:
                await self._redis.client_unblock(connection.client_id)
            await asyncio.wait({pop}, timeout=0.005)
        return pop.result()
