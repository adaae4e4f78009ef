"""Twilio's callbacks in our words: one form body, one event, without a time and in any order.

A status callback names a message and its new status; anything with a text and no outgoing status is a message
that came in. Error codes: twilio.com/docs/api/errors. Twilio warns that codes keep splitting, so a code that
is not in the table classifies nothing.
"""

import json
from collections.abc import Mapping
from urllib.parse import parse_qsl
from uuid import UUID

from shared.providers.base import ACTION_QUERY, BounceClass, DropReason, EventType, ProviderEvent
from shared.providers.fields import MAX_ADDRESS, action, identifier, natural_key, storable, text

# A callback has some twenty fields; an unsigned body must not cost more than it can be worth.
_MAX_FIELDS = 1000

_STATUSES = {
    "accepted": EventType.PROCESSED,
    "queued": EventType.PROCESSED,
    "scheduled": EventType.PROCESSED,
    "sending": EventType.PROCESSED,
    "sent": EventType.SENT,
    "delivered": EventType.DELIVERED,
    "undelivered": EventType.UNDELIVERED,
    "failed": EventType.FAILED,
    "canceled": EventType.FAILED,
}
_INCOMING = {"", "receiving", "received"}

_CLASSES = {
    "21211": BounceClass.HARD,  # no valid number
    "21614": BounceClass.HARD,  # no mobile number
    "30005": BounceClass.HARD,  # unknown handset
    "30006": BounceClass.HARD,  # landline, or a carrier out of reach
    "30001": BounceClass.SOFT,  # queue overflow
    "30003": BounceClass.SOFT,  # handset not reachable
    "30008": BounceClass.SOFT,  # unknown error
    "30004": BounceClass.BLOCK,  # blocked
    "30007": BounceClass.BLOCK,  # filtered by the carrier
}
_OPTED_OUT = "21610"

# Twilio's default keywords; its Advanced Opt-Out tells its own verdict in OptOutType instead.
_STOP = {"STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL"}
_START = {"START", "YES", "UNSTOP"}


def form_fields(body: bytes) -> list[tuple[str, str]]:
    """The body's form fields, blank ones too; ValueError where there are too many."""
    return parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)


def check_shape(body: bytes) -> None:
    """Refuse by ValueError a body without form fields."""
    if not form_fields(body):
        raise ValueError("The body has no form fields: Twilio's callbacks post some.")


def normalize(body: bytes, headers: Mapping[str, str], query: Mapping[str, str]) -> list[ProviderEvent]:
    """The one event of a callback; our action id comes from the query of the URL it was posted to."""
    try:
        fields = storable(dict(form_fields(body)))
    except ValueError as error:
        key = natural_key("twilio", body.hex())
        return [ProviderEvent(type=EventType.UNKNOWN, natural_key=key, reason=str(error))]
    return [_event(fields, action(query.get(ACTION_QUERY)))]


def _event(fields: dict[str, str], action_id: UUID | None) -> ProviderEvent:
    sid = identifier(fields.get("MessageSid") or fields.get("SmsSid"))
    status = (fields.get("MessageStatus") or fields.get("SmsStatus") or "").lower()
    kind = _kind(fields, status) if sid else EventType.UNKNOWN
    unknown = kind is EventType.UNKNOWN
    incoming = kind in (EventType.INBOUND, EventType.OPT_OUT, EventType.OPT_IN)
    said = json.dumps(fields, sort_keys=True) if unknown else "inbound" if incoming else status
    code = fields.get("ErrorCode", "")
    return ProviderEvent(
        type=kind,
        natural_key=natural_key("twilio", sid, said),
        message_id=sid,
        action_id=action_id,
        recipient=identifier(fields.get("From" if incoming else "To"), MAX_ADDRESS),
        bounce_class=_CLASSES.get(code),
        drop_reason=DropReason.UNSUBSCRIBED if code == _OPTED_OUT else None,
        reason=_trouble(sid, status) if unknown else _reason(fields, status),
        raw=fields if unknown or incoming else None,
    )


def _kind(fields: dict[str, str], status: str) -> EventType:
    if status in _STATUSES:
        return _STATUSES[status]
    if status in _INCOMING and "From" in fields and "Body" in fields:
        return _incoming(fields)
    return EventType.UNKNOWN


def _incoming(fields: dict[str, str]) -> EventType:
    """A message that is a keyword and nothing else, spaces and punctuation apart, is the keyword."""
    word = fields.get("OptOutType") or "".join(filter(str.isalnum, fields["Body"]))
    if word.upper() in _STOP:
        return EventType.OPT_OUT
    return EventType.OPT_IN if word.upper() in _START else EventType.INBOUND


def _reason(fields: dict[str, str], status: str) -> str | None:
    if status == "canceled":
        return status
    return text(" ".join(filter(None, (fields.get("ErrorCode"), fields.get("ErrorMessage")))))


def _trouble(sid: str | None, status: str) -> str | None:
    if sid is None:
        return "no MessageSid"
    return text(status) or "no status"
