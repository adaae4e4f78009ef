"""What became of a delivery and of each event in it, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.admin.words import moment
from shared.jobs import job_id
from shared.providers.base import ProviderEvent
from shared.settings import WebhookSettings
from shared.store.database import Row

_EFFECTS = {
    "none": "kept; it moved nobody",
    "moved": "it moved its contact on",
    "late": "it came late: kept, and moved nobody",
    "unmatched": "kept, and matches no send",
}
_NOT_KEPT = {
    "received": "not looked at yet",
    "processing": "being looked at",
    "parked": "not kept yet: it matches no send",
    "failed": "not kept: the delivery failed",
    "processed": "not kept",
}
_STATES = {
    "received": "It waits for a webhook worker. If its job is lost, dispatch enqueues it anew.",
    "processing": "A webhook worker has it. If that worker is lost, dispatch enqueues it anew.",
    "processed": "Its events are kept.",
    "failed": "It stays stored, and can be replayed once what it failed of is mended.",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """An event of a delivery, what came of it, the job of its send and the delivery that brought it first."""

    event: ProviderEvent
    words: str
    known: Row[Any] | None
    send: str | None
    elsewhere: UUID | None


def outcomes(
    delivery: Row[Any], events: Sequence[ProviderEvent], known: Mapping[bytes, Row[Any]]
) -> list[Outcome]:
    """What came of the events, in their order."""
    return [_outcome(delivery, event, known.get(event.natural_key)) for event in events]


def _outcome(delivery: Row[Any], event: ProviderEvent, row: Row[Any] | None) -> Outcome:
    if row is None:
        return Outcome(event, _NOT_KEPT[delivery.state], None, None, None)
    send = job_id("send", row.action_id, row.g) if row.g is not None else None
    elsewhere = row.delivery_id if row.delivery_id != delivery.id else None
    return Outcome(event, _EFFECTS[row.effect], row, send, elsewhere)


def standing(delivery: Row[Any], settings: WebhookSettings) -> str:
    """Why a delivery is in its state, and until when."""
    if delivery.state != "parked":
        return _STATES[delivery.state]
    left = max(settings.park_attempts - delivery.tries, 0)
    last = (delivery.retry_at or delivery.state_at) + left * settings.park_for
    return (
        f"It holds events that match no send yet. {next_look(delivery, settings)}; what still matches none"
        f" at the last, about {moment(last)}, is kept as unmatched."
    )


def next_look(delivery: Row[Any], settings: WebhookSettings) -> str:
    """When a parked delivery is looked at again."""
    at = moment(delivery.retry_at or delivery.state_at)
    return f"It is looked at again {at}, time {delivery.tries} of {settings.park_attempts}"
