"""Waiting for what happens in other processes, which have no event of ours to set."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")

OFTEN = timedelta(milliseconds=50)


async def until(look: Callable[[], Awaitable[T | None]], every: timedelta = OFTEN) -> T:
    """The first true value that `look` returns."""
    while not (seen := await look()):  # noqa: ASYNC110  another process's state
        await asyncio.sleep(every.total_seconds())
    return seen
