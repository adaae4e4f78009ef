"""Registration: what a process that dispatches or works makes sure of before it begins."""

import asyncio
from collections.abc import Sequence
from typing import Self

import structlog
from redis.asyncio import Redis

from shared.loop import AWAY, Backoff
from shared.queue.queue import Queue
from shared.redis.client import claim_prefix
from shared.store import queue_rows
from shared.store.database import AsyncConnection, Database

log = structlog.get_logger()


class Registration:
    """Notes the queues and their partitions, and puts the installation's id under its Redis prefix.

    Entering waits for servers that are away. Raises PartitionMismatch or ForeignInstallation: this process
    must not go on.
    """

    def __init__(self, database: Database, redis: Redis, prefix: str, queues: Sequence[Queue]) -> None:
        self._database = database
        self._redis = redis
        self._prefix = prefix
        self._queues = queues
        self._installation = ""

    async def __aenter__(self) -> Self:
        backoff = Backoff()
        while True:
            try:
                self._installation = await self._database.run(self._register)
                await self.claim()
            except AWAY as error:
                log.warning("server.away", part="registration", error=type(error).__name__, detail=str(error))
                await asyncio.sleep(backoff.next().total_seconds())
            else:
                return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is taken back."""

    async def claim(self) -> None:
        """Put the installation's id under the prefix, as after a flush. Raises ForeignInstallation."""
        await claim_prefix(self._redis, self._prefix, self._installation)

    async def _register(self, tx: AsyncConnection) -> str:
        for queue in self._queues:
            await queue_rows.register(tx, queue.name, queue.partitions)
        return str(await queue_rows.installation(tx))
