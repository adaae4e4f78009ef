"""The webhook worker, put together."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from services.webhook.processor import Processor
from services.webhook.settings import WebhookWorkerSettings
from shared.broker import JobBroker, current_job
from shared.campaigns.transitions import Transitions
from shared.coalesce import Coalescer
from shared.jobs import WEBHOOKS, WebhookJob, WebhookResult
from shared.process import App, under_taskiq, worker_app
from shared.store.database import Database
from shared.store.deliveries_work import DeliveryClaim

_MOST = 20  # deliveries in one set, each of which may be a megabyte


def handler(processor: Processor, patience: timedelta) -> Callable[[WebhookJob], Awaitable[WebhookResult]]:
    """What a job calls: jobs come one by one, and what they point at is processed in sets."""
    process: Coalescer[DeliveryClaim, WebhookResult] = Coalescer(processor, _MOST, patience=patience)

    async def work(job: WebhookJob) -> WebhookResult:
        generation = current_job().generation
        return await process(DeliveryClaim(job.tenant_id, job.webhook_delivery_id, generation))

    return work


def build(settings: WebhookWorkerSettings) -> App:
    """A worker of `webhook:process`."""
    broker = JobBroker(settings.redis, settings.engine, WEBHOOKS)
    database = Database(settings.database)
    processor = Processor(database, Transitions(settings.timeouts), settings.webhooks)
    broker.register_task(handler(processor, broker.patience), "webhook")
    return worker_app("webhook", broker, database, settings)


def broker() -> JobBroker:
    """What `taskiq worker services.webhook.app:broker --receiver shared.broker:JobReceiver` runs."""
    settings = WebhookWorkerSettings()
    return under_taskiq(build(settings), settings)
