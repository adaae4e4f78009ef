"""Bounds: no request takes for ever, nor more memory than allowed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from litestar.types import Receive, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.gateway.problems import Refused
from shared.errors import StoreUnavailable

_MOST_HEAD = 256 * 1024
"""Bytes of a request line with its headers, or of a body's trailers; as much as a socket is read at once."""


class Bounded(HttpToolsProtocol):
    """A connection that does not wait for ever, nor take heads of any size: uvicorn bounds neither.

    It may be without a request, or in the middle of a head, or of a body that was answered already, for
    `within` seconds. While a request is worked on, who works on it has bounds of its own.
    """

    within: float

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._unread = self._working = 0
        self._idle_since = self.loop.time()
        self._timer = self.loop.call_later(self.within, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take the next bytes, unless too many before them were no body."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > _MOST_HEAD and not self.transport.is_closing():
            if self._working:
                self.transport.abort()
            else:
                self.send_400_response("The request's head is too large.")

    def on_message_begin(self) -> None:
        """Of a request, the first byte came."""
        self._unread = 0
        self._idle_since = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is there: work on the request begins."""
        super().on_headers_complete()
        self._working += 1

    def on_body(self, body: bytes) -> None:
        """Some bytes were body."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there."""
        self._unread = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The request was answered, be it there or not."""
        self._working -= 1
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def _look(self) -> None:
        left = self.within if self._working else self._idle_since + self.within - self.loop.time()
        if left <= 0:
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(left, self._look)


def bounded(within: timedelta) -> type[Bounded]:
    """The protocol of connections that wait so long."""
    return type("Bounded", (Bounded,), {"within": within.total_seconds()})


async def read_body(scope: Scope, receive: Receive, most: int, within: timedelta) -> bytes:
    """The body, byte for byte.

    Raises Refused: larger than `most` bytes (as soon as it is, or says so), too slow, or broken off.
    """
    if any(name == b"content-length" and int(value) > most for name, value in scope["headers"]):
        raise _too_large(most)
    try:
        async with asyncio.timeout(within.total_seconds()):
            return await _read(receive, most)
    except TimeoutError as error:
        raise Refused(408, "The body did not come in time.") from error


async def _read(receive: Receive, most: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "The body broke off.")
        chunks.append(message["body"])
        size += len(chunks[-1])
        if size > most:
            raise _too_large(most)
        if not message["more_body"]:
            return b"".join(chunks)


def _too_large(most: int) -> Refused:
    return Refused(413, f"The body is larger than {most} bytes: send less at once.")


@asynccontextmanager
async def in_time(within: timedelta) -> AsyncIterator[None]:
    """Give Postgres so long: past it, StoreUnavailable."""
    try:
        async with asyncio.timeout(within.total_seconds()):
            yield
    except TimeoutError as error:
        raise StoreUnavailable from error
