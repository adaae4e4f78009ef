"""How many test sends a tenant may make: they pass its campaigns' limits by, so they have their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from services.gateway.problems import Refused
from shared.limits.limiter import RateLimiter
from shared.loop import AWAY

MOST = 20
AT_ONCE = 3
"""Of all tenants together: each keeps a transaction open while its provider takes its time."""
WINDOW = timedelta(minutes=1)
_WITHIN = timedelta(seconds=5)


class Trials:
    """Counts them: those of a minute in Redis, those that run now here."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self._running = 0

    @asynccontextmanager
    async def admitted(self, tenant_id: UUID) -> AsyncIterator[None]:
        """Count one, which runs as long as the block.

        Raises Refused: there were too many, too many run now, or Redis cannot be asked.
        """
        if self._running >= AT_ONCE:
            raise Refused(429, "Other test sends still wait for their provider: try again later.")
        self._running += 1
        try:
            await self._count(tenant_id)
            yield
        finally:
            self._running -= 1

    async def _count(self, tenant_id: UUID) -> None:
        try:
            async with asyncio.timeout(_WITHIN.total_seconds()):
                decision = await self._limiter.check(f"trials:{tenant_id}", MOST, WINDOW)
        except AWAY as error:
            raise Refused(503, "Redis, which counts test sends, is away: try again later.") from error
        if not decision.allowed:
            raise Refused(429, f"No more than {MOST} test sends a minute: try again later.")
