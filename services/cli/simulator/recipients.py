"""What recipients do with their mail, and when SendGrid hears and tells of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

from services.cli.simulator.config import Account, Behaviour, Config
from services.cli.simulator.mail import Message

BROWSER = {"useragent": "Mozilla/5.0", "ip": "203.0.113.9"}
DETAILS: dict[str, dict[str, Any]] = {
    "processed": {},
    "delivered": {"response": "250 2.0.0 OK", "tls": 1, "ip": "198.51.100.7"},
    "bounce": {
        "type": "bounce",
        "status": "5.1.1",
        "reason": "550 5.1.1 The email account does not exist",
        "bounce_classification": "Invalid Address",
        "tls": 1,
    },
    "open": {**BROWSER, "sg_machine_open": False, "sg_content_type": "html"},
    "click": {**BROWSER, "url": "https://example.com/", "url_offset": {"index": 0, "type": "html"}},
    "spamreport": {},
}
"""Each event's own fields, as SendGrid's Event Webhook documents them."""

WITH_SMTP_ID = frozenset({"processed", "delivered", "bounce"})
REPLIES = {
    Behaviour.OPEN: ("delivered", "open"),
    Behaviour.CLICK: ("delivered", "open", "click"),
    Behaviour.BOUNCE: ("bounce",),
    Behaviour.COMPLAIN: ("delivered", "spamreport"),
    Behaviour.SILENT: ("delivered",),
    Behaviour.REFUSED: (),
}


class Kind(StrEnum):
    """How an event comes to be posted."""

    FIRST = "first"
    LATE = "late"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a message, to be posted at a time; `fields` lack only the event's id."""

    account: Account
    message: Message
    message_id: str
    kind: Kind
    happens_at: float
    posts_at: float
    fields: dict[str, Any]


class Recipients:
    """Everybody who gets mail; a recipient of a node behaves by the seed alone."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._behaviours = list(config.weights)
        self._weights = list(config.weights.values())
        self._somebody_was_late = False

    def behaviour(self, message: Message) -> Behaviour:
        """What this recipient does with this node's mail."""
        return self._draw(message)[0]

    def replies(self, account: Account, message: Message, message_id: str, taken_at: float) -> list[Event]:
        """All that will happen to a message taken at a time (seconds since the epoch), in that order."""
        behaviour, random = self._draw(message)
        late = self._is_late(behaviour, random)
        events = []
        for name, after in self._happenings(behaviour, random):
            kind = Kind.LATE if late and name in ("open", "click") else Kind.FIRST
            happens_at, posts_at = taken_at + after, taken_at + self._posted(kind, after, random)
            fields = _fields(name, message, message_id, happens_at)
            events.append(Event(account, message, message_id, kind, happens_at, posts_at, fields))
        return events

    def _happenings(self, behaviour: Behaviour, random: Random) -> Iterator[tuple[str, float]]:
        timing = self._config.timing
        after = random.uniform(0, timing.reply_after_seconds)
        yield "processed", after
        for name in REPLIES[behaviour]:
            after = random.uniform(max(after, timing.reply_after_seconds), timing.reply_within_seconds)
            yield name, after

    def _posted(self, kind: Kind, after: float, random: Random) -> float:
        timing = self._config.timing
        if kind is Kind.LATE:
            return timing.wait_seconds + random.uniform(0.2, 0.6) * timing.grace_seconds
        # A delay of up to two batches puts some events behind those that happened after them.
        return after + random.uniform(0, 2) * timing.batch_seconds

    def _draw(self, message: Message) -> tuple[Behaviour, Random]:
        random = Random(f"{self._config.seed}:{message.recipient}:{message.node}")
        drawn = random.choices(self._behaviours, self._weights)[0]
        return self._config.recipients.get(message.recipient, drawn), random

    def _is_late(self, behaviour: Behaviour, random: Random) -> bool:
        if behaviour not in (Behaviour.OPEN, Behaviour.CLICK):
            return False
        late = random.random() < self._config.timing.late_share or not self._somebody_was_late
        self._somebody_was_late = True
        return late


def _fields(name: str, message: Message, message_id: str, happens_at: float) -> dict[str, Any]:
    fields: dict[str, Any] = {
        **message.arguments,
        "email": message.recipient,
        "event": name,
        "timestamp": int(happens_at),
        "sg_message_id": f"{message_id}.recvd-simulator-1.0",
    }
    if name in WITH_SMTP_ID:
        fields["smtp-id"] = f"<{message_id}@geopod-ismtpd-1>"
    if message.categories:
        fields["category"] = list(message.categories)
    return fields | DETAILS[name]
