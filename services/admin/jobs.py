"""The pages of a queue and of a job."""

from typing import Annotated

from litestar import MediaType, Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery, QueryParameter

from services.admin.browsing import LONGEST_ID, Browsing
from services.admin.screen import Screening
from shared.jobs import JobState

_PAYLOAD = 2_000  # characters shown

Browser = NamedDependency[Browsing]
Chosen = Annotated[JobState, QueryParameter(name="state")]
Id = Annotated[str, QueryParameter(name="id", max_length=LONGEST_ID)]


@get("/queues/{name:str}", media_type=MediaType.HTML)
async def queue_page(
    name: FromPath[str],
    browsing: Browser,
    screen: Screening,
    chosen: Chosen = JobState.WAITING,
    cursor: FromQuery[str] = "",
) -> Response[str]:
    """Jobs in a state."""
    _known(browsing, name)
    listing = await browsing.listing(name, chosen, cursor)
    return screen.page(
        "queue",
        name=name,
        state=chosen,
        states=list(JobState),
        listing=listing,
        further=bool(cursor),
    )


@get("/queues/{name:str}/job", media_type=MediaType.HTML)
async def job_page(name: FromPath[str], browsing: Browser, screen: Screening, job_id: Id) -> Response[str]:
    """One job; a page that says so where it is gone."""
    _known(browsing, name)
    job_id = job_id.strip()
    found = await browsing.job(name, job_id)
    if found is None:
        return screen.page("gone", 404, name=name, job_id=job_id)
    # Masked before it is cut, or half an address could stand at its end.
    payload = screen.shown(found.carries.payload[: 4 * _PAYLOAD].decode(errors="replace"))[:_PAYLOAD]
    return screen.page("job", name=name, found=found, payload=payload)


def _known(browsing: Browsing, name: str) -> None:
    if not browsing.knows(name):
        raise NotFoundException


ROUTES = (queue_page, job_page)
