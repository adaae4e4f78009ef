"""The gateway, put together."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from services.gateway.announcer import Announcer
from services.gateway.heartbeat import Heartbeat
from services.gateway.housekeeping import housekeeping
from services.gateway.http import application
from services.gateway.settings import GatewaySettings
from services.gateway.trials import Trials
from services.gateway.webhooks import Webhooks
from shared.jobs import WEBHOOKS
from shared.limits.limiter import RateLimiter
from shared.listener import Listener
from shared.loop import Loop
from shared.metrics import Metrics
from shared.process import App
from shared.providers.client import open_client
from shared.queue.queue import Queue
from shared.queue.types import NewJob
from shared.redis.client import connect
from shared.settings import DatabaseSettings
from shared.store.database import Database


@dataclass(frozen=True)
class Gateway:
    """The gateway's parts, in the order they start."""

    metrics: Metrics
    closing: tuple[Callable[[], Awaitable[None]], ...]
    announcer: Announcer
    heartbeat: Heartbeat
    housekeeping: Loop
    listener: Listener

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve for as long as the block; then stop accepting, end what runs, and tell the queue the rest."""
        async with AsyncExitStack() as stack:
            for close in self.closing:
                stack.push_async_callback(close)
            for part in (self.announcer, self.heartbeat, self.housekeeping, self.listener):
                await stack.enter_async_context(part)
            yield


def build(settings: GatewaySettings) -> App:
    """The service: a gateway that announces deliveries to the queue of webhooks."""
    redis = connect(settings.redis, role="gateway")
    queue = Queue(redis, WEBHOOKS, prefix=settings.redis.prefix, partitions=settings.engine.partitions)
    gateway = assemble(settings, queue.enqueue, RateLimiter(redis, prefix=settings.redis.prefix))

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        try:  # Entering the client would connect: the gateway starts, and takes webhooks, without Redis.
            async with gateway.running():
                yield
        finally:
            await redis.aclose()

    return App(name="gateway", parts=[running()], metrics=gateway.metrics, ready=gateway.heartbeat.ready)


def assemble(
    settings: GatewaySettings,
    enqueue: Callable[[Sequence[NewJob]], Awaitable[object]],
    limiter: RateLimiter,
) -> Gateway:
    """A gateway that tells `enqueue` which deliveries wait, and counts test sends by `limiter`."""
    metrics = Metrics.create()
    database, inbox = Database(settings.database), Database(_inbox(settings))
    http_client = open_client(connections=4)
    announcer = Announcer(enqueue, settings.announced_ahead, metrics.unannounced)
    webhooks = Webhooks(settings, inbox, announcer, metrics)
    return Gateway(
        metrics,
        (database.close, inbox.close, http_client.aclose),
        announcer,
        Heartbeat(inbox, settings.beat, settings.timeouts.gateway_silence, settings.private.ready_within),
        housekeeping(database),
        Listener(
            application(settings, webhooks, database, http_client, Trials(limiter)),
            (settings.host, settings.port),
            settings.connections,
            settings.read_timeout,
            settings.private.shutdown_grace,
        ),
    )


def _inbox(settings: GatewaySettings) -> DatabaseSettings:
    """The pool that takes webhooks in: a connection for each lane, one to look endpoints up, one to beat."""
    within = settings.timeouts.insert_timeout
    return settings.database.model_copy(
        update={
            "pool_size": settings.webhook_lanes + 2,
            "connect_timeout": within,
            "statement_timeout": within,
        }
    )
