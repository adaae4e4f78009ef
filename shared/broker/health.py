"""Whether a worker works, as its readiness says it."""

import time
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(slots=True)
class Health:
    """Ready means: a round trip to Redis succeeded lately, no partition is closed, and nothing drains.

    `answered_at` is this process's monotonic clock, in seconds, at the last claim or settlement, or the last
    renewal of leases where every slot is taken.
    """

    answered_at: float = float("-inf")
    closed: set[int] = field(default_factory=set)
    draining: bool = False

    def answered(self) -> None:
        """Redis did what it was asked."""
        self.answered_at = time.monotonic()

    def ready(self, within: timedelta) -> bool:
        """Whether work can be expected to start here."""
        fresh = time.monotonic() - self.answered_at <= within.total_seconds()
        return fresh and not self.closed and not self.draining
