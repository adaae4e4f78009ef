"""How a queue stands for who decides how many workers it is worth: who works, and what they could do now."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import NamedTuple

from shared.queue.codec import milliseconds
from shared.queue.engine import Engine
from shared.redis.scripts import Argument

BEAT = timedelta(seconds=5)
"""How often a worker says that it works."""

_SILENT = 3 * BEAT
_TENANTS_AT_ONCE = 100


class WorkerSeen(NamedTuple):
    """A worker process: how many jobs it runs at once, and the seconds that one took it; 0: it ran none."""

    slots: int
    seconds: float


class Standing(Engine):
    """Workers and runnable jobs."""

    async def beat(self, worker: str, slots: int, seconds: float) -> None:
        """Say that a worker process works, at what concurrency, and how long its jobs take."""
        length = round(seconds * 1_000_000)
        argv: dict[str, Argument] = {
            "worker": worker,
            "slots": slots,
            "length": length,
            "silent": milliseconds(_SILENT),
        }
        await self._run("beat", 0, argv)

    async def workers(self) -> list[WorkerSeen]:
        """The worker processes that said within 15 s that they work; each visits every partition."""
        flat = await self._run("workers", 0, {"silent": milliseconds(_SILENT)})
        return [
            WorkerSeen(slots, length / 1_000_000) for slots, length in zip(*[iter(flat)] * 2, strict=True)
        ]

    async def runnable(self, partition: int) -> AsyncIterator[list[tuple[str, int]]]:
        """The lanes that nothing holds back and how many jobs wait in each, 100 tenants at a time.

        Ask for no more than is needed: each page is a script. Removed jobs count until the line has passed
        them; what joins or leaves the line meanwhile may be missed or counted twice.
        """
        first = 0
        while flat := await self._run("runnable", partition, {"first": first, "tenants": _TENANTS_AT_ONCE}):
            yield [(lane.decode(), count) for lane, count in zip(*[iter(flat)] * 2, strict=True)]
            first += _TENANTS_AT_ONCE
