"""A send worker's handler on real stores, stepped by hand, and a provider that answers as told."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from services.send.ledger import Ledger
from services.send.message import Composer
from services.send.worker import Sender
from shared.broker import Ended, JobContext
from shared.broker.context import enter
from shared.broker.endings import returned
from shared.jobs import SendJob
from shared.metrics import Metrics
from shared.providers.client import open_client
from shared.queue.queue import Queue
from shared.queue.types import ClaimedJob, Settled
from shared.sealing import Purpose, Sealer
from shared.settings import PublicSettings, SendSettings
from tests.journeys import World

SECRET = "a secret key of thirty-two letters"
PUBLIC = PublicSettings(public_url="https://outreach.example", secret_key=SECRET)
SETTINGS = SendSettings(
    provider_timeout=timedelta(seconds=5), backoff=timedelta(seconds=2), charge_slack=timedelta(seconds=10)
)


@dataclass
class Provider:
    """Plays SendGrid: answers each request by the next of its scripted answers, 202 when they are used up.

    `during` is awaited while a request is held, before its answer.
    """

    url: str = ""
    script: list[str] = field(default_factory=list)
    messages: list[dict[str, object]] = field(default_factory=list)
    during: Callable[[], Awaitable[None]] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            self.messages.append(json.loads(await reader.readexactly(length)))
            if self.during is not None:
                await self.during()
            answer = self.script.pop(0) if self.script else "202 Accepted\r\nX-Message-Id: m-1"
            if answer != "cut":
                writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def provider(*script: str) -> AsyncIterator[Provider]:
    """A provider on a port of its own."""
    playing = Provider(script=list(script))
    server = await asyncio.start_server(playing.serve, "127.0.0.1", 0)
    async with server:
        playing.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield playing


@dataclass
class Desk:
    """A worker's handler."""

    sender: Sender
    metrics: Metrics

    async def handle(self, claimed: ClaimedJob, age: float = 0) -> tuple[JobContext, Ended]:
        """Work on a claimed job, as if its claim had been sent so many seconds ago."""
        context = JobContext(claimed, time.monotonic() - age)
        enter(context)
        return context, await self.sender(SendJob.model_validate_json(claimed.payload))

    async def work(self, queue: Queue, jobs: Sequence[ClaimedJob], age: float = 0) -> list[Settled]:
        """Work on claimed jobs one after another, and settle each."""
        words: list[Settled] = []
        for claimed in jobs:
            context, ended = await self.handle(claimed, age)
            partition = queue.partition_of(claimed.lane.partition("/")[0])
            settled, _ = await queue.settle(partition, [returned(context, ended)])
            words += settled
        return words


@asynccontextmanager
async def desk(world: World, base_url: str, settings: SendSettings = SETTINGS) -> AsyncIterator[Desk]:
    """A worker whose senders' accounts are with the provider at a URL."""
    credentials = Sealer(SECRET, Purpose.CREDENTIALS).seal(b'{"api_key": "SG.x"}')
    await world.run(
        "update provider_accounts set provider = 'sendgrid', credentials = :credentials, base_url = :url"
        " where tenant_id = :t",
        credentials=credentials,
        url=base_url,
    )
    async with open_client(4) as client:
        ledger = Ledger(world.database, settings, world.transitions)
        metrics = Metrics()
        yield Desk(Sender(ledger, Composer(PUBLIC), client, settings, metrics), metrics)
