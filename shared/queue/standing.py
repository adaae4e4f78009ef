"""How a queue stands for who decides how many workers it is worth: who works, and what they could do now."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import NamedTuple

from shared.queue.codec import milliseconds
from shared.queue.engine import Engine
from shared.redis.scripts import Argument

BEAT = timedelta(seconds=5)
"""How often a worker says that it works."""

SILENT = 3 * BEAT
"""Who has not said so for longer does not work."""

_MOST_WORKERS = 1_000
TENANTS_AT_ONCE = 100
"""How many tenants of the line a page tells of."""


class WorkerSeen(NamedTuple):
    """A worker process: its name, how many jobs it runs at once, the seconds that one took it, when heard.

    `seconds` 0: it ran none yet. `ago` is how long ago it last said that it works.
    """

    process: str
    slots: int
    seconds: float
    ago: timedelta


class Line(NamedTuple):
    """Part of a partition's line: how many tenants it has in all; lanes, and how many jobs wait in each."""

    tenants: int
    lanes: list[tuple[str, int]]


class Standing(Engine):
    """Workers and runnable jobs."""

    async def beat(self, process: str, slots: int, seconds: float) -> None:
        """Say that a worker process works, at what concurrency, and how long its jobs take."""
        length = round(seconds * 1_000_000)
        argv: dict[str, Argument] = {
            "worker": process,
            "slots": slots,
            "length": length,
            "silent": milliseconds(SILENT),
        }
        await self._run("beat", 0, argv)

    async def workers(self) -> list[WorkerSeen]:
        """The worker processes that said within 15 s that they work, by name; at most 1,000 of them.

        Each visits every partition. After a flush they are seen again with their next beat.
        """
        flat = await self._run("workers", 0, {"silent": milliseconds(SILENT), "limit": _MOST_WORKERS})
        return sorted(
            WorkerSeen(process.decode(), slots, length / 1_000_000, timedelta(milliseconds=ago))
            for process, ago, slots, length in zip(*[iter(flat)] * 4, strict=True)
        )

    async def runnable(self, partition: int) -> AsyncIterator[Line]:
        """The lanes that nothing holds back, 100 tenants at a time, those whose turn is next first.

        Ask for no more than is needed: each page is a script. Removed jobs count until the line has passed
        them; what joins or leaves the line meanwhile may be missed or counted twice.
        """
        first, tenants = 0, 1
        while first < tenants:
            argv: dict[str, Argument] = {"first": first, "tenants": TENANTS_AT_ONCE}
            tenants, *flat = await self._run("runnable", partition, argv)
            pairs = zip(*[iter(flat)] * 2, strict=True)
            yield Line(tenants, [(lane.decode(), count) for lane, count in pairs])
            first += TENANTS_AT_ONCE
