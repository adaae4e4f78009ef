"""Stored webhook bodies: replayed, looked at again now, or given up. The row first, then Redis."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import structlog

from shared.errors import NotFound, OutOfRange
from shared.jobs import WEBHOOKS, WebhookJob, job_id
from shared.loop import AWAY
from shared.operate.finding import Finding, cannot
from shared.operate.retrying import PAGE, Progress
from shared.queue.types import NewJob
from shared.store import audit, delivery_rows, tenants
from shared.store.database import AsyncConnection, Row
from shared.store.delivery_rows import Place

log = structlog.get_logger()

_ENDED = ("processed", "failed", "parked")


class Posts(Finding):
    """Replays deliveries. What a delivery did already it does not do twice: events and visits see to it."""

    async def replay(self, delivery_id: UUID) -> str:
        """Let a delivery that was processed, failed or parked be processed anew; its job's id.

        Raises NotFound and Conflict.
        """
        row = await self._database.run(lambda tx: delivery_rows.find(tx, delivery_id))
        if row is None:
            raise NotFound("There is no such delivery, or its day is no longer kept.")
        return await self._replay_row(row, "deliveries.replay", _ENDED)

    async def replay_all(
        self,
        state: str,
        tenant: str | None,
        progress: Progress = lambda _: None,
        most: int | None = None,
    ) -> int:
        """Let every `failed` or `parked` delivery, of a tenant or all, be processed anew; how many.

        With `most`, at most about so many of them. Raises NotFound, OutOfRange.
        """
        if state not in delivery_rows.REPLAYED:
            raise OutOfRange(
                f"Only deliveries that are {' or '.join(delivery_rows.REPLAYED)} are replayed in bulk."
            )

        async def begin(tx: AsyncConnection) -> tuple[UUID | None, UUID]:
            only = await tenants.named(tx, tenant) if tenant is not None else None
            return only, await self._note(tx, "deliveries.replay", state, only, 0)

        only, entry = await self._database.run(begin)
        total, after = 0, None
        while most is None or total < most:
            looked, count = await self._replay_page(state, only, after, entry)
            total += count
            progress(len(looked))
            if len(looked) < PAGE:
                break
            after = looked[-1]
        return total

    async def _replay_page(
        self, state: str, only: UUID | None, after: Place | None, entry: UUID
    ) -> tuple[list[Place], int]:
        async def work(tx: AsyncConnection) -> tuple[list[Place], list[Row[Any]]]:
            looked = await delivery_rows.waiting(tx, state, only, after, PAGE)
            armed = await delivery_rows.replay(tx, looked, (state,)) if looked else []
            await audit.add_count(tx, entry, len(armed))
            return looked, armed

        looked, armed = await self._database.run(work)
        old = [(row.tenant_id, job_id("webhook", row.id, row.g - 1)) for row in armed]
        await self._forget(self._queues[WEBHOOKS.name], old)
        await self._announce(armed)
        return looked, len(armed)

    async def _replay_row(self, row: Row[Any], action: str, states: Collection[str]) -> str:
        async def work(tx: AsyncConnection) -> list[Row[Any]]:
            armed = await delivery_rows.replay(tx, [_place(row)], states)
            if not armed:
                raise cannot("replayed", await self._again(tx, "webhook", row))
            await self._note(tx, action, str(row.id), row.tenant_id)
            return armed

        (armed,) = await self._database.run(work)
        await self._forget(self._queues[WEBHOOKS.name], [(row.tenant_id, job_id("webhook", row.id, row.g))])
        await self._announce([armed])
        return job_id("webhook", armed.id, armed.g)

    async def _end_delivery(self, row: Row[Any], action: str, reason: str) -> None:
        """Give a delivery up that was not processed: it fails, and can be replayed. Raises Conflict."""

        async def work(tx: AsyncConnection) -> None:
            open_states = ("received", "processing", "parked")
            if not await delivery_rows.fail(tx, [_place(row)], open_states, reason):
                raise cannot("cancelled", await self._again(tx, "webhook", row))
            await self._note(tx, action, job_id("webhook", row.id, row.g), row.tenant_id)

        await self._database.run(work)
        await self._forget(self._queues[WEBHOOKS.name], [(row.tenant_id, job_id("webhook", row.id, row.g))])

    async def _announce(self, armed: Sequence[Row[Any]]) -> None:
        """Enqueue at once; where Redis is away the sweeper does it later."""
        try:
            await self._queues[WEBHOOKS.name].enqueue([_job(row) for row in armed])
        except AWAY as error:
            log.warning("desk.redis_away", queue=WEBHOOKS.name, jobs=len(armed), error=type(error).__name__)


def _place(row: Row[Any]) -> Place:
    return Place(row.tenant_id, row.id, row.g, row.received_at)


def _job(row: Row[Any]) -> NewJob:
    envelope = WebhookJob(tenant_id=row.tenant_id, webhook_delivery_id=row.id, provider=row.provider)
    return NewJob(job_id("webhook", row.id, row.g), envelope.lane, envelope.wire())
