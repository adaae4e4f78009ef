"""The process shell: what every service does around its work.

A service is an `App`: parts that start in order and stop in reverse, and a word on whether it is ready.
`run` gives it signals, logging, an event loop and the private port:

    /live      200 when the event loop turns, which an answer proves; says nothing of Redis or Postgres
    /ready     200 when the app is ready and not draining, else 503
    /metrics   Prometheus
    /internal  what the app tells the inside of the cluster, as JSON; some of it only to who has the token

SIGTERM or SIGINT stops the parts, each within the grace, and exits 0; a second signal cuts them short and
exits 1.
"""

import asyncio
import errno
import hmac
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol, Self, TypeVar

import structlog
import uvloop
from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler
from taskiq import TaskiqEvents, TaskiqState

from shared import log as logging
from shared.broker import JobBroker, Worker
from shared.broker.registration import Registration
from shared.errors import OutreachError, SettingsError
from shared.metrics import Metrics
from shared.settings import LogSettings, PrivateSettings, RedisSettings
from shared.store.database import Database

log = structlog.get_logger()

Part = AbstractAsyncContextManager[object]
"""Something that starts on entering and stops in order on leaving: a `Loop`, a `Worker`, a pool."""

Page = Callable[[], Awaitable[object]]
"""What answers an internal page, as JSON; an OutreachError of its is the answer 503."""

_MARGIN = timedelta(seconds=10)  # a part that ends what runs within the grace still has to say so


class ProcessSettings(Protocol):
    """The parts of a service's settings that the shell reads."""

    @property
    def private(self) -> PrivateSettings:
        """The private port and the grace."""

    @property
    def log(self) -> LogSettings:
        """How to log."""


Settings = TypeVar("Settings", bound=ProcessSettings)


@dataclass(frozen=True)
class App:
    """A service, built and not yet started.

    `internal` maps a name to what `GET /internal/<name>` answers; `guarded` likewise, for who has the token.
    """

    name: str
    parts: Sequence[Part]
    metrics: Metrics
    ready: Callable[[], bool]
    internal: Mapping[str, Page] = field(default_factory=dict)
    guarded: Mapping[str, Page] = field(default_factory=dict)


class WorkerSettings(ProcessSettings, Protocol):
    """The parts of a worker's settings that the shell reads."""

    @property
    def redis(self) -> RedisSettings:
        """Where the queue is."""


def worker_app(
    name: str, broker: JobBroker, database: Database, settings: WorkerSettings, *parts: Part
) -> App:
    """A service that runs a broker's tasks: its parts first, then it registers, then it works."""
    worker = Worker(broker, settings.private.shutdown_grace)
    registration = Registration(database, broker.client, settings.redis.prefix, [broker.queue])
    return App(
        name,
        parts=(database, *parts, registration, worker),
        metrics=broker.metrics,
        ready=lambda: worker.ready(settings.private.ready_within),
    )


def run(build: Callable[[Settings], App], read: Callable[[], Settings]) -> None:
    """Build an app from its settings and run it until a signal ends it.

    Raises SystemExit(1) when the settings make no sense, which stderr says, when the app refused to start,
    and when a second signal cut its shutdown short.
    """
    try:
        settings = read()
        app = build(settings)
        logging.configure(app.name, settings.log)
    except SettingsError as error:
        raise SystemExit(f"outreach: {error}") from error
    try:
        uvloop.run(_until_signalled(Shell(app, settings.private)))
    except OutreachError as error:
        log.error("process.refused", error=type(error).__name__, detail=str(error))
        raise SystemExit(1) from error


class Shell:
    """An app on its way from start to stop."""

    def __init__(self, app: App, private: PrivateSettings) -> None:
        self._app = app
        self._private = private
        self.started = asyncio.Event()
        self.stopping = asyncio.Event()
        self.port = PrivatePort(app, private, self._ready)

    async def serve(self) -> None:
        """Start the private port and the parts in order, wait for `stopping`, and stop them in reverse."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.port)
            for part in self._app.parts:
                await stack.enter_async_context(_ended_in_time(part, self._private.shutdown_grace + _MARGIN))
            self.started.set()
            log.info("process.started")
            await self.stopping.wait()
            log.info("process.draining")
        log.info("process.stopped")

    def _ready(self) -> bool:
        return self.started.is_set() and not self.stopping.is_set() and self._app.ready()


def under_taskiq(app: App, settings: ProcessSettings) -> JobBroker:
    """The broker of the app's worker, for `taskiq worker`, which runs the receiver itself.

    The app's other parts and the private port start and stop with the broker.
    """
    worker = next(part for part in app.parts if isinstance(part, Worker))
    stack = AsyncExitStack()

    async def start(_: TaskiqState) -> None:
        logging.configure(app.name, settings.log)
        await stack.enter_async_context(PrivatePort(app, settings.private, app.ready))
        for part in app.parts:
            if part is not worker:
                await stack.enter_async_context(_ended_in_time(part, settings.private.shutdown_grace))

    async def stop(_: TaskiqState) -> None:
        await stack.aclose()

    worker.broker.add_event_handler(TaskiqEvents.WORKER_STARTUP, start)
    worker.broker.add_event_handler(TaskiqEvents.WORKER_SHUTDOWN, stop)
    return worker.broker


class PrivatePort:
    """The probes, metrics and internal pages of a process; the first one to bind the port serves."""

    def __init__(self, app: App, settings: PrivateSettings, ready: Callable[[], bool]) -> None:
        self._app = app
        self._settings = settings
        self._ready = ready
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port in force; None where another process has the port."""
        if self._runner is None or not self._runner.addresses:
            return None
        host, port = self._runner.addresses[0][:2]
        return host, port

    async def __aenter__(self) -> Self:
        self._runner = web.AppRunner(self._routes(), access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._settings.host, self._settings.port).start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            # Several children of one `taskiq worker`: the one that was first speaks for the host.
            log.warning("private_port.taken", port=self._settings.port)
        else:
            log.info("private_port.serving", address=self.address)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _routes(self) -> web.Application:
        application = web.Application()
        application.add_routes(
            [
                web.get("/live", self._live),
                web.get("/ready", self._is_ready),
                web.get("/metrics", make_aiohttp_handler(self._app.metrics.registry)),
                web.get("/internal", self._index),
                web.get("/internal/{name:.+}", self._internal),
            ]
        )
        return application

    async def _live(self, _: web.Request) -> web.Response:
        return web.Response(text="live\n")

    async def _is_ready(self, _: web.Request) -> web.Response:
        if self._ready():
            return web.Response(text="ready\n")
        return web.Response(status=503, text="not ready\n")

    async def _index(self, _: web.Request) -> web.Response:
        pages = sorted({**self._app.internal, **self._app.guarded})
        return web.json_response({"service": self._app.name, "ready": self._ready(), "pages": pages})

    async def _internal(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name in self._app.guarded:
            self._check(request)
        page = self._app.guarded.get(name) or self._app.internal.get(name)
        if page is None:
            raise web.HTTPNotFound(text="no such page; /internal lists those there are\n")
        try:
            return web.json_response(await page())
        except OutreachError as error:
            raise web.HTTPServiceUnavailable(text=f"{error}\n") from error

    def _check(self, request: web.Request) -> None:
        """Raises HTTPNotFound without a token to compare with, HTTPUnauthorized for another one."""
        if self._settings.token is None:
            raise web.HTTPNotFound(text="this page needs a token: set PRIVATE_TOKEN\n")
        wanted = f"Bearer {self._settings.token.get_secret_value()}".encode()
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, wanted):
            raise web.HTTPUnauthorized(
                text="give the token of PRIVATE_TOKEN: Authorization: Bearer …\n",
                headers={"WWW-Authenticate": "Bearer"},
            )


async def _until_signalled(shell: Shell) -> None:
    serving = asyncio.create_task(shell.serve())

    def signalled() -> None:
        # A part may wait for a server while it starts: there is nothing to drain yet.
        if shell.stopping.is_set() or not shell.started.is_set():
            serving.cancel()
        shell.stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    try:
        await serving
    except asyncio.CancelledError:
        if shell.started.is_set():
            log.error("process.cut_short")
            raise SystemExit(1) from None


@asynccontextmanager
async def _ended_in_time(part: Part, longest: timedelta) -> AsyncIterator[None]:
    await part.__aenter__()
    try:
        yield
    finally:
        try:
            async with asyncio.timeout(longest.total_seconds()):
                await part.__aexit__(None, None, None)
        except TimeoutError:
            log.error("part.stuck", part=type(part).__name__, seconds=longest.total_seconds())
