"""The simulator's one configuration file."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Behaviour(StrEnum):
    """What becomes of a message; openers, clickers and complainers get it delivered first."""

    OPEN = "open"
    CLICK = "click"
    BOUNCE = "bounce"
    COMPLAIN = "complain"
    SILENT = "silent"
    REFUSED = "refused"
    """SendGrid answers 400: it does not accept the address."""


class Fault(StrEnum):
    """How a request can go wrong that is right in itself."""

    RATE_LIMITED = "429"
    SERVER_ERROR = "5xx"
    """500 or 502; every other time the message was taken all the same."""
    CUT_BEFORE = "cut_before"
    """The connection is reset before its request is written: nothing was taken."""
    CUT_AFTER = "cut_after"
    """The message is taken, the connection closed without an answer."""


class Frozen(BaseModel):
    """A part of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Account(Frozen):
    """Whose mail is taken, and where the events of it go, signed with a P-256 key (PEM)."""

    api_key: str
    url: str
    private_key: str


class FaultRate(Frozen):
    """How often a fault happens: a share of the requests, and at least so many times."""

    rate: Annotated[float, Field(ge=0, le=1)] = 0
    at_least: Annotated[int, Field(ge=0)] = 0


class Timing(Frozen):
    """When recipients act, counted from the taking of a message, and when their events are posted."""

    reply_after_seconds: float = 0.2
    reply_within_seconds: float = 2
    """Keep it below the campaign's wait by two batches, so that in-time opens arrive before their timeout."""
    wait_seconds: float = 5
    """The campaign's no_open wait."""
    grace_seconds: float = 2
    late_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    """How many of the opens and clicks are posted in the grace; the first one always is."""
    again_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    """How many of the posts are made again under new event ids; the first one always is."""
    batch_seconds: float = 0.3
    rate_limit_seconds: float = 2
    """How far ahead a 429 puts its reset."""


class Config(Frozen):
    """All of it. The same seed gives a recipient of a node the same behaviour, delays and faults."""

    port: int = 0
    log: Path
    seed: int
    control_token: str
    accounts: list[Account]
    weights: dict[Behaviour, float]
    recipients: dict[str, Behaviour] = {}
    """Those whose behaviour is settled, whatever the seed."""
    faults: dict[Fault, FaultRate] = {}
    timing: Timing = Timing()
