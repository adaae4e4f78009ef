"""A port for people and programs: uvicorn, started and stopped in its place among a process's parts."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Self

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = structlog.get_logger()


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


class _Server(uvicorn.Server):
    """Leaves signals to the process shell."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """Serves an application over HTTP: leaving it stops accepting and lets running requests end.

    At most so many `connections` are served at once; one without a whole head is kept for `within`.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        address: tuple[str, int],
        connections: int,
        within: timedelta,
        grace: timedelta,
    ) -> None:
        self._address = address
        self._server = _Server(
            uvicorn.Config(
                app,
                http=bounded(within),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # nobody's word on host, scheme or address is taken
                limit_concurrency=connections,
                timeout_graceful_shutdown=int(grace.total_seconds()),
            )
        )
        self._socket: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port in force, once entered."""
        assert self._socket is not None
        port: int = self._socket.getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._socket = socket.create_server(self._address, backlog=2048)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="listener")
        log.info("listener.serving", host=self._address[0], port=self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
