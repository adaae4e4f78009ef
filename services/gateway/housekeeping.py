"""Removes what is past its time of what the gateway keeps: answers to repeat, digests of webhook bodies."""

from datetime import timedelta

from shared.loop import Loop
from shared.store import deliveries, idempotency_keys
from shared.store.database import AsyncConnection, Database

_EVERY = timedelta(minutes=1)
_MOST = 1000  # a transaction stays short


def housekeeping(database: Database) -> Loop:
    """The loop that does it, some rows at a time."""

    async def some(connection: AsyncConnection) -> bool:
        keys = await idempotency_keys.forget(connection, _MOST)
        digests = await deliveries.forget(connection, _MOST)
        return max(keys, digests) == _MOST

    async def step() -> bool:
        return await database.run(some)

    return Loop("gateway.housekeeping", step, every=_EVERY)
