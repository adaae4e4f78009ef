"""How the queues stand, for `outreach queues`."""

from datetime import datetime
from typing import Any

from services.cli.shell import servers
from shared.queue.queue import Queue
from shared.store import pauses
from shared.store.pauses import Pause

EVERY = "every queue"
"""What a pause of no queue in particular holds."""


async def depths() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """How every partition of every queue stands; and the pauses in force."""
    async with servers() as (database, queues):
        paused = await database.run(pauses.listed)
        rows = [
            await _depth(queue, partition, [pause for pause, *_ in paused])
            for queue in queues.values()
            for partition in range(queue.partitions)
        ]
    return rows, [_shown(*each) for each in paused]


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
    return {"paused": pause.queue or EVERY, "tenant": tenant, "since": at, "reason": reason}
