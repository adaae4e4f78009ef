"""The pages of a queue and of a job."""

from collections.abc import Callable
from typing import Annotated

from litestar import MediaType, Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery, QueryParameter

from services.admin.browsing import LONGEST_ID, Browsing
from services.admin.login import Asked, Rendering
from services.admin.sessions import Session
from services.admin.words import masked
from shared.jobs import JobState

_PAYLOAD = 2_000  # characters shown

Browser = NamedDependency[Browsing]
Chosen = Annotated[JobState, QueryParameter(name="state")]
Id = Annotated[str, QueryParameter(name="id", max_length=LONGEST_ID)]


@get("/queues/{name:str}", media_type=MediaType.HTML)
async def queue_page(
    request: Asked,
    name: FromPath[str],
    browsing: Browser,
    pages: Rendering,
    chosen: Chosen = JobState.WAITING,
    cursor: FromQuery[str] = "",
) -> str:
    """Jobs in a state."""
    _known(browsing, name)
    listing = await browsing.listing(name, chosen, cursor)
    session = request.scope["state"]["session"]
    return pages.page(
        "queue",
        session=session,
        name=name,
        state=chosen,
        states=list(JobState),
        listing=listing,
        further=bool(cursor),
        shown=_shown(session),
    )


@get("/queues/{name:str}/job", media_type=MediaType.HTML)
async def job_page(
    request: Asked, name: FromPath[str], browsing: Browser, pages: Rendering, job_id: Id
) -> Response[str]:
    """One job; a page that says so where it is gone."""
    _known(browsing, name)
    session = request.scope["state"]["session"]
    job_id = job_id.strip()
    found = await browsing.job(name, job_id)
    if found is None:
        gone = pages.page("gone", session=session, name=name, job_id=job_id)
        return Response(gone, status_code=404, media_type=MediaType.HTML)
    # Masked before it is cut, or half an address could stand at its end.
    payload = _shown(session)(found.carries.payload[: 4 * _PAYLOAD].decode(errors="replace"))[:_PAYLOAD]
    page = pages.page("job", session=session, name=name, found=found, payload=payload, shown=_shown(session))
    return Response(page, media_type=MediaType.HTML)


def _shown(session: Session) -> Callable[[str], str]:
    """How texts that may name contacts are shown to somebody."""
    return (lambda text: text) if session.may_act else masked


def _known(browsing: Browsing, name: str) -> None:
    if not browsing.knows(name):
        raise NotFoundException


ROUTES = (queue_page, job_page)
