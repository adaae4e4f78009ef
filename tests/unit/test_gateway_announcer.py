import asyncio
import json
from collections.abc import Sequence
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter

from services.gateway.announcer import Announcer, Waiting
from shared.queue.types import NewJob

TENANT = UUID(int=1)


def waiting(n: int, g: int = 0) -> Waiting:
    return Waiting(TENANT, UUID(int=n), "sendgrid", g)


def counter() -> Counter:
    return Counter("dropped", "Dropped.", registry=CollectorRegistry())


def dropped(count: Counter) -> float:
    [metric] = count.collect()
    return float(metric.samples[0].value)


class Queue:
    """Takes jobs while it is open."""

    def __init__(self) -> None:
        self.jobs: list[str] = []
        self.batches: list[int] = []
        self.open = asyncio.Event()
        self.asked = asyncio.Event()

    async def enqueue(self, jobs: Sequence[NewJob]) -> None:
        self.asked.set()
        await self.open.wait()
        self.batches.append(len(jobs))
        self.jobs += [job.id for job in jobs]


def test_the_job_points_at_the_delivery_in_its_tenants_lane() -> None:
    job = waiting(7, g=3).job()
    assert (job.id, job.lane, job.priority) == (f"webhook:{UUID(int=7)}:3", str(TENANT), 0)
    assert json.loads(job.payload) == {
        "version": 1,
        "kind": "webhook",
        "tenantId": str(TENANT),
        "webhookDeliveryId": str(UUID(int=7)),
        "provider": "sendgrid",
    }


async def test_what_comes_while_the_queue_is_busy_goes_together_up_to_100() -> None:
    queue = Queue()
    async with Announcer(queue.enqueue, 1000, counter()) as announce:
        announce(waiting(0))
        await queue.asked.wait()
        for n in range(1, 151):
            announce(waiting(n))
        queue.open.set()
    assert queue.batches == [1, 100, 50]
    assert queue.jobs == [waiting(n).job().id for n in range(151)]


async def test_a_full_line_drops_the_newest_and_counts_them() -> None:
    queue, count = Queue(), counter()
    async with Announcer(queue.enqueue, 2, count) as announce:
        announce(waiting(0))
        await queue.asked.wait()
        for n in range(1, 5):
            announce(waiting(n))
        assert dropped(count) == 2
        queue.open.set()
    assert queue.jobs == [waiting(n).job().id for n in range(3)]


async def test_a_batch_that_meets_no_queue_is_dropped_and_the_next_goes_on() -> None:
    away = True
    told: list[str] = []
    met = asyncio.Event()

    async def enqueue(jobs: Sequence[NewJob]) -> None:
        if away:
            met.set()
            raise OSError("away")
        told.extend(job.id for job in jobs)

    count = counter()
    async with Announcer(enqueue, 10, count) as announce:
        announce(waiting(1))
        await met.wait()
        away = False
        announce(waiting(2))
    assert (told, dropped(count)) == ([waiting(2).job().id], 1)
