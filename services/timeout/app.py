"""The timeout worker, put together."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from services.timeout.processor import Processor
from services.timeout.settings import TimeoutWorkerSettings
from shared.broker import JobBroker, current_job
from shared.campaigns.transitions import Transitions
from shared.coalesce import Coalescer
from shared.jobs import TIMEOUTS, TimeoutJob, TimeoutResult
from shared.process import App, under_taskiq, worker_app
from shared.store.database import Database
from shared.store.timeouts import TimeoutClaim

_MOST = 200  # timeouts in one set


def handler(processor: Processor, patience: timedelta) -> Callable[[TimeoutJob], Awaitable[TimeoutResult]]:
    """What a job calls: jobs come one by one, and the rows they point at are worked on in sets."""
    process: Coalescer[TimeoutClaim, TimeoutResult] = Coalescer(processor, _MOST, patience=patience)

    async def work(job: TimeoutJob) -> TimeoutResult:
        generation = current_job().generation
        return await process(TimeoutClaim(job.tenant_id, job.scheduled_action_id, generation))

    return work


def build(settings: TimeoutWorkerSettings, *, through_pause: bool = False) -> App:
    """A worker of `outreach:timeout`; `through_pause`: for what is claimed by hand while it is paused."""
    broker = JobBroker(settings.redis, settings.engine, TIMEOUTS)
    database = Database(settings.database)
    processor = Processor(
        database,
        Transitions(settings.timeouts),
        settings.timeouts,
        broker.metrics,
        through_pause=through_pause,
    )
    broker.register_task(handler(processor, broker.patience), "timeout")
    return worker_app("timeout", broker, database, settings)


def broker() -> JobBroker:
    """What `taskiq worker services.timeout.app:broker --receiver shared.broker:JobReceiver` runs."""
    settings = TimeoutWorkerSettings()
    return under_taskiq(build(settings), settings)
