"""Writes down what handlers report of their jobs: while they run, and before they are settled."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence

from shared.broker.context import JobContext
from shared.broker.held import Held
from shared.loop import AWAY
from shared.queue.queue import Queue
from shared.queue.reporting import Report


class Reports:
    """The reports of a worker's jobs; who reports nothing costs nothing."""

    def __init__(self, queue: Queue, held: Collection[Held]) -> None:
        self._queue = queue
        self._held = held
        self._ended: dict[int, list[JobContext]] = defaultdict(list)
        self._turn = asyncio.Lock()  # or a job could be settled while what it told is on its way

    def ended(self, held: Held) -> None:
        """A job ended: what it has not told yet must be written before it is settled, or it is lost."""
        if held.context.untold is not None:
            self._ended[held.partition].append(held.context)

    async def write_ended(self, partition: int) -> None:
        """Write down what ended jobs of a partition have not told yet."""
        async with self._turn:
            contexts = self._ended.pop(partition, [])
            try:
                await self._write(partition, contexts)
            except AWAY:
                self._ended[partition][:0] = contexts
                raise

    async def write_running(self) -> None:
        """Write down what running jobs have not told yet."""
        for partition in range(self._queue.partitions):
            async with self._turn:
                here = [held.context for held in self._held if held.partition == partition]
                await self._write(partition, here)

    async def _write(self, partition: int, contexts: Sequence[JobContext]) -> None:
        told = [(each, each.untold) for each in contexts if each.untold is not None]
        for context, _ in told:
            context.untold = None
        reports = [Report(each.job, untold.progress, tuple(untold.lines)) for each, untold in told]
        try:
            await self._queue.report(partition, reports)
        except AWAY:
            for context, untold in told:
                context.tell_again(untold)
            raise
