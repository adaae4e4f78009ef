"""What a provider's answer means for the row, the charge and the sender (design §7.4). Pure."""

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from shared.providers.base import Outcome, SendOutcome
from shared.settings import SendSettings
from shared.store.closures import Closure
from shared.store.database import Row
from shared.store.sends import Record

NOT_BEGUN = "not_begun"
"""The outcome of an attempt whose request came too late to begin under its charge."""

_SOON = timedelta(milliseconds=200)
_AGAIN = (Outcome.NOT_TAKEN, Outcome.NOT_CONNECTED)
_STATUS = {
    Outcome.ACCEPTED: "accepted",
    Outcome.REJECTED: "failed",
    Outcome.UNKNOWN: "unknown",
}

ENDS = (
    *((kind.value, status) for kind, status in _STATUS.items()),
    *((kind.value, status) for kind in _AGAIN for status in ("pending", "failed")),
    *((kind.value, "pending") for kind in (Outcome.RATE_LIMITED, Outcome.SENDER_CLOSED)),
    (NOT_BEGUN, "pending"),
)
"""Every outcome, with what the row then is."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What to write, and the closure that goes with it; `ambiguous` None says nothing of the sender."""

    row: Row[Any]
    record: Record
    closure: Closure | None = None
    ambiguous: bool | None = None


def not_begun(row: Row[Any]) -> Ending:
    """The charge was too old to begin: the row goes back, no try used, the charge given back."""
    return Ending(row, _record(row, "pending", NOT_BEGUN, None, delay=_SOON, given_back=True))


def ending(row: Row[Any], outcome: SendOutcome, settings: SendSettings) -> Ending:
    """What came of a submission."""
    kind = outcome.kind
    if kind in _STATUS:
        record = _record(row, _STATUS[kind], kind, outcome.reason or None, message_id=outcome.message_id)
        return Ending(row, record, ambiguous=kind is Outcome.UNKNOWN)
    if kind is Outcome.RATE_LIMITED:
        record = _record(row, "pending", kind, outcome.reason, due_at=outcome.until)
        return Ending(row, record, _closure(row, kind, outcome), ambiguous=False)
    if kind is Outcome.SENDER_CLOSED:
        # Looked at again soon: the check says `closed`, and whoever reopens the sender wakes the row.
        record = _record(row, "pending", kind, outcome.reason)
        return Ending(row, record, _closure(row, "unauthorized", outcome))
    definite = False if kind is Outcome.NOT_TAKEN else None
    return Ending(row, _retry(row, outcome, settings), ambiguous=definite)


def told(ending: Ending) -> str:
    """A line for the log of its job. The reason stays with the row: a provider may quote an address."""
    record = ending.record
    until = f" until {record.due_at:%Y-%m-%d %H:%M:%S %Z}" if record.due_at is not None else ""
    return f"{record.outcome}: the send is {record.status}{until}"


def _retry(row: Row[Any], outcome: SendOutcome, settings: SendSettings) -> Record:
    """An ordinary retry, until the attempts are used up. What never reached the provider costs nothing."""
    given_back = outcome.kind is Outcome.NOT_CONNECTED
    if row.tries + 1 >= settings.attempts:
        return _record(row, "failed", outcome.kind, outcome.reason, tries=1, given_back=given_back)
    ceiling = min(settings.backoff_cap, settings.backoff * (1 << min(row.tries, 32)))
    delay = ceiling * random.random()
    return _record(row, "pending", outcome.kind, outcome.reason, tries=1, delay=delay, given_back=given_back)


def _record(row: Row[Any], status: str, outcome: str, reason: str | None, **more: Any) -> Record:
    values: dict[str, Any] = {
        "message_id": None,
        "tries": 0,
        "delay": timedelta(0),
        "due_at": None,
        "given_back": False,
    }
    return Record(row.tenant_id, row.id, row.g, status, outcome, reason or None, **(values | more))


def _closure(row: Row[Any], reason: str, outcome: SendOutcome) -> Closure:
    return Closure(row.tenant_id, row.channel, row.sender_id, reason, outcome.until)
