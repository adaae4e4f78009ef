"""Jobs to measure with: 200 bytes of payload, 41-character ids, tenants in turn."""

import time
from datetime import timedelta
from uuid import UUID

from shared.jobs import WebhookJob
from shared.queue.queue import Queue
from shared.queue.types import ClaimedJob, NewJob, Settlement, SubjectConfig, Verdict, Window

AT_ONCE = 1_000
HUGE = 1 << 31
SIX_WINDOWS = SubjectConfig(
    "*/email",
    windows=tuple(Window(timedelta(seconds=seconds), HUGE) for seconds in (60, 3_600, 86_400)),
)
"""A minute, an hour and a day for the tenant and for the sender: all are charged, none refuses."""

_SOME = UUID("0197b3f0-5c1e-7a55-9c3d-0123456789ab")
_FILL = "x" * 25  # makes the payload 200 bytes long


class Load:
    """The jobs of a queue: numbered through, the tenants in turn, each with one sender's lane."""

    def __init__(self, queue: Queue, tenants: int) -> None:
        self.queue = queue
        self._tenants = tenants
        self._next = 0

    def make(self, count: int, lane: str | None = None) -> list[NewJob]:
        """The next jobs; of one lane where it is named."""
        numbers = range(self._next, self._next + count)
        self._next += count
        return [
            NewJob(f"send:0197b3f0-5c1e-7a55-9c3d-{n:012x}", lane or lane_of(n % self._tenants), payload())
            for n in numbers
        ]

    async def enqueue(self, count: int) -> None:
        """Enqueue the next jobs, in scripts of the engine's cap."""
        while count > 0:
            await self.queue.enqueue(self.make(min(count, AT_ONCE)))
            count -= AT_ONCE

    async def work_off(self, count: int, batch: int) -> None:
        """Claim and complete so many jobs, each batch settled in the call that claims the next."""
        jobs = (await self.queue.claim(0, min(batch, count))).jobs
        while count > 0:
            count -= len(jobs)
            _, claimed = await self.queue.settle(0, completed(jobs), min(batch, count))
            jobs = claimed.jobs if claimed else ()


def completed(jobs: tuple[ClaimedJob, ...]) -> list[Settlement]:
    """The jobs as done."""
    return [Settlement(job, Verdict.COMPLETED) for job in jobs]


def lane_of(tenant: int) -> str:
    """The lane of a tenant's sender."""
    return f"tenant-{tenant:06}/email/sender-000001"


def payload(late_from: int = 0) -> bytes:
    """A typed job's; `late_from`, by `wall_us`, tells its handler since when it is late."""
    return WebhookJob(
        tenant_id=_SOME,
        webhook_delivery_id=_SOME,
        provider="bench",
        payload=[late_from, _FILL],
    ).wire()


def wall_us() -> int:
    """The wall clock in µs, which two processes can compare."""
    return time.time_ns() // 1000
