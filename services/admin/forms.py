"""Forms: what a browser posts, small and in time."""

import asyncio
from datetime import timedelta
from urllib.parse import parse_qsl

from litestar.types import Receive, Scope

from shared.errors import OutreachError

MOST_BYTES = 64 * 1024
_MOST_FIELDS = 500
_TYPE = "application/x-www-form-urlencoded"

Form = dict[str, str]


class Refused(OutreachError):
    """The request cannot be done as it is."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def read(scope: Scope, receive: Receive, within: timedelta) -> Form:
    """The fields of a posted form. Raises Refused: too large, too slow, broken off, or no form."""
    headers = dict(scope["headers"])
    if headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1") != _TYPE:
        raise Refused(415, "This page takes forms only.")
    try:
        async with asyncio.timeout(within.total_seconds()):
            body = await _body(receive)
    except TimeoutError as error:
        raise Refused(408, "The form did not come in time.") from error
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError as error:
        raise Refused(400, "The form cannot be read.") from error
    if any("\0" in text for text in (*fields, *fields.values())):  # Postgres takes it in no text
        raise Refused(400, "The form cannot be read.")
    return fields


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "The form broke off.")
        body += message["body"]
        if len(body) > MOST_BYTES:
            raise Refused(413, f"The form is larger than {MOST_BYTES} bytes.")
        if not message["more_body"]:
            return body
