"""The webhook worker's settings."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings import (
    DatabaseSettings,
    EngineSettings,
    LogSettings,
    PrivateSettings,
    RedisSettings,
    TimeoutSettings,
    WebhookSettings,
)


class WebhookWorkerSettings(BaseSettings):
    """The parts it shares with others; how bodies are worked on is `WEBHOOK_…`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    redis: RedisSettings = Field(default_factory=RedisSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    engine: EngineSettings = Field(default_factory=EngineSettings)
    webhooks: WebhookSettings = Field(default_factory=WebhookSettings)
    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)
    private: PrivateSettings = Field(default_factory=PrivateSettings)
    log: LogSettings = Field(default_factory=LogSettings)
