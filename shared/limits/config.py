"""Rate limits in force: what Postgres overrides, over the documented defaults.

An override of a tenant on a channel holds for each of its senders too, unless the sender has its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from shared.store import limit_overrides
from shared.store.database import AsyncConnection
from shared.store.limit_rows import Scope


@dataclass(frozen=True, slots=True)
class RateLimitConfig:
    """The most units of cost in any minute, hour and day; `concurrent` the most sends at once, None: any."""

    minute: int
    hour: int
    day: int
    concurrent: int | None = None

    def overridden(self, limits: Mapping[str, int]) -> "RateLimitConfig":
        """These limits, but for those that are named."""
        return replace(self, **limits)


MAX_LIMIT = 1_000_000_000
"""The most that a limit may be set to."""

DEFAULTS: Mapping[str, RateLimitConfig] = {
    "email": RateLimitConfig(minute=20, hour=1_000, day=10_000),
    "sms": RateLimitConfig(minute=10, hour=500, day=5_000),
}
"""What holds for every tenant, and for every sender, of a channel without an override."""


async def get_rate_limit_config(
    connection: AsyncConnection, tenant: UUID, channel: str, sender: UUID | None = None
) -> RateLimitConfig:
    """The limits of a tenant on a channel, or of one of its senders."""
    overrides = {
        row.sender_id: row.limits
        for row in await limit_overrides.read(connection, tenant)
        if row.channel == channel
    }
    return in_force(channel, overrides, sender)


def in_force(
    channel: str, overrides: Mapping[UUID | None, Mapping[str, int]], sender: UUID | None = None
) -> RateLimitConfig:
    """The limits that a tenant's overrides on a channel (under None: its own) leave in force."""
    tenant = overrides.get(None, {})
    config = DEFAULTS[channel].overridden(tenant)
    if sender is None:
        return config
    # What the tenant may do at once is shared by its senders: it is no cap of each.
    return replace(config, concurrent=None).overridden(overrides.get(sender, {}))


def subject_of(scope: Scope) -> str:
    """What the engine charges for a tenant's channel, or for one of its senders: that sender's lane."""
    channel = f"{scope.tenant_id}/{scope.channel}"
    return channel if scope.sender_id is None else f"{channel}/{scope.sender_id}"
