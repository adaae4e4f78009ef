"""Table partitions: made days ahead, and dropped when what is in them is past its time."""

from datetime import timedelta

import structlog

from shared.loop import Loop
from shared.settings import DispatchSettings
from shared.store import partitions
from shared.store.database import AsyncConnection, Database

log = structlog.get_logger()

_EVERY = timedelta(hours=1)
_AT_ONCE = 1000  # bodies of up to 1 MiB


def housekeeping(database: Database, settings: DispatchSettings) -> Loop:
    """The loop that does it; attempts are history that a person reads, and stay."""

    async def work(tx: AsyncConnection) -> list[str]:
        await partitions.ensure_partitions(tx, settings.partitions_ahead)
        return await partitions.drop_partitions(tx, "deliveries", settings.keep_deliveries)

    async def old(tx: AsyncConnection) -> int:
        return await partitions.empty_default(tx, "deliveries", settings.keep_deliveries, _AT_ONCE)

    async def step() -> bool:
        dropped = await database.run(work)
        if dropped:
            log.info("partitions.dropped", names=dropped)
        return await database.run(old) == _AT_ONCE

    return Loop("dispatch.housekeeping", step, every=_EVERY)
