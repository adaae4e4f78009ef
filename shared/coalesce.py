"""Coalescing: many callers, one round trip.

Code is written for one item; the items of callers that wait at the same time travel together. This is how
work is done in sets without a handler knowing of any other.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Generic, TypeVar

from shared.errors import StoreUnavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Coalescer(Generic[Item, Answer]):
    """Calls `work` with the items of all who wait: those of one loop tick, and those that came while it ran.

    `work` returns one answer per item, in order; an exception as an answer is raised to that item's caller
    alone, an exception raised by `work` to every caller of its batch. At most `most` items go at once and
    `lanes` calls of `work` run side by side: each takes all that waits or, given `least`, its share of it and
    at least so many, so that some callers go on while others wait. Who has no answer within `patience`,
    waiting in line included, gets StoreUnavailable; the work goes on.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | Exception]]],
        most: int = 100,
        lanes: int = 1,
        patience: timedelta | None = None,
        least: int | None = None,
    ) -> None:
        self._work = work
        self._most = most
        self._lanes = lanes
        self._least = least or most
        self._patience = patience.total_seconds() if patience is not None else None
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._busy = 0  # lanes that look at the line, or work
        self._working = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, item: Item) -> Answer:
        """The answer for one item."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._busy < self._lanes:
            self._busy += 1
            # The task starts on the loop's next turn, so whoever calls in this one travels along.
            task = asyncio.create_task(self._drain())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._patience is None:
            return await future
        try:
            async with asyncio.timeout(self._patience):
                return await future
        except TimeoutError as error:
            raise StoreUnavailable from error

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(self._share())]
                # A caller that gave up is not worked for.
                batch = [entry for entry in batch if not entry[1].done()]
                if batch:
                    await self._answer(batch)
        finally:
            # In the same turn as the last look at the line: whoever comes next starts a new task.
            self._busy -= 1

    def _share(self) -> int:
        waiting, idle = len(self._waiting), self._lanes - self._working
        return min(waiting, self._most, max(self._least, -(-waiting // idle)))

    async def _answer(self, batch: list[tuple[Item, "asyncio.Future[Answer]"]]) -> None:
        self._working += 1
        try:
            answers = await self._work([item for item, _ in batch])
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:
            # Not swallowed: every caller gets it.
            answers = [error] * len(batch)
        finally:
            self._working -= 1
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


async def or_separately(
    work: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]], items: Sequence[Item]
) -> list[Answer | Exception]:
    """The answers of `work` for all items at once; if that fails, of each item alone, or its own error.

    So what is wrong with one item fails that item. Raises StoreUnavailable, which is nobody's fault.
    """
    try:
        return list(await work(items))
    except StoreUnavailable:
        raise
    except Exception as error:  # not swallowed: it is the answer of whoever caused it
        if len(items) == 1:
            return [error]
    return [answer for item in items for answer in await or_separately(work, [item])]
