"""Login and logout."""

import math
import secrets
from dataclasses import dataclass

import structlog
from litestar import MediaType, Response, get, post
from litestar.di import NamedDependency

from services.admin.cookies import SESSION, VISIT, Cookies
from services.admin.guard import LOGIN, LOGOUT
from services.admin.rendering import Pages
from services.admin.screen import Asked, ours
from services.admin.sessions import Sessions
from services.admin.throttle import Throttle
from services.admin.users import Users

log = structlog.get_logger()

_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Door:
    """Who may come in, and how often they may try."""

    users: Users
    sessions: Sessions
    throttle: Throttle
    lasts_seconds: int
    cookies: Cookies


Entrance = NamedDependency[Door]
Rendering = NamedDependency[Pages]


@get(LOGIN, media_type=MediaType.HTML)
async def ask(request: Asked, door: Entrance, pages: Rendering) -> Response[str]:
    """The form."""
    if request.scope["state"]["session"] is not None:
        return _gone_to(ours(request.query_params.get("to", "")))
    return _form(request, door, pages, 200, "")


@post(LOGIN, media_type=MediaType.HTML)
async def log_in(request: Asked, door: Entrance, pages: Rendering) -> Response[str]:
    """Begin a session, if name and password are right."""
    form = request.scope["state"]["form"]
    name, password = form.get("name", "")[:_LONGEST_NAME], form.get("password", "")
    address = request.client.host if request.client is not None else ""
    keys = (f"name {name}", f"address {address}")
    wait = door.throttle.admit(*keys)
    if wait is not None:
        log.warning("login.throttled")
        minutes = math.ceil(wait.total_seconds() / 60)
        answer = _form(request, door, pages, 429, f"Too many tries: try again in {minutes} min.")
        answer.set_header("retry-after", str(math.ceil(wait.total_seconds())))
        return answer
    user = await door.users.with_password(name, password)
    if user is None:
        log.warning("login.refused")
        return _form(request, door, pages, 403, "Name or password is wrong.")
    door.throttle.succeeded(*keys)
    log.info("login.accepted", user=user.name)
    answer = _gone_to(ours(form.get("to", "")))
    answer.set_cookie(door.cookies.make(SESSION, door.sessions.begin(user), door.lasts_seconds))
    return answer


@post(LOGOUT, media_type=MediaType.HTML)
async def log_out(door: Entrance) -> Response[str]:
    """End the session in this browser."""
    answer = _gone_to(LOGIN)
    answer.set_cookie(door.cookies.drop(SESSION))
    return answer


def _form(request: Asked, door: Door, pages: Pages, status: int, message: str) -> Response[str]:
    visit = request.scope["state"]["cookies"].get(VISIT) or secrets.token_urlsafe(24)
    to = request.scope["state"]["form"].get("to") or request.query_params.get("to", "")
    page = pages.page("login", session=None, csrf=visit, message=message, to=to)
    answer = Response(page, status_code=status, media_type=MediaType.HTML)
    answer.set_cookie(door.cookies.make(VISIT, visit, door.lasts_seconds))
    return answer


def _gone_to(path: str) -> Response[str]:
    return Response("", status_code=303, headers={"location": path}, media_type=MediaType.HTML)


ROUTES = (ask, log_in, log_out)
