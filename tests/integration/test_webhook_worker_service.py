"""The webhook and timeout workers as services: jobs from the engine, rows in Postgres, all real."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from services.timeout import app as timeout
from services.timeout.settings import TimeoutWorkerSettings
from services.webhook import app as webhook
from services.webhook.settings import WebhookWorkerSettings
from shared.jobs import TIMEOUTS, WEBHOOKS, QueueSpec, TimeoutJob, WebhookJob, job_id
from shared.process import App
from shared.queue.opening import Opening
from shared.queue.queue import Queue
from shared.queue.types import NewJob
from shared.redis.client import connect
from shared.settings import DatabaseSettings, RedisSettings
from shared.store.database import Database
from tests import journeys
from tests.journeys import World, graph, mail_event, send, to

NOW = datetime.now(UTC).replace(microsecond=0)
DRIP = graph(
    hello=send(to("opened", "open"), to("again", "no_open", after=3600), to("done", after="P9D")),
    again=send(to("done")),
)


class Service:
    """A running worker, and its queue, which is open."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue

    @classmethod
    @asynccontextmanager
    async def running(cls, app: App, redis: RedisSettings, spec: QueueSpec) -> AsyncIterator["Service"]:
        async with connect(redis, role="test") as client, AsyncExitStack() as stack:
            opening = Opening(client, spec, prefix=redis.prefix, partitions=1)
            await opening.begin_opening(0, 1)
            await opening.open(0, 1)
            for part in app.parts:
                await stack.enter_async_context(part)
            yield cls(Queue(client, spec, prefix=redis.prefix, partitions=1))

    async def enqueue(self, kind: str, row: Any, g: int, job: WebhookJob | TimeoutJob) -> None:
        await self.queue.enqueue([NewJob(job_id(kind, row, g), str(job.tenant_id), job.wire())])


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await true():  # noqa: ASYNC110  what it waits for is a row that another program writes
            await asyncio.sleep(0.05)


@pytest.fixture
def parts(database_url: str, valkey_url: str) -> dict[str, Any]:
    return {
        "redis": RedisSettings(url=SecretStr(valkey_url)),
        "database": DatabaseSettings(url=SecretStr(database_url)),
        "timeouts": journeys.TIMEOUTS,
    }


async def test_stored_deliveries_are_processed_by_their_jobs(database: Database, parts: dict[str, Any]):
    world = await World.create(database, DRIP, contacts=3)
    await world.enrol()
    posts = []
    for contact in world.contacts:
        visit = await world.current(contact)
        await world.accept(visit["id"], NOW - timedelta(minutes=10))
        (action,) = await world.actions(visit["id"], kind="send")
        posts.append(await world.post(mail_event("delivered", action, NOW), mail_event("open", action, NOW)))

    async def all_processed() -> bool:
        return {row["state"] for row in await world.deliveries()} == {"processed"}

    app = webhook.build(WebhookWorkerSettings(**parts))
    async with Service.running(app, parts["redis"], WEBHOOKS) as service:
        for post in posts:
            job = WebhookJob(tenant_id=post.tenant_id, webhook_delivery_id=post.id, provider="sendgrid")
            await service.enqueue("webhook", post.id, 0, job)
        await until(all_processed)
    paths = [await world.path(contact) for contact in world.contacts]
    assert paths == [[("hello", "open"), ("opened", None)]] * 3
    assert [row["events"] for row in await world.deliveries()] == [2, 2, 2]


async def test_due_timeouts_fire_by_their_jobs(database: Database, parts: dict[str, Any]):
    world = await World.create(database, DRIP)
    await world.enrol()
    await world.accept((await world.current())["id"], NOW - timedelta(hours=1, minutes=5))
    (row,) = await world.actions(event_type="no_open")
    await world.set_action(row["id"], status="enqueued")

    async def fired() -> bool:
        return (await world.statuses())["no_open"] == "fired"

    app = timeout.build(TimeoutWorkerSettings(**parts))
    async with Service.running(app, parts["redis"], TIMEOUTS) as service:
        job = TimeoutJob(
            tenant_id=world.tenant_id,
            campaign_id=world.campaign_id,
            contact_id=row["contact_id"],
            node_id="hello",
            event_type="no_open",
            scheduled_at=row["scheduled_at"],
            visit_id=row["visit_id"],
            scheduled_action_id=row["id"],
        )
        await service.enqueue("timeout", row["id"], 0, job)
        await until(fired)
    assert await world.path() == [("hello", "no_open"), ("again", None)]
