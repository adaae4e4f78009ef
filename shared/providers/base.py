"""What a provider is: the messages it takes, the outcomes it gives, the events its webhooks become.

The vocabulary of events is channel-neutral; a provider's file maps its own terms onto it on entry and keeps
the provider's time. A provider is one module of this room with the functions of `Provider`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, Protocol, runtime_checkable
from uuid import UUID

import httpx

Channel = Literal["email", "sms"]

ACTION_ARGUMENT = "outreach_action"
"""The custom argument that carries our action id through an email provider and back."""

ACTION_QUERY = "sa"
"""The query parameter of a callback URL that carries our action id through an SMS provider and back."""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One rendered message to one recipient.

    An email has a subject and text, html or both; an SMS has text. `headers` are the mail's own
    (List-Unsubscribe and the like). `callback_url` is where the provider reports, for providers that are told
    per message; the action id is added to it. `custom_args` travel through the provider and must be opaque:
    SendGrid stores them as no personal data and cannot redact them.
    """

    action_id: UUID
    channel: Channel
    sender_address: str
    sender_name: str
    recipient: str
    subject: str
    text: str | None
    html: str | None
    headers: Mapping[str, str]
    callback_url: str | None
    custom_args: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """Whose account sends. `base_url` replaces the provider's own address, without a slash at its end."""

    provider: str
    credentials: Mapping[str, str]
    base_url: str | None = None

    def __repr__(self) -> str:
        return f"ProviderAccount(provider={self.provider!r}, base_url={self.base_url!r})"


class Outcome(StrEnum):
    """What became of a send (design §7.4), by what may be done next."""

    ACCEPTED = "accepted"
    """The provider has the message."""
    REJECTED = "rejected"
    """The provider will never take this message: the failed edge."""
    SENDER_CLOSED = "sender_closed"
    """The account or its settings are refused: no message of this sender would pass."""
    RATE_LIMITED = "rate_limited"
    """Not taken, and nothing will be until a time."""
    NOT_TAKEN = "not_taken"
    """The provider said that it did not take the message: an ordinary retry."""
    NOT_CONNECTED = "not_connected"
    """The provider never had the whole request: an ordinary retry."""
    UNKNOWN = "unknown"
    """It may have been taken: never a blind retry."""


@dataclass(frozen=True, slots=True)
class SendOutcome:
    """How a send ended; `message_id` comes with `accepted`, `until` with `rate_limited`."""

    kind: Outcome
    message_id: str | None = None
    reason: str = ""
    until: datetime | None = None


class EventType(StrEnum):
    """The one vocabulary of events, synthetic ones included."""

    ACCEPTED = "accepted"
    PROCESSED = "processed"
    DELIVERED = "delivered"
    DEFERRED = "deferred"
    BOUNCE = "bounce"
    DROPPED = "dropped"
    OPEN = "open"
    CLICK = "click"
    SPAM_REPORT = "spam_report"
    UNSUBSCRIBE = "unsubscribe"
    GROUP_UNSUBSCRIBE = "group_unsubscribe"
    GROUP_RESUBSCRIBE = "group_resubscribe"
    SENT = "sent"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    INBOUND = "inbound"
    OPT_OUT = "opt_out"
    OPT_IN = "opt_in"
    NO_OPEN = "no_open"
    NO_CLICK = "no_click"
    UNKNOWN = "unknown"


class BounceClass(StrEnum):
    """Why a message came back: the address is dead, a passing trouble, or the sender is refused."""

    HARD = "hard"
    SOFT = "soft"
    BLOCK = "block"


class DropReason(StrEnum):
    """Why a provider did not try: django-anymail's words."""

    INVALID = "invalid"
    BOUNCED = "bounced"
    SPAM = "spam"
    UNSUBSCRIBED = "unsubscribed"
    OTHER = "other"


class Automated(StrEnum):
    """Whether a machine did it: Apple's mail privacy protection, or a security scanner."""

    NONE = "none"
    MPP = "mpp"
    SCANNER = "scanner"


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """One event of a webhook in our words.

    `occurred_at` is the provider's time; None where it tells none, and the time of receipt stands in.
    `natural_key` (16 bytes) names the event by what it says, so a copy under a new provider event id has the
    same one. `recipient` is who received the message, or who wrote, as the provider spells it. `raw` is kept
    where this event does not say it all: unknown and inbound ones. No text holds what Postgres cannot store.
    """

    type: EventType
    natural_key: bytes
    occurred_at: datetime | None = None
    provider_event_id: str | None = None
    message_id: str | None = None
    smtp_id: str | None = None
    action_id: UUID | None = None
    recipient: str | None = None
    bounce_class: BounceClass | None = None
    drop_reason: DropReason | None = None
    automated: Automated = Automated.NONE
    url: str | None = None
    reason: str | None = None
    group_id: str | None = None
    raw: dict[str, Any] | None = None


@runtime_checkable
class Provider(Protocol):
    """What every provider's module offers. Nothing here raises for what a stranger or a server sends."""

    @property
    def name(self) -> str:
        """The word that accounts, senders and webhook endpoints name it by."""

    @property
    def channels(self) -> frozenset[Channel]:
        """What it sends."""

    async def send(
        self,
        client: httpx.AsyncClient,
        account: ProviderAccount,
        message: OutgoingMessage,
        timeout: timedelta,
    ) -> SendOutcome:
        """Hand the message over once, with no retry of its own; the whole call ends within `timeout`.

        Only cancellation leaves it by an exception, and then nothing is known of the message.
        """

    def authenticate(self, headers: Mapping[str, str], body: bytes, url: str, keys: Sequence[str]) -> bool:
        """Whether one of `keys` (two during a rotation) signed this request.

        `headers` have lower-case names; `body` is as it came; `url` is the public one, query as sent.
        """

    def check_shape(self, body: bytes) -> None:
        """Refuse by ValueError a body that is no webhook of this provider at all."""

    def normalize(
        self, body: bytes, headers: Mapping[str, str], query: Mapping[str, str]
    ) -> list[ProviderEvent]:
        """The events of a webhook, in its order; an item that makes no sense is `unknown`, never an error."""
