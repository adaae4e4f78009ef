"""Dispatch's settings."""

from pydantic import Field

from shared.settings import (
    DispatchSettings,
    LimitSettings,
    ScalingSettings,
    SendSettings,
    ServiceSettings,
    TimeoutSettings,
)


class DispatcherSettings(ServiceSettings):
    """The parts it shares with others; how rows are dispatched and swept is `DISPATCH_…`."""

    limits: LimitSettings = Field(default_factory=LimitSettings)
    dispatch: DispatchSettings = Field(default_factory=DispatchSettings)
    send: SendSettings = Field(default_factory=SendSettings)
    scaling: ScalingSettings = Field(default_factory=ScalingSettings)
    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)
