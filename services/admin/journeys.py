"""Journeys: what is read of campaigns and contacts for their pages; each page in one transaction."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.admin import sentences
from services.admin.timeline import Timeline, timeline
from shared.campaigns import suppression
from shared.campaigns.graph import Graph
from shared.campaigns.graphs import Graphs
from shared.errors import NotFound
from shared.store import campaign_views, flows, graphs, tenants, timelines
from shared.store.database import AsyncConnection, Database
from shared.store.flows import Flow
from shared.store.graphs import Version
from shared.store.ids import parsed
from shared.store.pages import Page
from shared.store.visits import Key

MOST = 50
"""Rows of a page."""

VERSIONS = 200
"""No more versions of a campaign can be chosen from."""

_KEPT = 100  # graphs, compiled
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_KEY = re.compile(f"({_UUID})/({_UUID})")


@dataclass(frozen=True, slots=True)
class Listing:
    """Some rows; `following` is the cursor of the next page, None after the last."""

    rows: Sequence[Any]
    following: str | None


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign at one of its versions; `held`: what pauses hold of it, by reason."""

    row: Any
    version: int
    versions: Sequence[int]
    graph: Graph
    flows: Sequence[Flow]
    held: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody at a node, and what they wait for there."""

    row: Any
    sentence: str


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact: its enrolments, what forbids to write to it, and a page of its timeline."""

    row: Any
    enrolments: Sequence[Any]
    suppressed: Sequence[Any]
    timeline: Timeline


class Journeys:
    """Reads for pages. Every call raises NotFound, and what a Postgres that is away raises."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._graphs = Graphs(_KEPT)

    async def campaigns(self, tenant: str, cursor: str) -> tuple[UUID | None, Listing]:
        """Campaigns of a tenant, by its name or id, or of all; a cursor that is none begins at the first."""

        async def work(tx: AsyncConnection) -> tuple[UUID | None, Sequence[Any]]:
            tenant_id = await _tenant(tx, tenant) if tenant else None
            return tenant_id, await campaign_views.page(tx, tenant_id, _key(cursor), MOST + 1)

        tenant_id, rows = await self._database.run(work)
        last = rows[MOST - 1] if len(rows) > MOST else None
        return tenant_id, Listing(rows[:MOST], f"{last.tenant_id}/{last.id}" if last else None)

    async def campaign(self, tenant_id: UUID, campaign_id: UUID, version: int | None) -> Campaign:
        """One campaign, by default at its latest version."""

        async def work(tx: AsyncConnection) -> Campaign:
            row = await campaign_views.get(tx, tenant_id, campaign_id)
            chosen = Version(tenant_id, campaign_id, version or row.version)
            graph = await _graph(tx, chosen)
            return Campaign(
                row,
                chosen.version,
                await flows.versions(tx, tenant_id, campaign_id, VERSIONS),
                graph,
                await flows.flows(tx, chosen, list(graph.nodes)),
                await campaign_views.held_by(tx, tenant_id, campaign_id),
            )

        return await self._database.run(work)

    async def row(self, tenant_id: UUID, campaign_id: UUID) -> Any:
        """One campaign's row."""
        return await self._database.run(lambda tx: campaign_views.get(tx, tenant_id, campaign_id))

    async def at_node(self, version: Version, node_id: str, cursor: str) -> tuple[Any, Listing]:
        """The campaign, and who is at a node of it by a version's graph, the longest there first."""

        async def work(tx: AsyncConnection) -> tuple[Any, Sequence[Any]]:
            row = await campaign_views.get(tx, version.tenant_id, version.campaign_id)
            if node_id not in (await _graph(tx, version)).nodes:
                raise NotFound("There is no such node.")
            page = Page(MOST + 1, parsed(cursor))
            return row, await campaign_views.at_node(tx, version, node_id, page)

        row, found = await self._database.run(work)
        now = datetime.now(UTC)
        waiting = [Waiting(each, _waits_for(each, now)) for each in found[:MOST]]
        return row, Listing(waiting, str(found[MOST - 1].id) if len(found) > MOST else None)

    async def contact(self, tenant_id: UUID, contact_id: UUID, cursor: str) -> Contact:
        """One contact; a cursor that is none begins at the latest."""

        async def work(tx: AsyncConnection) -> Contact:
            row = await timelines.contact(tx, tenant_id, contact_id)
            return Contact(
                row,
                await timelines.enrolled(tx, tenant_id, contact_id),
                await timelines.suppressed(tx, tenant_id, row.email, row.phone),
                await timeline(tx, self._graphs, tenant_id, contact_id, cursor),
            )

        return await self._database.run(work)

    async def find(self, tenant: str, wanted: str) -> tuple[UUID, Sequence[Any]]:
        """The tenant's id, and its contacts of this id, external id or address."""
        email, phone = suppression.normalized("email", wanted), suppression.normalized("sms", wanted)

        async def work(tx: AsyncConnection) -> tuple[UUID, Sequence[Any]]:
            tenant_id = await _tenant(tx, tenant)
            return tenant_id, await timelines.find(tx, tenant_id, parsed(wanted), wanted, email, phone)

        return await self._database.run(work)


async def _graph(tx: AsyncConnection, version: Version) -> Graph:
    found = (await graphs.read(tx, [version])).get(version)
    if found is None:
        raise NotFound("The campaign has no such version.")
    return Graph.model_validate(found)


async def _tenant(tx: AsyncConnection, words: str) -> UUID:
    tenant_id: UUID = (await tenants.called(tx, words)).id
    return tenant_id


def _waits_for(row: Any, now: datetime) -> str:
    return sentences.action(row, now) if row.kind is not None else "Waits for an answer."


def _key(cursor: str) -> Key | None:
    found = _KEY.fullmatch(cursor)
    return (UUID(found[1]), UUID(found[2])) if found is not None else None
