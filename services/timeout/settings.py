"""The timeout worker's settings."""

from pydantic import Field

from shared.settings import (
    ServiceSettings,
    TimeoutSettings,
)


class TimeoutWorkerSettings(ServiceSettings):
    """The parts it shares with others; when a timeout fires is `TIMEOUT_…`."""

    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)
