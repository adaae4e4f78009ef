"""The webhook worker, put together."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from services.webhook.processor import Processor
from services.webhook.settings import WebhookWorkerSettings
from shared.broker import JobBroker, Worker, current_job
from shared.campaigns.transitions import Transitions
from shared.coalesce import Coalescer
from shared.jobs import WEBHOOKS, WebhookJob, WebhookResult
from shared.metrics import Metrics
from shared.process import App, under_taskiq
from shared.store.database import Database
from shared.store.deliveries_work import DeliveryClaim

_MOST = 20  # deliveries in one set, each of which may be a megabyte


def handler(processor: Processor) -> Callable[[WebhookJob], Awaitable[WebhookResult]]:
    """What a job calls: jobs come one by one, and what they point at is processed in sets."""
    process: Coalescer[DeliveryClaim, WebhookResult] = Coalescer(processor, _MOST)

    async def work(job: WebhookJob) -> WebhookResult:
        generation = current_job().generation
        return await process(DeliveryClaim(job.tenant_id, job.webhook_delivery_id, generation))

    return work


def build(settings: WebhookWorkerSettings) -> App:
    """A worker of `webhook:process`."""
    metrics = Metrics.create()
    broker = JobBroker(settings.redis, settings.engine, WEBHOOKS, metrics=metrics)
    database = Database(settings.database)
    processor = Processor(database, Transitions(settings.timeouts), settings.webhooks)
    broker.register_task(handler(processor), "webhook")

    @asynccontextmanager
    async def connections() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await database.close()

    worker = Worker(broker, settings.private.shutdown_grace)
    return App(
        "webhook",
        parts=(connections(), worker),
        metrics=metrics,
        ready=lambda: worker.ready(settings.private.ready_within),
    )


def broker() -> JobBroker:
    """What `taskiq worker services.webhook.app:broker --receiver shared.broker:JobReceiver` runs."""
    settings = WebhookWorkerSettings()
    return under_taskiq(build(settings), settings)
