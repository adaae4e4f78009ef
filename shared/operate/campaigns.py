"""What a person does to a campaign, or to a contact in one: rows alone; dispatch does the rest in steps."""

from collections.abc import Awaitable, Callable, Collection
from uuid import UUID

from shared.campaigns import enrollments
from shared.errors import Conflict
from shared.operate.base import Base
from shared.store import campaign_rows
from shared.store.database import AsyncConnection

_Change = Callable[[AsyncConnection, UUID, Collection[UUID]], Awaitable[frozenset[UUID]]]


class Campaigns(Base):
    """Pause, resume and cancel campaigns and enrolments. All raise NotFound, and Conflict which says why."""

    async def pause_campaign(self, tenant_id: UUID, campaign_id: UUID) -> None:
        """Hold what comes due of a campaign; events still move its contacts."""
        await self._set_campaign(tenant_id, campaign_id, "paused")

    async def resume_campaign(self, tenant_id: UUID, campaign_id: UUID) -> None:
        """Let a campaign go on, with the time that was left when the pause began."""
        await self._set_campaign(tenant_id, campaign_id, "active")

    async def cancel_campaign(self, tenant_id: UUID, campaign_id: UUID) -> None:
        """Send nothing more for a campaign, and end its enrolments; this cannot be undone."""
        await self._set_campaign(tenant_id, campaign_id, "cancelled")

    async def pause_enrollment(self, tenant_id: UUID, enrollment_id: UUID) -> None:
        """Hold what comes due for one contact in one campaign."""
        await self._change_enrollment("pause", enrollments.pause, tenant_id, enrollment_id)

    async def resume_enrollment(self, tenant_id: UUID, enrollment_id: UUID) -> None:
        """Let the contact go on, with the time that was left when the pause began."""
        await self._change_enrollment("resume", enrollments.resume, tenant_id, enrollment_id)

    async def cancel_enrollment(self, tenant_id: UUID, enrollment_id: UUID) -> None:
        """Take a contact out of a campaign. What is with its provider already is not undone."""
        await self._change_enrollment("cancel", enrollments.cancel, tenant_id, enrollment_id)

    async def _set_campaign(self, tenant_id: UUID, campaign_id: UUID, status: str) -> None:
        change, action = {
            "paused": (enrollments.pause_campaign, "campaigns.pause"),
            "active": (enrollments.resume_campaign, "campaigns.resume"),
            "cancelled": (enrollments.cancel_campaign, "campaigns.cancel"),
        }[status]

        async def work(tx: AsyncConnection) -> None:
            now = (await campaign_rows.get(tx, tenant_id, campaign_id)).status
            if now in (status, "cancelled"):
                raise Conflict(f"The campaign is {now}.")
            await change(tx, tenant_id, campaign_id)
            await self._note(tx, action, str(campaign_id), tenant_id)

        await self._database.run(work)

    async def _change_enrollment(
        self, word: str, change: _Change, tenant_id: UUID, enrollment_id: UUID
    ) -> None:
        async def work(tx: AsyncConnection) -> None:
            changed = await change(tx, tenant_id, [enrollment_id])
            row = await campaign_rows.enrolment(tx, tenant_id, enrollment_id)
            if not changed:
                raise Conflict(f"The enrolment is {row.status}: this cannot be done to it.")
            await self._note(tx, f"enrollments.{word}", str(enrollment_id), tenant_id)

        await self._database.run(work)
