"""What stands until it is changed: pauses, weights, limits, closures.

Rows only: dispatch puts them in force within a second or two, and again after a flush.
"""

from collections.abc import Mapping
from uuid import UUID

from shared.errors import OutOfRange, UnknownQueue
from shared.jobs import QUEUES
from shared.limits.config import DEFAULTS, MAX_LIMIT
from shared.operate.base import Base
from shared.store import closures, limit_overrides, pauses, senders, tenants
from shared.store.database import AsyncConnection
from shared.store.pauses import Pause

MAX_WEIGHT = 1000
KINDS = ("minute", "hour", "day", "concurrent")


class Standing(Base):
    """Pause and resume, weigh and limit tenants, reopen senders; tenants are called by their names."""

    async def pause(self, queue: str | None, tenant: str | None, reason: str = "") -> bool:
        """Stop a queue, a tenant, a tenant in a queue, or (None, None) everything; False: it was paused.

        What runs ends, what waits stays. The reason is kept in the audit. Raises UnknownQueue, NotFound.
        """

        async def work(tx: AsyncConnection) -> bool:
            pause = await _pause(tx, queue, tenant)
            added = await pauses.add(tx, pause, reason)
            await self._note(tx, "pause", target(queue, tenant), pause.tenant_id, int(added), reason=reason)
            return added

        return await self._database.run(work)

    async def resume(self, queue: str | None, tenant: str | None) -> None:
        """Lift exactly the pause of a queue, a tenant, both or everything. Raises UnknownQueue, NotFound."""

        async def work(tx: AsyncConnection) -> None:
            pause = await _pause(tx, queue, tenant)
            await pauses.lift(tx, pause)
            await self._note(tx, "resume", target(queue, tenant), pause.tenant_id)

        await self._database.run(work)

    async def weigh(self, tenant: str, weight: int) -> None:
        """Give a tenant its share of the workers, 1 to 1,000. Raises NotFound, OutOfRange."""
        if not 1 <= weight <= MAX_WEIGHT:
            raise OutOfRange(f"A weight is from 1 to {MAX_WEIGHT}.")

        async def work(tx: AsyncConnection) -> None:
            tenant_id = await tenants.weigh(tx, tenant, weight)
            await self._note(tx, "tenants.weight", tenant, tenant_id, weight=weight)

        await self._database.run(work)

    async def limit(
        self, tenant: str, channel: str, sender_id: UUID | None, limits: Mapping[str, int | None]
    ) -> None:
        """Override limits (minute, hour, day, concurrent) of a tenant on a channel, or of one sender of it.

        None takes an override away; kinds that are not named stay. Raises NotFound, OutOfRange.
        """
        _check(channel, limits)

        async def work(tx: AsyncConnection) -> None:
            tenant_id = await tenants.named(tx, tenant)
            if sender_id is not None:
                await senders.on_channel(tx, tenant_id, sender_id, channel)
            await limit_overrides.change(tx, tenant_id, channel, sender_id, limits)
            subject = f"{tenant}/{channel}" + (f"/{sender_id}" if sender_id else "")
            await self._note(tx, "tenants.limits", subject, tenant_id, len(limits), **limits)

        await self._database.run(work)

    async def reopen(self, tenant: str, sender_id: UUID) -> None:
        """End a sender's closures; its waiting sends go on. Raises NotFound: it is not closed."""

        async def work(tx: AsyncConnection) -> None:
            tenant_id = await tenants.named(tx, tenant)
            await closures.reopen(tx, tenant_id, sender_id)
            await self._note(tx, "senders.reopen", str(sender_id), tenant_id)

        await self._database.run(work)


async def _pause(tx: AsyncConnection, queue: str | None, tenant: str | None) -> Pause:
    known_queue(queue)
    return Pause(queue, await tenants.named(tx, tenant) if tenant is not None else None)


def known_queue(queue: str | None) -> None:
    """Raises UnknownQueue for the name of no queue; None stands for every queue."""
    if queue is not None and queue not in QUEUES:
        raise UnknownQueue(f"There is no queue {queue!r}: there are {', '.join(QUEUES)}.")


def target(queue: str | None, tenant: str | None) -> str:
    """What is acted on, as the audit says it."""
    return " in ".join(filter(None, (tenant, queue))) or "everything"


def _check(channel: str, limits: Mapping[str, int | None]) -> None:
    if channel not in DEFAULTS:
        raise OutOfRange(f"There is no channel {channel!r}: there are {', '.join(DEFAULTS)}.")
    for kind, limit in limits.items():
        if kind not in KINDS or (limit is not None and not 0 <= limit <= MAX_LIMIT):
            raise OutOfRange(f"A limit is of {', '.join(KINDS)}, and from 0 to {MAX_LIMIT:,}.")
