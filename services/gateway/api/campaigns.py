"""Campaigns: what they are, and what stands in them."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from litestar import get, post
from litestar.params import JSONBody
from pydantic import Field, model_validator

from services.gateway.api.shapes import Connection, Id, Listed, Paging, Shape, TenantId, Word, listed
from services.gateway.problems import Refused
from shared.campaigns import enrollments
from shared.campaigns.graph import Graph, SendNode, pointer
from shared.campaigns.graph_rules import parse
from shared.errors import InvalidGraph
from shared.store import campaign_rows
from shared.store.campaign_rows import NewCampaign
from shared.store.database import AsyncConnection

Reentry = Literal["never", "after_exit", "after_days"]
Kind = Literal["marketing", "transactional"]


class CampaignData(Shape):
    """A campaign.

    `reentry` says whether a contact may enter again: never, once it has left, or `reentryDays` after that.
    A send node without a sender of its own uses the campaign's of its channel. A send that would go out later
    than `maxLateness` after its time is skipped.
    """

    name: Word
    kind: Kind
    graph: dict[str, Any]
    reentry: Reentry = "never"
    reentry_days: Annotated[int, Field(ge=1, le=3660)] | None = None
    email_sender_id: UUID | None = None
    sms_sender_id: UUID | None = None
    unsubscribe_group: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] | None = None
    max_lateness: Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=366))] | None = None

    @model_validator(mode="after")
    def _days_with_after_days(self) -> Self:
        if (self.reentry == "after_days") != (self.reentry_days is not None):
            raise ValueError("Give reentryDays with the reentry after_days, and only then.")
        return self

    def row(self) -> NewCampaign:
        """What the store keeps, the graph apart."""
        return NewCampaign(**self.model_dump(exclude={"graph"}))


class NewVersion(Shape):
    """Another graph for a campaign."""

    graph: dict[str, Any]


class Campaign(Shape):
    """A campaign; `version` is what is enrolled by now."""

    id: UUID
    name: str
    kind: Kind
    status: Literal["active", "paused", "cancelled"]
    version: int
    reentry: Reentry
    reentry_days: int | None
    email_sender_id: UUID | None
    sms_sender_id: UUID | None
    unsubscribe_group: str | None
    max_lateness: timedelta | None
    created_at: datetime
    updated_at: datetime


class CampaignDetail(Campaign):
    """A campaign with the graph of its current version."""

    graph: dict[str, Any]


class NodeCounts(Shape):
    """Contacts at a node: how many are there now, and how many left it by each edge."""

    here: int = 0
    left: dict[str, int]


class Counts(Shape):
    """Where a campaign's contacts are: by node and edge, by status, and by the exit they took."""

    nodes: dict[str, NodeCounts]
    statuses: dict[str, int]
    exits: dict[str, int]


@post("/campaigns")
async def create_campaign(
    data: JSONBody[CampaignData], tenant_id: TenantId, connection: Connection
) -> CampaignDetail:
    """Make a campaign; a graph that cannot run is refused with the path to what is wrong."""
    graph = _parsed(data.graph)
    await _check_senders(connection, tenant_id, graph, data.email_sender_id, data.sms_sender_id)
    campaign_id = await campaign_rows.create(connection, tenant_id, data.row(), graph.dump())
    return await detail(connection, tenant_id, campaign_id)


@get("/campaigns")
async def list_campaigns(tenant_id: TenantId, connection: Connection, page: Paging) -> Listed[Campaign]:
    """Campaigns."""
    return listed(Campaign.of, await campaign_rows.page(connection, tenant_id, page), page)


@get("/campaigns/{campaign_id:uuid}")
async def get_campaign(campaign_id: Id, tenant_id: TenantId, connection: Connection) -> CampaignDetail:
    """One campaign with its graph."""
    return await detail(connection, tenant_id, campaign_id)


@post("/campaigns/{campaign_id:uuid}/versions")
async def add_version(
    campaign_id: Id, data: JSONBody[NewVersion], tenant_id: TenantId, connection: Connection
) -> CampaignDetail:
    """Give a campaign another graph; who is in it already keeps to the one it entered by."""
    campaign = await campaign_rows.get(connection, tenant_id, campaign_id)
    graph = _parsed(data.graph)
    await _check_senders(connection, tenant_id, graph, campaign.email_sender_id, campaign.sms_sender_id)
    await campaign_rows.add_version(connection, tenant_id, campaign_id, graph.dump())
    return await detail(connection, tenant_id, campaign_id)


@post("/campaigns/{campaign_id:uuid}/pause", status_code=200)
async def pause_campaign(campaign_id: Id, tenant_id: TenantId, connection: Connection) -> CampaignDetail:
    """Hold what comes due; events still move contacts meanwhile."""
    await campaign_rows.get(connection, tenant_id, campaign_id)
    await enrollments.pause_campaign(connection, tenant_id, campaign_id)
    return await detail(connection, tenant_id, campaign_id)


@post("/campaigns/{campaign_id:uuid}/resume", status_code=200)
async def resume_campaign(campaign_id: Id, tenant_id: TenantId, connection: Connection) -> CampaignDetail:
    """Go on with the time that was left when the pause began."""
    await campaign_rows.get(connection, tenant_id, campaign_id)
    await enrollments.resume_campaign(connection, tenant_id, campaign_id)
    return await detail(connection, tenant_id, campaign_id)


@post("/campaigns/{campaign_id:uuid}/cancel", status_code=200)
async def cancel_campaign(campaign_id: Id, tenant_id: TenantId, connection: Connection) -> CampaignDetail:
    """Send nothing more, and end every enrolment; this cannot be undone."""
    await campaign_rows.get(connection, tenant_id, campaign_id)
    await enrollments.cancel_campaign(connection, tenant_id, campaign_id)
    return await detail(connection, tenant_id, campaign_id)


@get("/campaigns/{campaign_id:uuid}/counts")
async def count_campaign(campaign_id: Id, tenant_id: TenantId, connection: Connection) -> Counts:
    """Where the campaign's contacts are, by node, edge, status and exit."""
    campaign = await campaign_rows.get(connection, tenant_id, campaign_id)
    here: dict[str, int] = dict.fromkeys(campaign.graph["nodes"], 0)
    left: dict[str, dict[str, int]] = defaultdict(dict)
    for row in await campaign_rows.visit_counts(connection, tenant_id, campaign_id):
        here.setdefault(row.node_id, 0)
        if row.edge is None:
            here[row.node_id] = row.visits
        else:
            left[row.node_id][row.edge] = row.visits
    nodes = {node: NodeCounts(here=count, left=left.get(node, {})) for node, count in here.items()}
    statuses: dict[str, int] = defaultdict(int)
    exits: dict[str, int] = defaultdict(int)
    for row in await campaign_rows.enrolment_counts(connection, tenant_id, campaign_id):
        statuses[row.status] += row.enrollments
        if row.exit is not None:
            exits[row.exit] += row.enrollments
    return Counts(nodes=nodes, statuses=statuses, exits=exits)


async def detail(connection: AsyncConnection, tenant_id: UUID, campaign_id: UUID) -> CampaignDetail:
    """The campaign as it is now. Raises NotFound."""
    return CampaignDetail.of(await campaign_rows.get(connection, tenant_id, campaign_id))


def _parsed(data: dict[str, Any]) -> Graph:
    try:
        return parse(data)
    except InvalidGraph as error:
        raise InvalidGraph(f"/graph{error.path}", str(error)) from error


async def _check_senders(
    connection: AsyncConnection, tenant_id: UUID, graph: Graph, email: UUID | None, sms: UUID | None
) -> None:
    """Every send has a sender of its channel, and every sender is the tenant's."""
    own = {"email": email, "sms": sms}
    used = [*_senders_used(graph, own), *((f"/{name}SenderId", name, own[name]) for name in own if own[name])]
    channels = await campaign_rows.channels_of(connection, tenant_id, {each for _, _, each in used if each})
    for path, channel, sender_id in used:
        if sender_id is None:
            raise Refused(422, f"This send has no sender: name one, or give {channel}SenderId.", path)
        if channels.get(sender_id) != channel:
            raise Refused(422, f"There is no such sender on the channel {channel}.", path)


def _senders_used(graph: Graph, own: dict[str, UUID | None]) -> Iterator[tuple[str, str, UUID | None]]:
    for node_id, node in graph.nodes.items():
        if isinstance(node, SendNode):
            yield (
                f"/graph{pointer('nodes', node_id, 'sender')}",
                node.channel,
                node.sender or own[node.channel],
            )


ROUTES = (
    create_campaign,
    list_campaigns,
    get_campaign,
    add_version,
    pause_campaign,
    resume_campaign,
    cancel_campaign,
    count_campaign,
)
