"""The broker: what a Taskiq program sends its tasks through."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Literal
from uuid import uuid4

from taskiq.message import BrokerMessage
from taskiq_redis.redis_broker import BaseRedisBroker

from shared.broker.context import working_on
from shared.broker.formatter import JobFormatter, JobMessage
from shared.broker.health import Health
from shared.errors import InvalidJob, JobConflict, JobIdRequired, QueueError
from shared.jobs import QUEUES, QueueSpec
from shared.metrics import Metrics
from shared.queue.queue import Queue
from shared.queue.types import Enqueued
from shared.redis.client import connect
from shared.settings import EngineSettings, RedisSettings


class JobBroker(BaseRedisBroker):
    """Sends tasks to one queue of the engine; `JobReceiver` runs them.

    A job id is required: give one by `.kicker().with_task_id(...)`, or `kiq` raises JobIdRequired. With
    `ids="random"` a task without one gets a random id, which suits plain tasks. A known id with the same
    arguments is sent once; with others, `kiq` raises Taskiq's SendTaskError, whose cause is our JobConflict,
    as it is for every other refusal, and for a Redis that does not answer.

    A queue that is none of `shared.jobs.QUEUES` is plain: its jobs have no rows, and whoever finds it closed
    opens it.
    """

    def __init__(
        self,
        redis: RedisSettings,
        engine: EngineSettings,
        spec: QueueSpec,
        *,
        ids: Literal["required", "random"] = "required",
        metrics: Metrics | None = None,
    ) -> None:
        super().__init__(redis.dsn, queue_name=spec.name)
        self.redis = redis
        self.engine = engine
        self.spec = _in_force(spec, engine)
        # A handler that waits for a store gives up before its job does, so that no attempt is used.
        self.patience = self.spec.job_timeout * 4 / 5
        self.plain = spec.name not in QUEUES
        self.metrics = metrics or Metrics.create()
        self.health = Health()
        self.formatter = self.job_formatter = JobFormatter(spec.name)
        self.id_generator = _random_id if ids == "random" else _no_id
        # The parent's pool makes a client for each message; ours is one connection, with our timeouts.
        self.client = connect(redis, role="producer")
        self.connection_pool = self.client.connection_pool  # type: ignore[assignment]  # connect's is blocking
        self.queue = Queue(self.client, self.spec, prefix=redis.prefix, partitions=engine.partitions)

    async def kick(self, message: BrokerMessage) -> None:
        """Enqueue the message's job.

        A job sent again by its own handler or a middleware, as `Context.requeue` does, is not: its lease is
        alive, and the receiver puts it back.
        """
        if not isinstance(message, JobMessage):
            raise InvalidJob("JobBroker sends what its own formatter forms: leave its formatter in place.")
        context = working_on(message.task_id)
        if context is not None:
            context.requeued = True
            return
        (word,) = await self.queue.enqueue([message.job])
        if word is Enqueued.CONFLICT:
            raise JobConflict(f"{message.task_id} is known with other arguments: use a new id for new work.")

    def listen(self) -> AsyncGenerator[bytes, None]:
        """Nothing: the engine's jobs have leases, which a stream of bytes cannot carry."""
        raise QueueError("JobBroker needs its own receiver: add --receiver shared.broker:JobReceiver.")

    @asynccontextmanager
    async def consuming(self) -> AsyncIterator[Queue]:
        """The queue on connections for a worker: two for visits, one to wait on."""
        # The consumer's loops try again themselves, and say so.
        once = self.redis.model_copy(update={"retries": 0})
        # Not entered, which would connect: a worker starts without Redis, and waits for it.
        first, second, waiting = (connect(once, role=role) for role in ("worker", "worker", "waiting"))
        place = {"prefix": self.redis.prefix, "partitions": self.engine.partitions}
        try:
            yield Queue(first, self.spec, beside=second, waiting=waiting, **place)
        finally:
            for client in (first, second, waiting):
                await client.aclose()

    async def shutdown(self) -> None:
        """Close what startup and use have opened."""
        await super().shutdown()
        await self.client.aclose()


def _in_force(spec: QueueSpec, engine: EngineSettings) -> QueueSpec:
    """The queue's defaults under the settings of this process."""
    return replace(
        spec,
        concurrency=engine.concurrency or spec.concurrency,
        lease=engine.lease,
        renew=engine.renew,
        job_timeout=min(spec.job_timeout, engine.lease * 5 / 6),
    )


def _random_id() -> str:
    return uuid4().hex


def _no_id() -> str:
    raise JobIdRequired
