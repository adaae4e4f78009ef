"""One event of a webhook on its way into the store: whose it is, and what it means. No I/O."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from urllib.parse import parse_qsl
from uuid import UUID

from shared.campaigns import suppression
from shared.campaigns.compiled import Compiled
from shared.campaigns.suppression import Change
from shared.campaigns.transitions import Move
from shared.providers import PROVIDERS
from shared.providers.base import Automated, BounceClass, Channel, EventType, ProviderEvent
from shared.store.deliveries_work import Delivery
from shared.store.events import DELIVERY_STATUSES, Match, NewEvent, Proof, Reference
from shared.store.ids import uuid7
from shared.store.suppressions import Told

# What comes from the recipient, or without a message, says nothing about whether a message went through.
_SAY_NOTHING = {EventType.INBOUND, EventType.OPT_OUT, EventType.OPT_IN, EventType.UNKNOWN}
# What can come without any id, or only with one that nobody knows.
_BY_ADDRESS = {
    EventType.BOUNCE,
    EventType.DROPPED,
    EventType.SPAM_REPORT,
    EventType.UNSUBSCRIBE,
    EventType.GROUP_UNSUBSCRIBE,
    EventType.OPT_OUT,
}
_RANKS = {status: rank for rank, status in enumerate(DELIVERY_STATUSES)}


@dataclass(eq=False)
class Item:
    """An event of a delivery; `match` is the send it belongs to, once that is known."""

    delivery: Delivery
    channel: Channel
    event: ProviderEvent
    id: UUID
    match: Match | None = None

    @cached_property
    def occurred_at(self) -> datetime:
        """The provider's time; ours where it tells none."""
        return self.event.occurred_at or self.delivery.received_at

    @cached_property
    def recipient(self) -> str | None:
        """The address as it is stored and compared."""
        told = self.event.recipient
        return suppression.normalized(self.channel, told) if told else None

    @cached_property
    def reference(self) -> Reference:
        """What it says about whose it is."""
        event = self.event
        return Reference(
            tenant_id=self.delivery.tenant_id,
            channel=self.channel,
            action_id=event.action_id,
            message_id=None if event.type is EventType.OPT_OUT else event.message_id,
            smtp_id=event.smtp_id,
            recipient=self.recipient if event.type in _BY_ADDRESS else None,
            at=self.occurred_at,
        )

    def may_match_later(self) -> bool:
        """Whether what it belongs to may be known soon: our own id is known before a message goes out."""
        if self.match or self.event.type in _SAY_NOTHING or self.event.action_id:
            return False
        return bool(self.event.message_id or self.event.smtp_id or self.reference.recipient)

    def move(self, graph: Compiled) -> Move | None:
        """What it does to its visit, if it could do anything there."""
        match, event = self.match, self.event
        if match is None or (event.type is EventType.BOUNCE and event.bounce_class is BounceClass.SOFT):
            return None
        automated = event.automated is not Automated.NONE
        if not graph.listens(match.node_id, event.type, automated):
            return None
        return Move(
            tenant_id=self.delivery.tenant_id,
            visit_id=match.visit_id,
            on=event.type.value,
            occurred_at=self.occurred_at,
            automated=automated,
            event_id=self.id,
            reason=event.bounce_class or event.drop_reason,
        )

    def suppresses(self) -> tuple[Change, Told] | None:
        """What it does to the suppressions of its address, whoever it belongs to."""
        change, delivery = suppression.change(self.event), self.delivery
        if change is None or not self.recipient:
            return None
        return change, Told(
            tenant_id=delivery.tenant_id,
            id=uuid7(),
            channel=self.channel,
            address=self.recipient,
            scope=change.scope,
            reason=change.reason,
            event_id=self.id,
            at=min(self.occurred_at, delivery.received_at),
            contrary=change.contrary,
            group_id=self.event.group_id,
        )

    def delivery_status(self) -> str:
        """What it says of the message: who opens a message has it."""
        return self.event.type if self.event.type in _RANKS else "delivered"

    def proves(self) -> bool:
        """Whether it tells anything new of the send; what is known only rises since it was read."""
        match = self.match
        if match is None or not match.sure or self.event.type in _SAY_NOTHING:
            return False
        return (
            match.status != "accepted"
            or match.message_id is None
            or _rank(match.delivery_status) < _rank(self.delivery_status())
        )

    def row(self) -> NewEvent:
        """The row of `events`."""
        event, match = self.event, self.match
        return NewEvent(
            tenant_id=self.delivery.tenant_id,
            id=self.id,
            type=event.type.value,
            occurred_at=self.occurred_at,
            received_at=self.delivery.received_at,
            natural_key=event.natural_key,
            automated=event.automated.value,
            provider=self.delivery.provider,
            provider_event_id=event.provider_event_id,
            delivery_id=self.delivery.id,
            action_id=match.action_id if match else None,
            message_id=event.message_id,
            smtp_id=event.smtp_id,
            recipient=self.recipient,
            url=event.url,
            reason=event.reason,
            bounce_class=event.bounce_class,
            group_id=event.group_id,
            effect="none" if match else "unmatched",
            raw=json.dumps(event.raw) if event.raw is not None else None,
        )


def read(delivery: Delivery) -> list[Item]:
    """The events of a stored body, in its order; raises UnknownProvider."""
    provider = PROVIDERS[delivery.provider]
    found = provider.normalize(delivery.body, delivery.headers, dict(parse_qsl(delivery.query)))
    channel: Channel = "email" if "email" in provider.channels else "sms"
    return [Item(delivery, channel, event, uuid7()) for event in found]


def match_among(items: Sequence[Item]) -> None:
    """Match by smtp-id with the events of the same set, which are not stored yet."""
    known = {
        (item.delivery.tenant_id, item.event.smtp_id): item.match
        for item in items
        if item.match and item.event.smtp_id
    }
    for item in items:
        if item.event.smtp_id and not (item.match and item.match.sure):
            item.match = known.get((item.delivery.tenant_id, item.event.smtp_id)) or item.match


def proofs(items: Iterable[Item]) -> list[Proof]:
    """What events prove together, one a send: the first time, the highest status."""
    found: dict[UUID, Proof] = {}
    for item in items:
        if item.match is None or not item.proves():
            continue
        known = found.get(item.match.action_id)
        status, at, message_id = item.delivery_status(), item.occurred_at, item.event.message_id
        if known is not None:
            status = max(status, known.delivery_status or "", key=_rank)
            at, message_id = min(at, known.at), known.message_id or message_id
        found[item.match.action_id] = Proof(
            item.delivery.tenant_id, item.match.action_id, at, message_id, status
        )
    return list(found.values())


def _rank(status: str | None) -> int:
    return _RANKS.get(status or "", -1)
