"""Campaigns as their tenant makes and reads them: rows, versions, enrolments, counts."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select, update

from shared.errors import NotFound
from shared.store.database import AsyncConnection
from shared.store.ids import uuid7
from shared.store.pages import Page, row_of, rows_of
from shared.store.tables import campaign_versions, campaigns, enrollments, senders, visits


@dataclass(frozen=True, slots=True)
class NewCampaign:
    """What a campaign is, its graph apart."""

    name: str
    kind: str
    reentry: str
    reentry_days: int | None
    email_sender_id: UUID | None
    sms_sender_id: UUID | None
    unsubscribe_group: str | None
    max_lateness: timedelta | None


async def create(
    connection: AsyncConnection, tenant_id: UUID, campaign: NewCampaign, graph: Mapping[str, Any]
) -> UUID:
    """Make a campaign at version 1; its id. Its senders must be the tenant's: see `channels_of`."""
    campaign_id = uuid7()
    values = asdict(campaign)
    await connection.execute(insert(campaigns).values(tenant_id=tenant_id, id=campaign_id, **values))
    await _insert_version(connection, tenant_id, campaign_id, 1, graph)
    return campaign_id


async def add_version(
    connection: AsyncConnection, tenant_id: UUID, campaign_id: UUID, graph: Mapping[str, Any]
) -> None:
    """Give a campaign its next version, which those enrolled from now on keep to. Raises NotFound."""
    query = update(campaigns).where(campaigns.c.tenant_id == tenant_id, campaigns.c.id == campaign_id)
    version: int | None = await connection.scalar(
        query.values(version=campaigns.c.version + 1, updated_at=func.now()).returning(campaigns.c.version)
    )
    if version is None:
        raise NotFound("There is no such campaign.")
    await _insert_version(connection, tenant_id, campaign_id, version, graph)


async def page(connection: AsyncConnection, tenant_id: UUID, page: Page) -> list[Row[Any]]:
    """The tenant's campaigns, without their graphs."""
    query = select(campaigns).where(campaigns.c.tenant_id == tenant_id)
    return await rows_of(connection, query, campaigns, page)


async def get(connection: AsyncConnection, tenant_id: UUID, campaign_id: UUID) -> Row[Any]:
    """One campaign with the graph of its current version. Raises NotFound."""
    query: Any = select(campaigns, campaign_versions.c.graph).join_from(
        campaigns,
        campaign_versions,
        (campaign_versions.c.tenant_id == campaigns.c.tenant_id)
        & (campaign_versions.c.campaign_id == campaigns.c.id)
        & (campaign_versions.c.version == campaigns.c.version),
    )
    query = query.where(campaigns.c.tenant_id == tenant_id, campaigns.c.id == campaign_id)
    return await row_of(connection, query, "campaign")


async def channels_of(
    connection: AsyncConnection, tenant_id: UUID, sender_ids: Collection[UUID]
) -> Mapping[UUID, str]:
    """The channels of those of the senders that are the tenant's."""
    query = select(senders.c.id, senders.c.channel).where(senders.c.tenant_id == tenant_id)
    rows = await connection.execute(query.where(senders.c.id.in_(sender_ids)))
    return {row.id: row.channel for row in rows}


async def enrolled(
    connection: AsyncConnection, tenant_id: UUID, campaign_id: UUID, page: Page
) -> list[Row[Any]]:
    """A campaign's enrolments: id, contact_id, status, exit, reason, enrolled_at, exited_at."""
    query = select(enrollments).where(
        enrollments.c.tenant_id == tenant_id, enrollments.c.campaign_id == campaign_id
    )
    return await rows_of(connection, query, enrollments, page)


async def enrolment(connection: AsyncConnection, tenant_id: UUID, enrollment_id: UUID) -> Row[Any]:
    """One enrolment. Raises NotFound."""
    query = select(enrollments).where(enrollments.c.tenant_id == tenant_id, enrollments.c.id == enrollment_id)
    return await row_of(connection, query, "enrolment")


async def visit_counts(connection: AsyncConnection, tenant_id: UUID, campaign_id: UUID) -> list[Row[Any]]:
    """How many visits of each node were left by each edge: node_id, edge (None: still there), count."""
    query = select(visits.c.node_id, visits.c.edge, func.count().label("visits")).where(
        visits.c.tenant_id == tenant_id, visits.c.campaign_id == campaign_id
    )
    return list(await connection.execute(query.group_by(visits.c.node_id, visits.c.edge)))


async def enrolment_counts(connection: AsyncConnection, tenant_id: UUID, campaign_id: UUID) -> list[Row[Any]]:
    """How many enrolments stand where: status, exit, count."""
    query = select(enrollments.c.status, enrollments.c.exit, func.count().label("enrollments")).where(
        enrollments.c.tenant_id == tenant_id, enrollments.c.campaign_id == campaign_id
    )
    return list(await connection.execute(query.group_by(enrollments.c.status, enrollments.c.exit)))


async def _insert_version(
    connection: AsyncConnection, tenant_id: UUID, campaign_id: UUID, version: int, graph: Mapping[str, Any]
) -> None:
    await connection.execute(
        insert(campaign_versions).values(
            tenant_id=tenant_id, campaign_id=campaign_id, version=version, graph=graph
        )
    )
