"""The pages of campaigns: all there are, one with its graph, and who is at a node of it."""

from typing import Annotated
from uuid import UUID

from litestar import MediaType, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from services.admin.acting import Acting
from services.admin.flow import flowing
from services.admin.journeys import Journeys
from services.admin.screen import Screening
from services.admin.words import many, shortened
from shared.store.campaign_views import COUNTED, LOOKED
from shared.store.graphs import Version

_NAME = 80  # characters

Reading = NamedDependency[Journeys]
Desks = NamedDependency[Acting]
Tenant = FromPath[UUID]
Chosen = Annotated[int | None, QueryParameter(name="version", ge=1, le=2**31 - 1)]
At = Annotated[int, QueryParameter(name="version", ge=1, le=2**31 - 1)]


@get("/campaigns", media_type=MediaType.HTML)
async def campaigns_page(
    journeys: Reading, screen: Screening, tenant: FromQuery[str] = "", after: FromQuery[str] = ""
) -> Response[str]:
    """Campaigns, of one tenant or of all."""
    tenant = tenant.strip()
    tenant_id, listing = await journeys.campaigns(tenant, after)
    return screen.page(
        "campaigns",
        tenant=tenant,
        tenant_id=tenant_id,
        listing=listing,
        further=bool(after),
        counted=COUNTED,
    )


@get("/campaigns/{tenant_id:uuid}/{campaign_id:uuid}", media_type=MediaType.HTML)
async def campaign_page(
    tenant_id: Tenant,
    campaign_id: FromPath[UUID],
    journeys: Reading,
    screen: Screening,
    chosen: Chosen = None,
) -> Response[str]:
    """One campaign, by the graph of a version."""
    seen = await journeys.campaign(tenant_id, campaign_id, chosen)
    return screen.page(
        "campaign",
        seen=seen,
        flow=flowing(seen.graph, seen.flows),
        path=_path(tenant_id, campaign_id),
        counted=COUNTED,
    )


@get("/campaigns/{tenant_id:uuid}/{campaign_id:uuid}/contacts", media_type=MediaType.HTML)
async def node_page(
    tenant_id: Tenant,
    campaign_id: FromPath[UUID],
    journeys: Reading,
    screen: Screening,
    node: FromQuery[str],
    version: At,
    after: FromQuery[str] = "",
) -> Response[str]:
    """Who is at a node."""
    row, listing = await journeys.at_node(Version(tenant_id, campaign_id, version), node, after)
    return screen.page(
        "node",
        row=row,
        node=node,
        version=version,
        listing=listing,
        further=bool(after),
        path=_path(tenant_id, campaign_id),
        looked=LOOKED,
    )


@post("/campaigns/{tenant_id:uuid}/{campaign_id:uuid}/pause", media_type=MediaType.HTML)
async def pause(
    tenant_id: Tenant, campaign_id: FromPath[UUID], acting: Desks, screen: Screening
) -> Response[str]:
    """Hold what comes due."""
    await acting.desk(screen.session).pause_campaign(tenant_id, campaign_id)
    return screen.done("The campaign is paused: what comes due is held, and events still move its contacts.")


@post("/campaigns/{tenant_id:uuid}/{campaign_id:uuid}/resume", media_type=MediaType.HTML)
async def resume(
    tenant_id: Tenant, campaign_id: FromPath[UUID], acting: Desks, screen: Screening
) -> Response[str]:
    """Go on."""
    await acting.desk(screen.session).resume_campaign(tenant_id, campaign_id)
    return screen.done("The campaign goes on: what was held gets the time that it had left.")


@post("/campaigns/{tenant_id:uuid}/{campaign_id:uuid}/cancel", media_type=MediaType.HTML)
async def cancel(
    tenant_id: Tenant, campaign_id: FromPath[UUID], acting: Desks, journeys: Reading, screen: Screening
) -> Response[str]:
    """End it, once that is sure."""
    if not screen.is_sure:
        row = await journeys.row(tenant_id, campaign_id)
        inside = f"{many(row.inside, 'contact')} {'is' if row.inside == 1 else 'are'}"
        if row.inside == COUNTED:
            inside = f"{row.inside:,} contacts or more are"
        name = shortened(row.name, _NAME)
        question = f"Cancel {name} for good? It sends nothing more, and {inside} taken out."
        return screen.ask(question, "Cancel the campaign")
    await acting.desk(screen.session).cancel_campaign(tenant_id, campaign_id)
    return screen.done("The campaign is cancelled: its contacts leave it within moments.")


def _path(tenant_id: UUID, campaign_id: UUID) -> str:
    return f"/campaigns/{tenant_id}/{campaign_id}"


ROUTES = (campaigns_page, campaign_page, node_page, pause, resume, cancel)
