"""How many contacts went where in a campaign: counts by index that stop at a bound and say so."""

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

from shared.store.database import AsyncConnection
from shared.store.graphs import Version

FIRST = 1_000
"""Every way is counted so far: where all are small, that is all."""

MOST = 2_000_000
"""Visits read to count on where there are more; each way has its equal share. A million take 0.2 s."""


class Flow(NamedTuple):
    """Visits of a node that were left by an edge, or (None) still go on; `more`: there may be more."""

    node_id: str
    edge: str | None
    visits: int
    more: bool


Way = tuple[str, str | None]

# Hops along the index from edge to edge, and never through the visits of one.
_WAYS = text("""
with recursive ways as (
    select node_id, (
        select v.edge from visits v
        where v.tenant_id = :tenant_id and v.campaign_id = :campaign_id
            and v.campaign_version = :version and v.node_id = node.node_id
            and v.edge is not null
        order by v.edge limit 1
    ) as edge
    from unnest(cast(:nodes as text[])) as node (node_id)
    union all
    select node_id, (
        select v.edge from visits v
        where v.tenant_id = :tenant_id and v.campaign_id = :campaign_id
            and v.campaign_version = :version and v.node_id = ways.node_id
            and v.edge > ways.edge
        order by v.edge limit 1
    )
    from ways where ways.edge is not null
)
select node_id, edge from ways where edge is not null
""")

_COUNT = text("""
select way.node_id, way.edge, found.visits, found.visits >= :most as more
from unnest(cast(:nodes as text[]), cast(:edges as text[])) as way (node_id, edge)
cross join lateral (
    select count(*) as visits from ((
        select 1 from visits v
        where v.tenant_id = :tenant_id and v.campaign_id = :campaign_id and v.campaign_version = :version
            and v.node_id = way.node_id and v.edge = way.edge
        limit :most
    ) union all (
        select 1 from visits v
        where way.edge is null and v.tenant_id = :tenant_id and v.campaign_id = :campaign_id
            and v.campaign_version = :version and v.node_id = way.node_id and v.edge is null
        limit :most
    )) counted
) found
""")


async def flows(tx: AsyncConnection, version: Version, nodes: Collection[str]) -> list[Flow]:
    """Where the contacts went, and are, who keep to a version of a campaign; `nodes` are its graph's."""
    asked = {**version._asdict(), "nodes": list(nodes)}
    taken = [(row.node_id, row.edge) for row in await tx.execute(_WAYS, asked)]
    ways: list[Way] = [*((node_id, None) for node_id in nodes), *taken]
    found = await _count(tx, version, ways, FIRST)
    many = [way for way, flow in found.items() if flow.more]
    if many:
        found |= await _count(tx, version, many, max(FIRST, MOST // len(many)))
    return [flow for flow in found.values() if flow.visits]


async def _count(tx: AsyncConnection, version: Version, ways: Sequence[Way], most: int) -> dict[Way, Flow]:
    asked = {
        **version._asdict(),
        "nodes": [node_id for node_id, _ in ways],
        "edges": [edge for _, edge in ways],
        "most": most,
    }
    return {(row.node_id, row.edge): Flow(*row) for row in await tx.execute(_COUNT, asked)}


_VERSIONS = text("""
select version, created_at from campaign_versions
where tenant_id = :tenant_id and campaign_id = :campaign_id order by version desc limit :most
""")


async def versions(tx: AsyncConnection, tenant_id: UUID, campaign_id: UUID, most: int) -> Sequence[int]:
    """The latest versions of a campaign, the latest first."""
    asked = {"tenant_id": tenant_id, "campaign_id": campaign_id, "most": most}
    return [row.version for row in await tx.execute(_VERSIONS, asked)]
