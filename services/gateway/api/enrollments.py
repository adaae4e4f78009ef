"""Enrolments: contacts put into campaigns, many at once, held in them, and taken out."""

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from pydantic import Field

from services.gateway.api.shapes import (
    MOST_ITEMS,
    Connection,
    Id,
    Listed,
    Paging,
    Shape,
    TenantId,
    listed,
)
from shared.campaigns import enrollments
from shared.campaigns.enrollments import Enrolled
from shared.campaigns.graphs import Graphs
from shared.errors import Conflict
from shared.store import campaign_rows
from shared.store.database import AsyncConnection

Kept = NamedDependency[Graphs]
"""The graphs that this process keeps compiled."""


class EnrolmentBatch(Shape):
    """Contacts to enrol, by our ids."""

    contact_ids: Annotated[list[UUID], Field(min_length=1, max_length=MOST_ITEMS)]


class EnrolmentResult(Shape):
    """What became of one contact of a batch, at its place in the batch."""

    contact_id: UUID
    outcome: Enrolled
    enrollment_id: UUID | None = None


class EnrolmentResults(Shape):
    """What became of a batch."""

    results: list[EnrolmentResult]


class Enrollment(Shape):
    """A contact in a campaign; `exit` is how it left."""

    id: UUID
    campaign_id: UUID
    contact_id: UUID
    status: Literal["active", "paused", "exited", "cancelled"]
    exit: str | None
    reason: str | None
    enrolled_at: datetime
    exited_at: datetime | None


@post("/campaigns/{campaign_id:uuid}/enrollments", status_code=200)
async def enrol(
    campaign_id: Id,
    data: JSONBody[EnrolmentBatch],
    tenant_id: TenantId,
    connection: Connection,
    graphs: Kept,
) -> EnrolmentResults:
    """Enrol contacts; one that is refused stops no other."""
    answers = await enrollments.enrol(connection, graphs, tenant_id, campaign_id, data.contact_ids)
    return EnrolmentResults(results=[EnrolmentResult.of(answer) for answer in answers])


@get("/campaigns/{campaign_id:uuid}/enrollments")
async def list_enrollments(
    campaign_id: Id, tenant_id: TenantId, connection: Connection, page: Paging
) -> Listed[Enrollment]:
    """A campaign's enrolments, past ones too."""
    await campaign_rows.get(connection, tenant_id, campaign_id)
    return listed(Enrollment.of, await campaign_rows.enrolled(connection, tenant_id, campaign_id, page), page)


@get("/enrollments/{enrollment_id:uuid}")
async def get_enrollment(enrollment_id: Id, tenant_id: TenantId, connection: Connection) -> Enrollment:
    """One enrolment."""
    return Enrollment.of(await campaign_rows.enrolment(connection, tenant_id, enrollment_id))


@post("/enrollments/{enrollment_id:uuid}/pause", status_code=200)
async def pause_enrollment(enrollment_id: Id, tenant_id: TenantId, connection: Connection) -> Enrollment:
    """Hold what comes due for this contact."""
    return await _changed(enrollments.pause, connection, tenant_id, enrollment_id)


@post("/enrollments/{enrollment_id:uuid}/resume", status_code=200)
async def resume_enrollment(enrollment_id: Id, tenant_id: TenantId, connection: Connection) -> Enrollment:
    """Go on with the time that was left when the pause began."""
    return await _changed(enrollments.resume, connection, tenant_id, enrollment_id)


@post("/enrollments/{enrollment_id:uuid}/cancel", status_code=200)
async def cancel_enrollment(enrollment_id: Id, tenant_id: TenantId, connection: Connection) -> Enrollment:
    """Take the contact out of the campaign."""
    return await _changed(enrollments.cancel, connection, tenant_id, enrollment_id)


Change = Callable[[AsyncConnection, UUID, Collection[UUID]], Awaitable[frozenset[UUID]]]


async def _changed(
    change: Change, connection: AsyncConnection, tenant_id: UUID, enrollment_id: UUID
) -> Enrollment:
    changed = await change(connection, tenant_id, [enrollment_id])
    row = await campaign_rows.enrolment(connection, tenant_id, enrollment_id)
    if not changed:
        raise Conflict(f"The enrolment is {row.status}: this cannot be done to it.")
    return Enrollment.of(row)


ROUTES = (
    enrol,
    list_enrollments,
    get_enrollment,
    pause_enrollment,
    resume_enrollment,
    cancel_enrollment,
)
