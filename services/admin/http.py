"""The HTTP application: the pages behind their guard."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import structlog
from litestar import Litestar, MediaType, Request, Response, get
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException, NotFoundException
from litestar.params import FromPath
from litestar.types import ASGIApp, ExceptionHandlersMap

from services.admin import (
    campaigns,
    contacts,
    deliveries,
    job_acts,
    jobs,
    login,
    pausing,
    tenants,
    trail,
    unknown,
)
from services.admin.acting import Acting
from services.admin.browsing import Browsing
from services.admin.guard import Guard, Rules
from services.admin.journeys import Journeys
from services.admin.login import Door
from services.admin.overview import Watches
from services.admin.rendering import Asset, Pages, assets
from services.admin.screen import Asked, Screen, Screening
from services.admin.settings import AdminSettings
from shared.errors import Conflict, NotFound, OutOfRange, OutreachError, UnknownQueue
from shared.jobs import QUEUES
from shared.loop import AWAY

log = structlog.get_logger()

PLACES = (login, jobs, job_acts, pausing, tenants, campaigns, contacts, deliveries, unknown, trail)
"""The modules whose pages are served."""

_REFUSALS = {
    403: "A viewer does not see this: log in as an operator.",
    404: "There is no such page.",
    405: "This page takes no such request.",
}

_FOR_EVER = "public, max-age=31536000, immutable"

Looking = NamedDependency[Watches]
Files = NamedDependency[dict[str, Asset]]


@get("/", media_type=MediaType.HTML)
async def overview(watches: Looking, screen: Screening) -> Response[str]:
    """The overview."""
    return screen.page("overview", seen=watches.overview(screen.shown), queues=list(QUEUES))


@get("/live", media_type=MediaType.HTML)
async def live(watches: Looking, screen: Screening) -> str:
    """The part of the overview that changes."""
    return screen.part("live", seen=watches.overview(screen.shown))


@get("/assets/{name:str}")
async def asset(name: FromPath[str], files: Files) -> Response[bytes]:
    """A file that pages load."""
    found = files.get(name)
    if found is None:
        raise NotFoundException
    headers = {"cache-control": _FOR_EVER}
    return Response(found.body, media_type=found.media_type, headers=headers)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the pages are made from."""

    door: Door
    watches: Watches
    browsing: Browsing
    acting: Acting
    journeys: Journeys
    settings: AdminSettings


def application(rules: Rules, parts: Parts) -> ASGIApp:
    """Everything that answers on the pages' port."""
    files = assets()
    pages = Pages(files)
    given = {each.name: getattr(parts, each.name) for each in fields(parts)}
    given |= {"pages": pages, "files": files}

    def screen(request: Asked) -> Screen:
        return Screen(request, pages, parts.door.cookies)

    framework = Litestar(
        route_handlers=[overview, live, asset, *(each for place in PLACES for each in place.ROUTES)],
        dependencies={
            **{name: _given(value) for name, value in given.items()},
            "screen": Provide(screen, sync_to_thread=False),
        },
        exception_handlers=_problems(pages, screen),
        openapi_config=None,
        logging_config=None,
    )
    return Guard(framework, rules, pages.problem)


def _given(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)


def _problems(pages: Pages, screen: Callable[[Asked], Screen]) -> ExceptionHandlersMap:
    def page(status: int, message: str) -> Response[bytes]:
        return Response(pages.problem(status, message), status_code=status, media_type=MediaType.HTML)

    def refused(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
        message = _REFUSALS.get(error.status_code, "This request cannot be done as it is.")
        return page(error.status_code, message)

    def cannot(request: Asked, error: OutreachError) -> Response[Any]:
        if screen(request).form:
            return screen(request).done(str(error))
        return page(404 if isinstance(error, NotFound) else 409, str(error))

    def away(request: Asked, error: Exception) -> Response[Any]:
        log.warning("page.away", error=type(error).__name__)
        if screen(request).form:  # its page looks again; where a form was sent to, there is none
            return screen(request).done(
                "A server does not answer: look whether this was done, and try again."
            )
        return page(503, "A server that this page asks does not answer: it looks again by itself.")

    def bug(_: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        log.error("page.failed", exc_info=error)
        return page(500, "This page failed; the log of the admin service says how.")

    ours: ExceptionHandlersMap = dict.fromkeys((Conflict, NotFound, OutOfRange, UnknownQueue), cannot)
    return {HTTPException: refused, Exception: bug, **ours, **dict.fromkeys(AWAY, away)}
