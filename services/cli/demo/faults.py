"""What goes wrong in a run, step by step: workers are killed in the middle of their work, Redis flushed."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from services.cli.demo.books import Pause
from services.cli.demo.observe import Observer
from services.cli.demo.polling import OFTEN, until
from services.cli.demo.simulated import Simulator
from services.cli.fleet import Fleet
from shared.store import books, pauses
from shared.store.database import Database

_IN_FORCE = timedelta(seconds=2)  # a pause is in force by then, and what was about to be sent is
_FLUSHED = timedelta(seconds=3)  # so long the paused tenant stands still after the flush
_GATHERED = timedelta(seconds=1)  # so long events are kept back, to come all at once
_WORKER = re.compile(r"^outreach/\S+ \((\d+)\)$")


@dataclass
class Script:
    """Plays the faults against a running demo; `tell` is told of each."""

    fleet: Fleet
    simulator: Simulator
    observer: Observer
    database: Database
    redis: Redis
    tell: Callable[[str], None]
    kills: int = 0
    send_kills: int = 0
    flushes: int = 0
    pause: Pause | None = None

    async def play(self, paused_tenant: UUID, flush_waiting: int) -> None:
        """All of it, in order, each step when there is work for it to strike."""
        await self.kill_sender(taken=False)
        await self.flush_under_pause(paused_tenant, flush_waiting)
        await self.kill_sender(taken=True)
        await self.kill_webhook_worker()

    async def kill_sender(self, *, taken: bool) -> None:
        """Kill the send worker whose request the provider holds, before or after the message is taken."""
        held = await self._hold(taken=taken)
        worker = _WORKER.match(held["user_agent"] or "")
        if worker is None:
            raise ValueError(f"The request does not say which worker sent it: {held['user_agent']!r}")
        await self.fleet.kill(int(worker[1]))
        self.kills += 1
        self.send_kills += 1
        await self.simulator.do("release")
        self.tell(f"killed send worker {worker[1]} in its call, {'after' if taken else 'before'} acceptance")

    async def flush_under_pause(self, tenant_id: UUID, waiting: int) -> None:
        """Flush Redis while so many jobs wait, one is in the provider's hands, and a tenant is paused."""
        pause = pauses.Pause(None, tenant_id)
        await self.database.run(lambda tx: pauses.add(tx, pause, "demo"))
        await asyncio.sleep(_IN_FORCE.total_seconds())
        begun = datetime.now(UTC)
        await until(lambda: self._flush(waiting))
        await asyncio.sleep(_FLUSHED.total_seconds())
        self.pause = Pause(tenant_id, begun, datetime.now(UTC))
        await self.database.run(lambda tx: pauses.lift(tx, pause))
        self.tell("resumed the tenant that was paused across the flush")

    async def kill_webhook_worker(self) -> None:
        """Kill a webhook worker with a batch in work: stop it first, to see whether it has one."""
        await self.simulator.do("hold_webhooks")
        await asyncio.sleep(_GATHERED.total_seconds())
        await self.simulator.do("release_webhooks")
        await until(self._caught, every=OFTEN / 10)

    async def _caught(self) -> bool:
        """Whether the worker was killed: only if it held deliveries when it was stopped."""
        pids = self.fleet.pids_of("webhook")  # one, or it would not be known whose the deliveries are
        return bool(pids) and await self._killed_at_work(*pids)

    async def _killed_at_work(self, pid: int) -> bool:
        held = 0
        self.fleet.freeze(pid)
        try:
            held = await self.database.run(books.deliveries_in_work)
        finally:
            if held:
                await self.fleet.kill(pid)
            else:
                self.fleet.thaw(pid)
        if held:
            self.kills += 1
            self.tell(f"killed webhook worker {pid} with {held} deliveries in work")
        return held > 0

    async def _flush(self, waiting: int) -> bool:
        await self._hold(taken=True)
        try:
            jobs = await self.observer.jobs()
            enough = jobs.waiting >= waiting and jobs.active >= 1
            if enough:
                await self.redis.flushall()
                self.flushes += 1
                self.tell(f"flushed Redis with {jobs.waiting} jobs waiting and {jobs.active} active")
            return enough
        finally:
            await self.simulator.do("release")

    async def _hold(self, *, taken: bool) -> dict[str, Any]:
        """The next request, held by the provider."""
        await self.simulator.do("hold_next", taken=taken)
        return await until(self.simulator.held)
