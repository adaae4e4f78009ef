"""The send worker's settings."""

from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings import (
    DatabaseSettings,
    EngineSettings,
    LogSettings,
    PrivateSettings,
    PublicSettings,
    RedisSettings,
    SendSettings,
    TimeoutSettings,
)


class SendWorkerSettings(BaseSettings):
    """The parts it shares with others; how a send is tried is `SEND_…`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    redis: RedisSettings = Field(default_factory=RedisSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    engine: EngineSettings = Field(default_factory=EngineSettings)
    send: SendSettings = Field(default_factory=SendSettings)
    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)
    public: PublicSettings = Field(default_factory=PublicSettings)
    private: PrivateSettings = Field(default_factory=PrivateSettings)
    log: LogSettings = Field(default_factory=LogSettings)

    @model_validator(mode="after")
    def _call_ends_within_lease(self) -> Self:
        if self.send.provider_timeout + self.send.charge_slack >= self.engine.lease:
            raise ValueError("SEND_PROVIDER_TIMEOUT and SEND_CHARGE_SLACK must fit into QUEUE_LEASE.")
        return self
