"""The pages of contacts: one with its timeline, what can be done to its enrolments, and the search for one.

A search is posted, so that no address stands in a URL, which browsers and proxies keep.
"""

from uuid import UUID

from litestar import MediaType, Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery

from services.admin.acting import Acting
from services.admin.journeys import Journeys
from services.admin.screen import Screening
from shared.store.timelines import ENROLMENTS, FOUND

_LONGEST = 512  # characters: nobody's id or address is longer

Reading = NamedDependency[Journeys]
Desks = NamedDependency[Acting]
Tenant = FromPath[UUID]


@get("/contacts/{tenant_id:uuid}/{contact_id:uuid}", media_type=MediaType.HTML)
async def contact_page(
    tenant_id: Tenant,
    contact_id: FromPath[UUID],
    journeys: Reading,
    screen: Screening,
    before: FromQuery[str] = "",
) -> Response[str]:
    """One contact, and what happened to it."""
    seen = await journeys.contact(tenant_id, contact_id, before)
    path = f"/contacts/{tenant_id}/{contact_id}"
    return screen.page("contact", seen=seen, path=path, further=bool(before), listed=ENROLMENTS)


@post("/contacts", media_type=MediaType.HTML)
async def search(journeys: Reading, screen: Screening) -> Response[str]:
    """To the contact that is looked for, or the list of those there are."""
    tenant, wanted = (screen.form.get(name, "").strip() for name in ("tenant", "contact"))
    if not tenant or not wanted or len(wanted) > _LONGEST:
        return screen.done("Say of which tenant, and give the contact's id or address.")
    tenant_id, found = await journeys.find(tenant, wanted)
    if not found:
        return screen.done("The tenant has no such contact.")
    if len(found) == 1:
        path = f"/contacts/{tenant_id}/{found[0].id}"
        return Response("", status_code=303, headers={"location": path}, media_type=MediaType.HTML)
    return screen.page("contacts", tenant_id=tenant_id, found=found, most=FOUND)


@post(
    "/contacts/{tenant_id:uuid}/{contact_id:uuid}/enrollments/{enrollment_id:uuid}/{act:str}",
    media_type=MediaType.HTML,
)
async def change(
    tenant_id: Tenant,
    contact_id: FromPath[UUID],
    enrollment_id: FromPath[UUID],
    act: FromPath[str],
    acting: Desks,
    screen: Screening,
) -> Response[str]:
    """Pause, resume or cancel an enrolment."""
    desk = acting.desk(screen.session)
    acts = {
        "pause": (desk.pause_enrollment, "What comes due for this contact is held."),
        "resume": (desk.resume_enrollment, "The contact goes on, with the time that was left."),
        "cancel": (desk.cancel_enrollment, "The contact is taken out of the campaign."),
    }
    if act not in acts:
        raise NotFoundException
    if act == "cancel" and not screen.is_sure:
        return screen.ask("Take this contact out of the campaign? It gets nothing more of it.", "Take it out")
    work, message = acts[act]
    await work(tenant_id, enrollment_id)
    return screen.done(message)


ROUTES = (contact_page, search, change)
