"""The timeout worker's settings."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings import (
    DatabaseSettings,
    EngineSettings,
    LogSettings,
    PrivateSettings,
    RedisSettings,
    TimeoutSettings,
)


class TimeoutWorkerSettings(BaseSettings):
    """The parts it shares with others; when a timeout fires is `TIMEOUT_…`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    redis: RedisSettings = Field(default_factory=RedisSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    engine: EngineSettings = Field(default_factory=EngineSettings)
    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)
    private: PrivateSettings = Field(default_factory=PrivateSettings)
    log: LogSettings = Field(default_factory=LogSettings)
