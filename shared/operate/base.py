"""What every action is made of: who acts, on which servers, and the note of it in the same transaction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog

from shared.campaigns.transitions import Transitions
from shared.loop import AWAY
from shared.queue.queue import Queue
from shared.store import audit
from shared.store.audit import Entry, Via
from shared.store.database import AsyncConnection, Database

log = structlog.get_logger()


class Base:
    """Acts for `actor`, on the rows of a database and on the queues by name."""

    def __init__(
        self, database: Database, queues: Mapping[str, Queue], transitions: Transitions, actor: str, via: Via
    ) -> None:
        self._database = database
        self._queues = queues
        self._transitions = transitions
        self._actor = actor
        self._via = via

    async def _note(
        self,
        tx: AsyncConnection,
        action: str,
        target: str,
        tenant_id: UUID | None = None,
        count: int = 1,
        **detail: Any,
    ) -> UUID:
        """Note what the transaction does; `detail` has settings and ids, never what is a contact's."""
        entry = Entry(self._actor, self._via, action, target, tenant_id, count, detail)
        return await audit.add(tx, entry)

    async def _forget(self, queue: Queue, jobs: Sequence[tuple[UUID, str]]) -> None:
        """Take jobs of tenants out of Redis whose rows have moved on: they could do nothing any more.

        So it is no matter if Redis is away. A worker that has one learns of it as it renews, and stops.
        """
        places: dict[int, list[str]] = defaultdict(list)
        for tenant_id, job in jobs:
            places[queue.partition_of(str(tenant_id))].append(job)
        try:
            for partition, ids in places.items():
                await queue.cancel(partition, ids)
                await queue.remove(partition, ids)  # those that had failed, too
        except AWAY as error:
            log.warning("desk.redis_away", queue=queue.name, jobs=len(jobs), error=type(error).__name__)
