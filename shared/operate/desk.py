"""The desk: all that a person can do, in one place, for the pages and for the command line."""

from typing import Any

from shared.operate.campaigns import Campaigns
from shared.operate.changing import Changing
from shared.operate.draining import Draining
from shared.operate.guarding import Guarding
from shared.operate.keeping import Keeping
from shared.operate.posts import Posts
from shared.operate.processing import Processing
from shared.operate.reading import Reading
from shared.operate.retrying import Retrying
from shared.operate.standing import Standing
from shared.store.database import Row

_PARKED = ("failed", "parked")


class Desk(Keeping, Standing, Draining, Changing, Retrying, Posts, Processing, Guarding, Campaigns, Reading):
    """Every action is rows and one entry of the audit in a transaction, and only then Redis.

    A job is called by its id, and its row decides. What is done to a job raises NotFound, where there is no
    row, and Conflict, which says why the row does not allow it.
    """

    async def retry(self, job: str, *, unconfirmed: bool = False) -> str:
        """Let a job whose row failed, or that failed itself, wait again; its id from now on.

        A failed send's contact goes back to where it was, if it was led nowhere since. A send that may have
        gone out all the same is retried only if that is accepted (`unconfirmed`).
        """
        kind, row = await self._database.run(lambda tx: self._find(tx, job))
        if kind == "webhook":
            return await self._replay_row(row, "jobs.retry", _PARKED)
        return await self._retry_action(kind, row, unconfirmed)

    async def promote(self, job: str) -> None:
        """Let a job that waits for a time wait in its lane now. A timeout keeps its time."""
        kind, row = await self._database.run(lambda tx: self._find(tx, job))
        if kind != "webhook":
            await self._hasten_action(kind, row)
        elif row.state == "parked":
            await self._replay_row(row, "jobs.promote", ("parked",))
        else:
            await self._promote_job(kind, row)

    async def remove(self, job: str) -> None:
        """Take a job out, as `cancel` does, unless a worker holds it."""
        kind, row = await self._database.run(lambda tx: self._find(tx, job))
        await self._not_active(kind, row)
        await self._end(kind, row, "jobs.remove")

    async def cancel(self, job: str) -> None:
        """End a job's work, whoever holds it, unless a provider may have it already.

        A send's visit takes its failed edge, a timeout's contact leaves the campaign, a delivery fails and
        can be replayed.
        """
        kind, row = await self._database.run(lambda tx: self._find(tx, job))
        await self._end(kind, row, "jobs.cancel")

    async def _end(self, kind: str, row: Row[Any], action: str) -> None:
        if kind == "webhook":
            await self._end_delivery(row, action, "removed")
        else:
            await self._end_action(kind, row, action)
