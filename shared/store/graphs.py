"""Graphs: the versions of campaigns, which never change once they are written."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB

from shared.store.database import AsyncConnection
from shared.store.sets import columns


class Version(NamedTuple):
    """Which graph: a campaign's, at a version."""

    tenant_id: UUID
    campaign_id: UUID
    version: int


_READ = text("""
select tenant_id, campaign_id, version, graph
from unnest(cast(:tenant_id as uuid[]), cast(:campaign_id as uuid[]), cast(:version as int[]))
    as wanted (tenant_id, campaign_id, version)
join campaign_versions using (tenant_id, campaign_id, version)
""").columns(graph=JSONB)


async def read(tx: AsyncConnection, wanted: Collection[Version]) -> Mapping[Version, Any]:
    """The graphs as JSON, of those versions that there are."""
    rows = await tx.execute(_READ, columns(Version._fields, list(wanted)))
    return {Version(row.tenant_id, row.campaign_id, row.version): row.graph for row in rows}
