"""Dispatch's settings."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings import (
    DatabaseSettings,
    DispatchSettings,
    EngineSettings,
    LimitSettings,
    LogSettings,
    PrivateSettings,
    RedisSettings,
    SendSettings,
    TimeoutSettings,
)


class DispatcherSettings(BaseSettings):
    """The parts it shares with others; how rows are dispatched and swept is `DISPATCH_…`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    redis: RedisSettings = Field(default_factory=RedisSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    engine: EngineSettings = Field(default_factory=EngineSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    dispatch: DispatchSettings = Field(default_factory=DispatchSettings)
    send: SendSettings = Field(default_factory=SendSettings)
    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)
    private: PrivateSettings = Field(default_factory=PrivateSettings)
    log: LogSettings = Field(default_factory=LogSettings)
