"""How many test sends a tenant may make: they pass its campaigns' limits by, so they have their own."""

import asyncio
from datetime import timedelta
from uuid import UUID

from services.gateway.problems import Refused
from shared.limits.limiter import RateLimiter
from shared.loop import AWAY

MOST = 20
WINDOW = timedelta(minutes=1)
_WITHIN = timedelta(seconds=5)


class Trials:
    """Counts them in Redis."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter

    async def admit(self, tenant_id: UUID) -> None:
        """Count one. Raises Refused: there were too many, or Redis cannot be asked."""
        try:
            async with asyncio.timeout(_WITHIN.total_seconds()):
                decision = await self._limiter.check(f"trials:{tenant_id}", MOST, WINDOW)
        except AWAY as error:
            raise Refused(503, "Redis, which counts test sends, is away: try again later.") from error
        if not decision.allowed:
            raise Refused(429, f"No more than {MOST} test sends a minute: try again later.")
