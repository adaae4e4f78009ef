"""The webhook worker's settings."""

from pydantic import Field

from shared.settings import (
    ServiceSettings,
    TimeoutSettings,
    WebhookSettings,
)


class WebhookWorkerSettings(ServiceSettings):
    """The parts it shares with others; how bodies are worked on is `WEBHOOK_…`."""

    webhooks: WebhookSettings = Field(default_factory=WebhookSettings)
    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)
