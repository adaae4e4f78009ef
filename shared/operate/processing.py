"""The emergency path: jobs of a paused queue that a person processes by hand, noted one by one."""

from uuid import UUID

from shared.errors import Conflict
from shared.operate.base import Base
from shared.store import audit, pauses
from shared.store.database import AsyncConnection


class Processing(Base):
    """Says who processes what by hand, and how much was done."""

    async def begin_processing(self, queue: str, most: int) -> UUID:
        """Note that at most so many jobs of a paused queue are processed by hand; the entry.

        Raises Conflict: the queue is not paused, so its workers process it.
        """

        async def work(tx: AsyncConnection) -> UUID:
            if not any(pause.holds(queue) for pause in await pauses.current(tx)):
                raise Conflict(
                    f"{queue} is not paused: its workers process it. To process by hand, pause it first."
                )
            return await self._note(tx, "process", queue, count=0, most=most)

        return await self._database.run(work)

    async def processed(self, entry: UUID) -> None:
        """Note that one job more was."""
        await self._database.run(lambda tx: audit.add_count(tx, entry, 1))
