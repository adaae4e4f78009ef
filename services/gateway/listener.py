"""The public port: uvicorn, started and stopped in its place among the parts of the process."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Self

import structlog
import uvicorn
from litestar.types import ASGIApp

from services.gateway.bounds import bounded

log = structlog.get_logger()


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
        self, app: ASGIApp, address: tuple[str, int], connections: int, within: timedelta, grace: timedelta
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
