"""The guard after a restore: at most once holds also for what the lost time may have sent."""

from datetime import UTC, datetime
from uuid import UUID

from shared.errors import OutOfRange
from shared.operate.base import Base
from shared.operate.retrying import PAGE, Progress
from shared.store import audit, restoring
from shared.store.database import AsyncConnection
from shared.store.restoring import Cursor, Guarded

_ACTION = "restore-guard"


class Guarding(Base):
    """Keeps a restored database from sending again what went out after its snapshot."""

    async def restore_guard(self, snapshot_at: datetime, progress: Progress = lambda _: None) -> int:
        """Make sends of the snapshot unknown that were due by now: they may have gone out since; how many.

        That is those due since `snapshot_at`, and those that were due before and still waited then. What was
        scheduled after the restore is left alone, and so is what came due after the guard first ran: to run
        it again changes nothing. A webhook, or the tenant's policy, tells in time what became of them.

        Raises OutOfRange: the snapshot is of the future, or its time has no zone.
        """
        if snapshot_at.tzinfo is None:
            raise OutOfRange("Give the time of the snapshot with its zone, as 2026-01-31T03:00:00Z.")
        until, entry = await self._database.run(lambda tx: self._begin(tx, snapshot_at))
        total = 0
        for status in restoring.STATUSES:
            after: Cursor | None = None
            while True:
                done = await self._guard_page(status, snapshot_at, until, after, entry)
                total += done.changed
                progress(done.changed)
                after = done.after
                if after is None:
                    break
        return total

    async def _begin(self, tx: AsyncConnection, snapshot_at: datetime) -> tuple[datetime, UUID]:
        now = await restoring.clock(tx)
        if snapshot_at > now:
            raise OutOfRange("The snapshot is of the future: give the time it was taken at.")
        target = snapshot_at.astimezone(UTC).isoformat()
        until = await restoring.earlier(tx, _ACTION, target) or now
        return until, await self._note(tx, _ACTION, target, count=0, until=until.isoformat())

    async def _guard_page(
        self, status: str, snapshot_at: datetime, until: datetime, after: Cursor | None, entry: UUID
    ) -> Guarded:
        async def work(tx: AsyncConnection) -> Guarded:
            done = await restoring.guard(tx, status, snapshot_at, until, after, PAGE)
            await audit.add_count(tx, entry, done.changed)
            return done

        return await self._database.run(work)
