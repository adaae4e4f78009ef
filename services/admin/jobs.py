"""The pages of a queue and of a job."""

from typing import Annotated, Any

from litestar import MediaType, Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery, QueryParameter

from services.admin import bulk, job_view, lists, whose
from services.admin.acting import Acting
from services.admin.browsing import LONGEST_ID, Browsing
from services.admin.lists import Wanted
from services.admin.overview import Watches
from services.admin.screen import Screen, Screening
from services.admin.whose import Asked, Whose
from shared.errors import NotFound
from shared.jobs import JobState

Browser = NamedDependency[Browsing]
Act = NamedDependency[Acting]
Look = NamedDependency[Watches]
Chosen = Annotated[JobState, QueryParameter(name="state")]
Id = Annotated[str, QueryParameter(name="id", max_length=LONGEST_ID)]


@get("/queues/{name:str}", media_type=MediaType.HTML)
async def queue_page(
    name: FromPath[str],
    browsing: Browser,
    acting: Act,
    watches: Look,
    screen: Screening,
    chosen: Chosen = JobState.WAITING,
    cursor: FromQuery[str] = "",
) -> Response[str]:
    """Jobs in a state, of all or of those that are asked for."""
    known(browsing, name)
    given: dict[str, Any] = {
        "name": name,
        "state": chosen,
        "states": list(JobState),
        "further": bool(cursor),
        "standing": watches.queue(name),
        "by_rows": lists.by_rows(name, chosen),
        "acts": bulk.acts(name, chosen),
    }
    asked = Asked()
    try:
        asked = Asked.of(screen.query)
        meant = await find(acting, name, asked)
    except NotFound as error:
        empty = lists.Listed([], None)
        given |= {"asked": asked, "listed": empty, "names": {}, "lanes": None, "count": None, "meant": ""}
        return screen.page("queue", 404, problem=str(error), **given)
    given |= await _listed(Wanted(name, chosen, meant, cursor), browsing, acting, watches, screen)
    return screen.page("queue", problem="", asked=asked, **given)


async def _listed(
    wanted: Wanted, browsing: Browsing, acting: Acting, watches: Watches, screen: Screen
) -> dict[str, Any]:
    """What of the page hangs on who is meant: the jobs, or the senders among whom to choose."""
    meant, senders, count, listed = wanted.whose, None, None, lists.Listed([], None)
    if meant.is_to_choose(wanted.state):
        senders = await lists.lanes(browsing, wanted.queue, meant.senders)
    elif lists.by_rows(wanted.queue, wanted.state):
        desk = acting.desk(screen.session)
        listed, count = await lists.failed(desk, wanted), await desk.count_failed(meant.which)
    else:
        listed = await lists.in_motion(browsing, wanted)
    named: dict[str, str] = {}
    if watches.rows_answer:
        named = await acting.database.run(lambda tx: lists.names(tx, listed.lines))
    return {"listed": listed, "lanes": senders, "count": count, "names": named, "meant": meant.name}


@get("/queues/{name:str}/job", media_type=MediaType.HTML)
async def job_page(
    name: FromPath[str], browsing: Browser, acting: Act, watches: Look, screen: Screening, job_id: Id
) -> Response[str]:
    """One job, by its row and as Redis has it; a page that says so where it is gone or moved on."""
    known(browsing, name)
    job_id = job_id.strip()
    view = await job_view.look(name, job_id, browsing, acting.desk(screen.session))
    if not view.is_there:
        return screen.page("gone", 404, name=name, job_id=job_id, moved=view.moved)
    return screen.page(
        "job", name=name, job_id=job_id, view=view, payload=view.payload(screen), standing=watches.queue(name)
    )


def known(browsing: Browsing, name: str) -> None:
    """Raises NotFoundException: there is no such queue."""
    if not browsing.knows(name):
        raise NotFoundException


async def find(acting: Acting, name: str, asked: Asked) -> Whose:
    """Who is meant; where nobody was named, nobody is asked. Raises NotFound."""
    if not asked.typed:
        return Whose()
    return await acting.database.run(lambda tx: whose.find(tx, name, asked))


ROUTES = (queue_page, job_page)
