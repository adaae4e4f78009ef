"""The gateway's settings."""

from datetime import timedelta

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.settings import (
    PublicSettings,
    ServiceSettings,
    TimeoutSettings,
    WebhookSettings,
)


class GatewaySettings(ServiceSettings):
    """Where it listens, and how much it takes at once; the rest are parts that it shares with others."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="GATEWAY_")

    host: str = "0.0.0.0"
    port: int = 8080
    connections: int = Field(default=2000, ge=1)
    """Beyond so many, requests are answered 503: each may hold a body in memory."""
    max_bytes: int = 4 * 1024 * 1024
    """The largest body of an API call; that of a webhook is `WEBHOOK_MAX_BYTES`."""
    read_timeout: timedelta = timedelta(seconds=20)
    """How long a request's head may take to come, and then its body."""
    webhook_lanes: int = Field(default=4, ge=1)
    """How many inserts of webhook bodies run side by side, each for all who wait at its start."""
    believe: timedelta = timedelta(seconds=2)
    """How long an API key or a webhook key is believed to be as it was when last looked up."""
    beat: timedelta = timedelta(seconds=5)
    announced_ahead: int = Field(default=10_000, ge=1)
    """How many stored posts may wait to be told to the queue; the sweeper finds those beyond."""
    development: bool = False
    """Accept provider accounts that a tenant could misuse: mailboxes, and any `baseUrl`."""

    public: PublicSettings = Field(default_factory=PublicSettings)
    webhooks: WebhookSettings = Field(default_factory=WebhookSettings)
    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)
