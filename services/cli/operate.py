"""What an operator does in an incident: rows are written, and dispatch puts them in force in seconds."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from shared.errors import UnknownQueue
from shared.jobs import QUEUES
from shared.queue.queue import Queue
from shared.redis.client import connect
from shared.settings import DatabaseSettings, RedisSettings
from shared.store import closures, pauses, queue_rows, tenants
from shared.store.database import AsyncConnection, Database
from shared.store.pauses import Pause

T = TypeVar("T")


async def depths() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """How every partition of every queue stands; and the pauses in force."""
    database, settings = Database(DatabaseSettings()), RedisSettings()
    redis = connect(settings, role="cli")
    try:
        paused = await database.run(pauses.listed)
        made = await database.run(queue_rows.partitions)
        rows = []
        for spec in QUEUES.values():
            queue = Queue(redis, spec, prefix=settings.prefix, partitions=made.get(spec.name, 1))
            for partition in range(queue.partitions):
                rows.append(await _depth(queue, partition, [pause for pause, *_ in paused]))
        return rows, [_shown(*each) for each in paused]
    finally:
        await redis.aclose()
        await database.close()


async def _depth(queue: Queue, partition: int, paused: list[Pause]) -> dict[str, Any]:
    measures = await queue.measure(partition)
    counts = measures.counts
    return {
        "queue": queue.name,
        "partition": partition,
        "open": await queue.is_open(partition),
        "waiting": counts.waiting,
        "delayed": counts.delayed,
        "active": counts.active,
        "completed": counts.completed,
        "failed": counts.failed,
        "parked lanes": measures.parked,
        "paused": any(pause.holds(queue.name) for pause in paused),
        "paused tenants": len(
            {pause.tenant_id for pause in paused if pause.tenant_id and pause.queue in (None, queue.name)}
        ),
    }


def _shown(pause: Pause, tenant: str | None, reason: str, at: datetime) -> dict[str, Any]:
    """A pause, as the options of `pause` and `resume` call it."""
    return {"paused": pause.queue or "every queue", "tenant": tenant, "since": at, "reason": reason}


async def pause(queue: str | None, tenant: str | None, reason: str) -> None:
    """Make a pause. Raises UnknownQueue, NotFound."""

    async def work(tx: AsyncConnection) -> None:
        await pauses.add(tx, await _pause(tx, queue, tenant), reason)

    await in_database(work)


async def resume(queue: str | None, tenant: str | None) -> None:
    """Lift a pause. Raises UnknownQueue, NotFound."""

    async def work(tx: AsyncConnection) -> None:
        await pauses.lift(tx, await _pause(tx, queue, tenant))

    await in_database(work)


async def reopen(tenant: str, sender_id: UUID) -> None:
    """End a sender's closures. Raises NotFound."""

    async def work(tx: AsyncConnection) -> None:
        await closures.reopen(tx, await tenants.named(tx, tenant), sender_id)

    await in_database(work)


async def _pause(tx: AsyncConnection, queue: str | None, tenant: str | None) -> Pause:
    if queue is not None and queue not in QUEUES:
        raise UnknownQueue(f"There is no queue {queue!r}: there are {', '.join(QUEUES)}.")
    return Pause(queue, await tenants.named(tx, tenant) if tenant is not None else None)


async def in_database(work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Do one thing in one transaction."""
    database = Database(DatabaseSettings())
    try:
        return await database.run(work)
    finally:
        await database.close()
