"""Dispatch for tests: its parts on real servers, stepped by hand; and a worker that claims by hand."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from services.dispatch.configuration import Configuration, Place
from services.dispatch.in_force import usually_ahead
from services.dispatch.openings import Openings
from services.dispatch.rounds import Rounds
from shared.broker.registration import Registration
from shared.campaigns.transitions import Transitions
from shared.jobs import SENDS, TIMEOUTS, WEBHOOKS, parse_job_id
from shared.queue.queue import Queue
from shared.queue.types import ClaimedJob
from shared.redis.client import connect
from shared.settings import DispatchSettings, LimitSettings, RedisSettings
from shared.store import limit_overrides
from shared.store.database import Database
from tests.journeys import TIMEOUTS as TIMEOUT_SETTINGS
from tests.journeys import World

SUBMISSION = timedelta(seconds=50)


@dataclass
class Replica:
    """A dispatcher whose loops are steps that a test takes."""

    database: Database
    redis: Redis
    queues: Sequence[Queue]
    configuration: Configuration
    openings: Openings
    rounds: Rounds

    @property
    def sends(self) -> Queue:
        return self.queues[0]

    @property
    def timeouts(self) -> Queue:
        return self.queues[1]

    @property
    def webhooks(self) -> Queue:
        return self.queues[2]

    async def open(self) -> None:
        """Open every partition that is closed."""
        await self.configuration.refresh()
        while await self.openings.step():
            pass

    async def send_round(self) -> None:
        """Take sends until there is nothing more to take."""
        while await self.rounds.send():
            pass

    async def claim(self, count: int = 50, queue: Queue | None = None) -> list[ClaimedJob]:
        """Claim from every partition of a queue, that of the sends by default."""
        queue = queue or self.sends
        return [
            job for partition in range(queue.partitions) for job in (await queue.claim(partition, count)).jobs
        ]


@asynccontextmanager
async def dispatching(
    database: Database,
    redis_url: str,
    *,
    partitions: int = 1,
    queue: type[Queue] = Queue,
    dispatch: DispatchSettings | None = None,
    limits: LimitSettings | None = None,
) -> AsyncIterator[Replica]:
    """A registered dispatcher; nothing runs by itself."""
    settings = dispatch or DispatchSettings()
    lengths = limits or LimitSettings()
    redis = connect(RedisSettings(url=redis_url), role="test")
    queues = [
        queue(redis, spec, prefix="outreach", partitions=partitions) for spec in (SENDS, TIMEOUTS, WEBHOOKS)
    ]
    registration = Registration(database, redis, "outreach", queues)
    openings: Openings

    def ask(place: Place) -> None:
        openings.ask(place)

    configuration = Configuration(database, queues, lengths, settings, 5, ask)
    openings = Openings(
        database,
        configuration,
        (lengths.minute, lengths.hour, lengths.day),
        SUBMISSION,
        registration.claim,
        lambda: None,
    )
    rounds = Rounds(
        database,
        queues[0],
        queues[1],
        Transitions(TIMEOUT_SETTINGS),
        settings,
        timedelta(hours=24),
        usually_ahead(lengths, settings),
        configuration.ahead,
    )
    try:
        async with registration:
            yield Replica(database, redis, queues, configuration, openings, rounds)
    finally:
        await redis.aclose()


async def limit(world: World, sender_id: UUID | None = None, **limits: int) -> None:
    """Override limits of mail, of the tenant or of a sender."""
    await world.database.run(
        lambda tx: limit_overrides.replace(tx, world.tenant_id, "email", sender_id, limits)
    )


def row_ids(jobs: Sequence[ClaimedJob]) -> list[Any]:
    """The rows that jobs point at."""
    return [parse_job_id(job.id)[1] for job in jobs]
