"""A queue's worker as a part of a service."""

import asyncio
from datetime import timedelta
from typing import Self

from shared.broker.broker import JobBroker
from shared.broker.receiver import JobReceiver


class Worker:
    """Runs the tasks of a broker from entering to leaving; leaving drains, and waits up to `grace`.

    Under `taskiq worker` it is never entered: there Taskiq runs the receiver.
    """

    def __init__(self, broker: JobBroker, grace: timedelta) -> None:
        self.broker = broker
        self._grace = grace
        self._finish = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    def ready(self, within: timedelta) -> bool:
        """Whether a round trip to Redis succeeded so lately, no partition is closed, and nothing drains."""
        return self.broker.health.ready(within)

    async def __aenter__(self) -> Self:
        self.broker.is_worker_process = True
        await self.broker.startup()
        receiver = JobReceiver(self.broker, run_startup=False, wait_tasks_timeout=self._grace.total_seconds())
        self._listening = asyncio.create_task(receiver.listen(self._finish), name="receiver")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._finish.set()
        if self._listening is not None:
            await self._listening
        await self.broker.shutdown()
