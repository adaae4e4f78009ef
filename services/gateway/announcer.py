"""Telling the queue which deliveries wait, behind the answers' back.

A delivery's row is the truth, and the sweeper finds the rows that nobody announced. So what does not fit
here, or meets a Redis that is away, is dropped and counted, and no answer ever waits for it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Self
from uuid import UUID

from prometheus_client import Counter

from shared.jobs import WEBHOOKS, WebhookJob, job_id
from shared.loop import AWAY, Loop
from shared.queue.types import NewJob

_BATCH = 100
_IDLE = timedelta(seconds=1)
_FLUSH = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery to process."""

    tenant_id: UUID
    delivery_id: UUID
    provider: str
    g: int

    def job(self) -> NewJob:
        """The job that points at it."""
        envelope = WebhookJob(
            tenant_id=self.tenant_id, webhook_delivery_id=self.delivery_id, provider=self.provider
        )
        return NewJob(
            id=job_id("webhook", self.delivery_id, self.g),
            lane=envelope.lane,
            payload=envelope.wire(),
            priority=WEBHOOKS.priority,
        )


class Announcer:
    """A bounded line of deliveries, and the loop that enqueues their ids in batches.

    A context manager; leaving it tries once more what still waits, for two seconds.
    """

    def __init__(
        self, enqueue: Callable[[Sequence[NewJob]], Awaitable[object]], most: int, dropped: Counter
    ) -> None:
        self._enqueue = enqueue
        self._most = most
        self._dropped = dropped
        self._line: deque[Waiting] = deque()
        self._loop = Loop("gateway.announcer", self._step, every=_IDLE)

    def __call__(self, waiting: Waiting) -> None:
        """Take a delivery into the line, or drop it when the line is full."""
        if len(self._line) >= self._most:
            self._dropped.inc()
            return
        self._line.append(waiting)
        self._loop.wake()

    async def __aenter__(self) -> Self:
        await self._loop.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(TimeoutError, *AWAY):
            async with asyncio.timeout(_FLUSH.total_seconds()):
                await self._loop.__aexit__()
                while await self._step():
                    pass

    async def _step(self) -> bool:
        batch = [self._line.popleft() for _ in range(min(_BATCH, len(self._line)))]
        if not batch:
            return False
        try:
            await self._enqueue([waiting.job() for waiting in batch])
        except BaseException:
            self._dropped.inc(len(batch))
            raise
        return bool(self._line)
