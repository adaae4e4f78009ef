"""What every action is made of: who acts, on which servers, and the note of it in the same transaction."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from shared.campaigns.transitions import Transitions
from shared.queue.queue import Queue
from shared.store import audit
from shared.store.audit import Entry, Via
from shared.store.database import AsyncConnection, Database


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
    ) -> None:
        """Note what the transaction does; `detail` has settings and ids, never what is a contact's."""
        entry = Entry(self._actor, self._via, action, target, tenant_id, count, detail)
        await audit.add(tx, entry)
