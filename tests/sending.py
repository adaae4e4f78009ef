"""A send worker for tests: its handler on real stores, stepped by hand; and a provider that does as told."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from aiohttp import web
from pydantic import SecretStr

from services.send.app import build
from services.send.settings import SendWorkerSettings
from shared.sealing import Purpose, Sealer
from shared.settings import (
    DatabaseSettings,
    EngineSettings,
    LogSettings,
    PrivateSettings,
    PublicSettings,
    RedisSettings,
    SendSettings,
)
from tests.dispatching import Replica, dispatching
from tests.journeys import TIMEOUTS, World

KEY = "a key of tests, of thirty-two characters"
PUBLIC = PublicSettings(public_url="https://mail.example.com", secret_key=SecretStr(KEY))
SOON = timedelta(milliseconds=100)
PATIENCE = 20.0  # seconds, for what should take milliseconds

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Provider:
    """Speaks as SendGrid does. Answers what it was told to, in order, and accepts what it was not."""

    url: str = ""
    answers: deque[Answer] = field(default_factory=deque)
    mails: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    @property
    def actions(self) -> list[str]:
        """The actions that arrived, in order."""
        return [mail["custom_args"]["outreach_action"] for mail in self.mails]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(request.headers)
        self.mails.append(json.loads(await request.read()))
        answer = self.answers.popleft() if self.answers else accept
        return await answer(request)


async def accept(_: web.Request) -> web.StreamResponse:
    """Take the message."""
    return web.Response(status=202, headers={"X-Message-Id": "message-1"})


def status(code: int, **headers: str) -> Answer:
    """Answer with a status."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(
            status=code, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    return answer


async def cut(request: web.Request) -> web.StreamResponse:
    """Break off after the message was read: nobody can know whether it was taken."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def stall(request: web.Request) -> web.StreamResponse:
    """Say nothing until the caller gives up."""
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110  # no event tells
        await asyncio.sleep(0.01)
    return web.Response()


def after(work: Callable[[], Awaitable[object]], answer: Answer = accept) -> Answer:
    """Answer when something else has happened."""

    async def later(request: web.Request) -> web.StreamResponse:
        await work()
        return await answer(request)

    return later


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    """A provider on a free port."""
    provider = Provider()
    application = web.Application()
    application.router.add_post("/v3/mail/send", provider.handle)
    application.router.add_post("/2010-04-01/Accounts/AC1/Messages.json", provider.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        provider.url = f"http://{host}:{port}"
        yield provider
    finally:
        await runner.cleanup()


async def connect_world(world: World, url: str) -> None:
    """Let the world's senders send through SendGrid's interface at an address."""
    sealed = Sealer(KEY, Purpose.CREDENTIALS).seal(json.dumps({"api_key": "SG.key"}).encode())
    await world.run(
        "update provider_accounts set provider = 'sendgrid', base_url = :url, credentials = :sealed"
        " where tenant_id = :t",
        url=url,
        sealed=sealed,
    )


@asynccontextmanager
async def send_worker(
    database_url: str,
    redis_url: str,
    *,
    lease: timedelta = timedelta(seconds=30),
    concurrency: int = 3,
    **send: Any,
) -> AsyncIterator[None]:
    """The send worker, running."""
    settings = SendWorkerSettings(
        redis=RedisSettings(url=SecretStr(redis_url)),
        database=DatabaseSettings(url=SecretStr(database_url)),
        engine=EngineSettings(lease=lease, renew=SOON, reap_every=SOON, concurrency=concurrency),
        send=SendSettings(**send),
        timeouts=TIMEOUTS,
        public=PUBLIC,
        private=PrivateSettings(port=0, shutdown_grace=timedelta(seconds=10)),
        log=LogSettings(),
    )
    async with AsyncExitStack() as stack:
        for part in build(settings).parts:
            await stack.enter_async_context(part)
        yield


@dataclass
class Scene:
    """A world whose sends are dispatched to a provider's address."""

    world: World
    dispatch: Replica
    provider: Provider
    database_url: str
    redis_url: str

    async def dispatched(self, contacts: int | None = None) -> None:
        """Enrol contacts, all by default, and enqueue their sends."""
        await self.world.enrol(self.world.contacts[:contacts])
        await self.dispatch.send_round()

    def worker(self, **settings: Any) -> Any:
        """A send worker on the scene's servers."""
        return send_worker(self.database_url, self.redis_url, **settings)

    async def states(self) -> list[tuple[str, int, str | None]]:
        """Status, generation and reason of the tenant's sends, in order."""
        return [(row["status"], row["g"], row["reason"]) for row in await self.world.actions(kind="send")]

    async def attempts(self) -> list[tuple[int, str | None, bool]]:
        """Generation, outcome, and whether the charge was given back, of each attempt in order."""
        rows = await self.world.run(
            "select g, outcome, given_back from attempts where tenant_id = :t order by submitted_at, g"
        )
        return [(row["g"], row["outcome"], row["given_back"]) for row in rows]

    async def settled(self) -> None:
        """Wait until nothing is active and every claimed job was settled."""
        await self.until(self._is_quiet)

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until the condition holds; a test that waits in vain fails."""
        async with asyncio.timeout(PATIENCE):
            while not await condition():  # noqa: ASYNC110  # what is waited for happens on a server
                await asyncio.sleep(0.01)

    async def _is_quiet(self) -> bool:
        counts = await self.dispatch.sends.counts(0)
        return counts.active == counts.waiting == counts.delayed == 0


@asynccontextmanager
async def scene(world: World, database_url: str, redis_url: str) -> AsyncIterator[Scene]:
    """Dispatch, open and stepped by hand, and a provider, for a world."""
    async with dispatching(world.database, redis_url) as dispatch, providing() as provider:
        await connect_world(world, provider.url)
        await dispatch.open()
        yield Scene(world, dispatch, provider, database_url, redis_url)
