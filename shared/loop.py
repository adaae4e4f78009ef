"""Loops: work done again and again, that outlives the servers it needs.

A loop on Redis or Postgres meets their absence as a matter of course: it says so once, tries again with
growing jittered pauses, says when they are back, and goes on. An error nobody foresaw is logged with its
traceback each time, and tried again too: one broken round must not end a process that does other work.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Self

import structlog
from redis import exceptions as redis

from shared.errors import StoreUnavailable

log = structlog.get_logger()

AWAY: tuple[type[Exception], ...] = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.ReadOnlyError,  # a master that became a replica
    redis.OutOfMemoryError,  # full, so it takes nothing in
    StoreUnavailable,
    OSError,
    TimeoutError,
)
"""What a server's absence looks like."""

_FIRST_PAUSE = timedelta(milliseconds=50)
_LONGEST_PAUSE = timedelta(seconds=2)  # after an absence, work goes on within seconds


class Backoff:
    """Growing pauses with jitter, so that many who wait for one server do not come back at once."""

    def __init__(self) -> None:
        self._ceiling = _FIRST_PAUSE

    def next(self) -> timedelta:
        """The next pause: between half and all of a ceiling that doubles up to 2 s."""
        length = self._ceiling * random.uniform(0.5, 1)
        self._ceiling = min(self._ceiling * 2, _LONGEST_PAUSE)
        return length

    def reset(self) -> None:
        """Begin again with the shortest."""
        self._ceiling = _FIRST_PAUSE


class Loop:
    """Calls `step` every `every`, at once after `wake()`, and at once again while it returns True.

    A context manager: entering starts the loop, leaving lets the current step end and then stops; `cancel()`,
    or cancelling the exit, cancels the step.
    """

    def __init__(self, name: str, step: Callable[[], Awaitable[bool | None]], every: timedelta) -> None:
        self.name = name
        self._step = step
        self._every = every
        self._backoff = Backoff()
        self._away = False
        self._awake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Take the next step now; a back-off is waited out first."""
        self._awake.set()

    def cancel(self) -> None:
        """Stop now, in the middle of a step that waits."""
        self._stopping.set()
        if self._task is not None:
            self._task.cancel()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name=self.name)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        self.wake()
        if self._task is not None:
            try:
                await asyncio.wait([self._task])
            except asyncio.CancelledError:
                self._task.cancel()
                await asyncio.wait([self._task])
                raise

    async def _run(self) -> None:
        while not self._stopping.is_set():
            self._awake.clear()
            try:
                more = await self._step()
            except AWAY as error:
                self._lost(error)
                await pause(self._stopping, self._backoff.next())
            except Exception:  # the boundary: logged, backed off, tried again
                log.exception("loop.failed", loop=self.name)
                await pause(self._stopping, self._backoff.next())
            else:
                self._recovered()
                if not more:
                    await rest(self._awake, self._every)

    def _lost(self, error: Exception) -> None:
        if not self._away:
            log.warning("server.away", loop=self.name, error=type(error).__name__, detail=str(error))
        self._away = True

    def _recovered(self) -> None:
        if self._away:
            log.info("server.back", loop=self.name)
        self._away = False
        self._backoff.reset()


async def pause(until: asyncio.Event, longest: timedelta) -> None:
    """Sleep until the event is set, or for so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(longest.total_seconds()):
            await until.wait()


async def rest(awake: asyncio.Event, longest: timedelta) -> None:
    """Sleep until the event is set, and set it after so long: `pause` without the cost of a timeout."""
    timer = asyncio.get_running_loop().call_later(longest.total_seconds(), awake.set)
    try:
        await awake.wait()
    finally:
        timer.cancel()
