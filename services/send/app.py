"""The send worker, put together."""

from collections.abc import Awaitable, Callable

from services.send.ledger import Ledger
from services.send.message import Composer
from services.send.settings import SendWorkerSettings
from services.send.worker import Sender
from shared.broker import Ended, JobBroker
from shared.campaigns.transitions import Transitions
from shared.jobs import SENDS, SendJob
from shared.process import App, under_taskiq, worker_app
from shared.providers.client import open_client
from shared.store.database import Database


def handler(sender: Sender) -> Callable[[SendJob], Awaitable[Ended]]:
    """What a job calls: Taskiq renames its functions, which a method does not allow."""

    async def work(job: SendJob) -> Ended:
        return await sender(job)

    return work


def build(settings: SendWorkerSettings, *, through_pause: bool = False) -> App:
    """A worker of `outreach:send`; `through_pause`: for what is claimed by hand while it is paused."""
    broker = JobBroker(settings.redis, settings.engine, SENDS)
    database = Database(settings.database)
    client = open_client(broker.spec.concurrency)
    ledger = Ledger(database, settings.send, Transitions(settings.timeouts), broker.patience)
    composer = Composer(settings.public)
    sender = Sender(ledger, composer, client, settings.send, broker.metrics, through_pause=through_pause)
    broker.register_task(handler(sender), "send")
    return worker_app("send", broker, database, settings, client)


def broker() -> JobBroker:
    """What `taskiq worker services.send.app:broker --receiver shared.broker:JobReceiver` runs."""
    settings = SendWorkerSettings()
    return under_taskiq(build(settings), settings)
