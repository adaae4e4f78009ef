"""Problems: every refusal has one shape, `{"error", "message", "path"?}`, and one status.

`error` is a word for programs, `message` a sentence for people, `path` a JSON pointer into the request's body
or the name of a parameter.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NoReturn

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, NotAuthorizedException, ValidationException
from litestar.types import ExceptionHandlersMap, Send
from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from shared.errors import (
    CampaignError,
    Conflict,
    NotFound,
    OutreachError,
    SignatureInvalid,
    StoreUnavailable,
    UnknownProvider,
)

log = structlog.get_logger()

RETRY_AFTER = "5"
"""Seconds until a server that is away may be back."""

_STATUSES: tuple[tuple[type[OutreachError], int], ...] = (
    (SignatureInvalid, HTTPStatus.UNAUTHORIZED),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (CampaignError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (UnknownProvider, HTTPStatus.UNPROCESSABLE_ENTITY),
    (StoreUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)

_WORDS = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    409: "conflict",
    413: "too_large",
    422: "unprocessable",
    429: "too_many",
    503: "unavailable",
}
_OTHER = "error"
WORDS = (*_WORDS.values(), _OTHER)
"""Every word there is for a problem."""


class Problem(BaseModel):
    """Why a request was refused."""

    error: str
    message: str
    path: str | None = None


class Refused(OutreachError):
    """The request cannot be done as it is; `path` says where in it."""

    def __init__(self, status: int, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.path = path


def handlers() -> ExceptionHandlersMap:
    """What the application does with each kind of exception."""
    return {
        HTTPException: _http_problem,
        OutreachError: _our_problem,
        RecursionError: _too_deep,
        Exception: _bug,
    }


async def send(error: OutreachError, send: Send) -> None:
    """Answer with the problem where no framework does; raises what is none."""
    status = status_of(error)
    if status is None:
        raise error
    body = _problem(status, str(error), getattr(error, "path", None)).model_dump_json(exclude_none=True)
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body.encode())),
        **_headers(status),
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body.encode(), "more_body": False})


def _response(status: int, message: str, path: str | None = None) -> Response[dict[str, Any]]:
    problem = _problem(status, message, path)
    return Response(problem.model_dump(exclude_none=True), status_code=status, headers=_headers(status))


def _problem(status: int, message: str, path: str | None) -> Problem:
    return Problem(error=_WORDS.get(status, _OTHER), message=message, path=path)


def _headers(status: int) -> dict[str, str]:
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return {"retry-after": RETRY_AFTER}
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return {"retry-after": "60"}
    if status == HTTPStatus.UNAUTHORIZED:
        return {"www-authenticate": "Bearer"}
    if status in (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT):
        return {"connection": "close"}  # what is still to come is not read
    return {}


def status_of(error: OutreachError) -> int | None:
    """The status that says it; None for an error that no request should meet."""
    if isinstance(error, Refused):
        return error.status
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), None)


def word(error: OutreachError) -> str:
    """The word for it."""
    return _WORDS.get(status_of(error) or 500, _OTHER)


def _our_problem(_: Request[Any, Any, Any], error: OutreachError) -> Response[dict[str, Any]]:
    status = status_of(error)
    if status is None:
        raise error
    return _response(status, str(error), getattr(error, "path", None))


def _http_problem(_: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    details: Sequence[Any] = getattr(error.__cause__, "errors", None) or []
    if (
        details
    ):  # pydantic's; Litestar calls them its own fault where a field is named as one of its arguments
        where = "".join(f"/{part}" for part in details[0]["loc"])
        message = str(details[0]["msg"]).removeprefix("Value error, ")
        return _response(HTTPStatus.BAD_REQUEST, message, where or None)
    if isinstance(error, ValidationException) and isinstance(error.extra, list) and error.extra:
        name = error.extra[0].get("key", "data")
        path = None if name == "data" else to_camel(name)
        message = str(error.extra[0]["message"])
        if message == "'data'":  # a KeyError: nothing came to make the handler's argument of
            message = "The body is empty: send a JSON object."
        return _response(error.status_code, message, path)
    return _response(error.status_code, _sentence(error))


def _too_deep(_: Request[Any, Any, Any], error: RecursionError) -> Response[dict[str, Any]]:
    # Only what a client sends can nest so deep.
    return _response(HTTPStatus.BAD_REQUEST, "The body is nested too deep.")


def _bug(_: Request[Any, Any, Any], error: Exception) -> NoReturn:
    # To the transaction around the request, which knows a deadlock from a bug; else to the server's log.
    raise error


def _sentence(error: HTTPException) -> str:
    if isinstance(error, NotAuthorizedException):
        return "Give a valid API key: Authorization: Bearer <key>."
    return error.detail
