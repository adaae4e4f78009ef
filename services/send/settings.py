"""The send worker's settings."""

from typing import Self

from pydantic import Field, model_validator

from shared.settings import (
    PublicSettings,
    SendSettings,
    ServiceSettings,
    TimeoutSettings,
)


class SendWorkerSettings(ServiceSettings):
    """The parts it shares with others; how a send is tried is `SEND_…`."""

    send: SendSettings = Field(default_factory=SendSettings)
    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)
    public: PublicSettings = Field(default_factory=PublicSettings)

    @model_validator(mode="after")
    def _call_ends_within_lease(self) -> Self:
        if self.send.provider_timeout + self.send.charge_slack >= self.engine.lease:
            raise ValueError("SEND_PROVIDER_TIMEOUT and SEND_CHARGE_SLACK must fit into QUEUE_LEASE.")
        return self
