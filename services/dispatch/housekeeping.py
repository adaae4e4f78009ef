"""Table partitions: made days ahead, and dropped when what is in them is past its time."""

from datetime import timedelta

import structlog

from shared.loop import Loop
from shared.settings import DispatchSettings
from shared.store import partitions
from shared.store.database import AsyncConnection, Database

log = structlog.get_logger()

_EVERY = timedelta(hours=1)


def housekeeping(database: Database, settings: DispatchSettings) -> Loop:
    """The loop that does it; attempts are history that a person reads, and stay."""

    async def work(tx: AsyncConnection) -> list[str]:
        await partitions.ensure_partitions(tx, settings.partitions_ahead)
        return await partitions.drop_partitions(tx, "deliveries", settings.keep_deliveries)

    async def step() -> None:
        dropped = await database.run(work)
        if dropped:
            log.info("partitions.dropped", names=dropped)

    return Loop("dispatch.housekeeping", step, every=_EVERY)
