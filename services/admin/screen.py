"""A screen: a page as one visitor sees it, which also says what their last form did."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from litestar import MediaType, Request, Response
from litestar.di import NamedDependency

from services.admin.cookies import SAID, Cookies
from services.admin.forms import Form
from services.admin.rendering import Pages
from services.admin.sessions import Session
from services.admin.words import masked, shortened
from shared.errors import OutOfRange

Asked = Request[Any, Any, Any]

_SAID_SECONDS = 60
_MOST_SAID = 500
_MOST_REASON = 500


_PATH = re.compile(r"/(?![/\\])[!-~]*")


def ours(path: str) -> str:
    """A path of these pages, as a browser sends it; the first page's for what is none, or another host's."""
    return path if _PATH.fullmatch(path) else "/"


class Screen:
    """What the handlers of one request show."""

    def __init__(self, request: Asked, pages: Pages, cookies: Cookies) -> None:
        self._request = request
        self._pages = pages
        self._cookies = cookies

    @property
    def session(self) -> Session:
        """Who looks."""
        session: Session = self._request.scope["state"]["session"]
        return session

    @property
    def form(self) -> Form:
        """What they sent."""
        form: Form = self._request.scope["state"]["form"]
        return form

    @property
    def query(self) -> dict[str, str]:
        """What their address asks for; of what it says twice, the last."""
        return {str(name): str(value) for name, value in self._request.query_params.items()}

    @property
    def here(self) -> str:
        """The page's own address, as its browser asked for it."""
        query: bytes = self._request.scope["query_string"]
        path = self._request.scope["raw_path"].decode("latin-1")
        return f"{path}?{query.decode('latin-1')}" if query else path

    def shown(self, text: str) -> str:
        """A text that may name contacts: masked for viewers."""
        return text if self.session.may_act else masked(text)

    def page(self, template: str, status: int = 200, **given: object) -> Response[str]:
        """The page of a template, with what the last form did above it, once."""
        said = unquote(self._request.scope["state"]["cookies"].get(SAID, ""))
        seen = {"session": self.session, "here": self.here, "shown": self.shown, "said": said}
        answer = self._pages.page(template, **seen, **given)
        response = Response(answer, status_code=status, media_type=MediaType.HTML)
        if said:
            response.set_cookie(self._cookies.drop(SAID))
        return response

    def part(self, template: str, **given: object) -> str:
        """A part of a page that changes."""
        return self._pages.page(template, session=self.session, here=self.here, shown=self.shown, **given)

    def done(self, message: str, path: str | None = None) -> Response[str]:
        """Back to the page the form was on, or to another, which says what was done, or why it was not."""
        headers = {"location": ours(path or self.form.get("back", ""))}
        response = Response("", status_code=303, headers=headers, media_type=MediaType.HTML)
        response.set_cookie(
            self._cookies.make(SAID, quote(shortened(message, _MOST_SAID), safe=""), _SAID_SECONDS)
        )
        return response

    @property
    def reason(self) -> str:
        """Why they do it, if they say so. Raises OutOfRange: that is too long."""
        reason = self.form.get("reason", "").strip()
        if len(reason) > _MOST_REASON:
            raise OutOfRange(f"A reason has at most {_MOST_REASON} characters.")
        return reason

    @property
    def is_sure(self) -> bool:
        """Whether what the form does was asked about."""
        return self.form.get("sure") == "yes"

    def ask(self, question: str, button: str, changed: Mapping[str, str] | None = None) -> Response[str]:
        """The page that asks before a form does what cannot be undone, and sends it again, or changed."""
        sent = {**self.form, **(changed or {})}
        fields = {name: value for name, value in sent.items() if name not in ("csrf", "sure")}
        return self.page(
            "sure",
            question=question,
            button=button,
            fields=fields,
            back=ours(self.form.get("back", "")),
        )


Screening = NamedDependency[Screen]
