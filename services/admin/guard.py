"""The guard in front of every page: headers, where a form comes from, who sends it, and what they may do."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from hmac import compare_digest
from http.cookies import CookieError, SimpleCookie
from urllib.parse import SplitResult, urlencode, urlsplit

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from services.admin import forms
from services.admin.cookies import SESSION, VISIT
from services.admin.forms import Form, Refused
from services.admin.sessions import Session, Sessions
from services.admin.users import Role

LOGIN, LOGOUT, ASSETS = "/login", "/logout", "/assets/"

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with none at all, browsers say that a form comes from nowhere
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

_SAFE = ("GET", "HEAD")
_HERE = {"127.0.0.1", "localhost", "::1"}
_DEVELOPER = Session("developer", Role.OPERATOR, secrets.token_urlsafe(24))


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every request. `open_here`: who is on this machine needs no login."""

    sessions: Sessions
    within: timedelta
    open_here: bool


class Guard:
    """Lets a request through with its `session` and its `form` in its state, or answers it.

    `refuse` makes the page that says why one does not pass.
    """

    def __init__(self, app: ASGIApp, rules: Rules, refuse: Callable[[int, str], bytes]) -> None:
        self._app = app
        self._rules = rules
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != ScopeType.HTTP:
            return None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        guarded = _with_headers(send)
        try:
            _check_text(scope)
            form = await self._form(scope, receive, headers)
            cookies = _cookies(headers.get("cookie", ""))
            session = self._session(cookies, headers)
            if session is None and not scope["path"].startswith((LOGIN, ASSETS)):
                return await _to_login(guarded, scope, "hx-request" in headers)
            _check(scope, session, cookies.get(VISIT, ""), form)
        except Refused as refusal:
            page = self._refuse(refusal.status, str(refusal))
            return await _answer(guarded, refusal.status, page, [("connection", "close")])
        scope["state"] = {**scope.get("state", {}), "session": session, "form": form, "cookies": cookies}
        return await self._app(scope, receive, guarded)

    async def _form(self, scope: HTTPScope, receive: Receive, headers: dict[str, str]) -> Form:
        if scope["method"] in _SAFE:
            return {}
        if not _same_origin(headers):
            raise Refused(403, "This form comes from another site: open the page here, and try again.")
        return await forms.read(scope, receive, self._rules.within)

    def _session(self, cookies: dict[str, str], headers: dict[str, str]) -> Session | None:
        if self._rules.open_here:
            # Another site's name that points at this machine is not this machine.
            if _address(f"//{headers.get('host', '')}").hostname not in _HERE:
                raise Refused(403, "Without users these pages are for this machine alone.")
            return _DEVELOPER
        return self._rules.sessions.find(cookies.get(SESSION, ""))


def _check_text(scope: HTTPScope) -> None:
    """That its address has no NUL, which Postgres takes in no text. Raises Refused."""
    if "\0" in scope["path"] or b"%00" in scope["query_string"]:
        raise Refused(400, "This address cannot be read.")


def _check(scope: HTTPScope, session: Session | None, visit: str, form: Form) -> None:
    """That a form is of a page of ours, and its sender may send it. Raises Refused."""
    if scope["method"] in _SAFE:
        return
    expected = session.csrf if session is not None else visit
    if not expected or not compare_digest(form.get("csrf", "").encode(), expected.encode()):
        raise Refused(403, "This form is not of your session: load the page again, and try again.")
    if session is not None and not session.may_act and scope["path"] != LOGOUT:
        raise Refused(403, "A viewer looks: log in as an operator to change anything.")


def _same_origin(headers: dict[str, str]) -> bool:
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    # Every browser of today sends it with a form; who sends none is no browser, and has no cookie to steal.
    origin = headers.get("origin")
    return origin is None or _address(origin).netloc == headers.get("host", "")


def _address(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError as error:
        raise Refused(400, "This request cannot be read.") from error


def _cookies(header: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", []))
            names = {name.lower() for name, _ in given}
            given += [(n.encode(), v.encode()) for n, v in HEADERS.items()]
            if b"cache-control" not in names:
                given.append((b"cache-control", b"no-store"))
            message["headers"] = given
        await send(message)

    return guarded


async def _to_login(send: Send, scope: HTTPScope, by_htmx: bool) -> None:
    """Ask for a login, which leads on to what was asked for.

    htmx is told by its header: it would follow a redirect, and show the page in a part's place.
    """
    if by_htmx:
        await _answer(send, 401, b"", [("hx-redirect", LOGIN)])
    else:
        await _answer(send, 303, b"", [("location", f"{LOGIN}{_wanted(scope)}")])


def _wanted(scope: HTTPScope) -> str:
    path = scope["raw_path"].decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    if scope["method"] not in _SAFE or not (query or path != "/"):
        return ""
    return f"?{urlencode({'to': f'{path}?{query}' if query else path})}"


async def _answer(send: Send, status: int, body: bytes, more: Iterable[tuple[str, str]] = ()) -> None:
    headers = [("content-type", "text/html; charset=utf-8"), ("content-length", str(len(body))), *more]
    raw = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": False})
