"""SendGrid's Event Webhook in our words: a JSON array, items joined by `},` CRLF `{` and ended by CRLF.

Its event id differs between copies of a post that was sent again (sendgrid-nodejs#1435), so an event is named
by what it says. Late bounces come without message id and custom arguments, spam reports without the latter.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from shared.providers.base import (
    ACTION_ARGUMENT,
    Automated,
    BounceClass,
    DropReason,
    EventType,
    ProviderEvent,
)
from shared.providers.fields import MAX_ADDRESS, action, identifier, natural_key, storable, text

_TYPES = {
    "processed": EventType.PROCESSED,
    "delivered": EventType.DELIVERED,
    "deferred": EventType.DEFERRED,
    "bounce": EventType.BOUNCE,
    "dropped": EventType.DROPPED,
    "open": EventType.OPEN,
    "click": EventType.CLICK,
    "spamreport": EventType.SPAM_REPORT,
    "unsubscribe": EventType.UNSUBSCRIBE,
    "group_unsubscribe": EventType.GROUP_UNSUBSCRIBE,
    "group_resubscribe": EventType.GROUP_RESUBSCRIBE,
}

# The reasons SendGrid gives for a drop, in django-anymail's words.
_DROPS = {
    "bounced address": DropReason.BOUNCED,
    "invalid": DropReason.INVALID,
    "spam reporting address": DropReason.SPAM,
    "unsubscribed address": DropReason.UNSUBSCRIBED,
}

# Of SendGrid's seven classifications these two are about the address; the others pass, or blame the sender.
_HARD = {"invalid address", "unclassified"}

# Security gateways that fetch links before a person sees the mail, and say so in their user agent.
_SCANNERS = (
    "barracuda",
    "bitdefender",
    "ciscosecureemail",
    "fireeye",
    "forcepoint",
    "fortimail",
    "ironport",
    "messagelabs",
    "mimecast",
    "proofpoint",
    "safelinks",
    "sophos",
    "symantec",
    "trend micro",
    "trendmicro",
    "urldefense",
    "zscaler",
)

# A post has some thousand events of some hundred bytes; an item must not cost more than it can be worth.
_MOST_ITEMS = 10_000
_MOST_DIGITS = 4000

_TOKENS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)

# 2000 to 2100: outside, it is no unix time in seconds.
_FIRST_SECOND, _LAST_SECOND = 946_684_800, 4_102_444_800


def check_shape(body: bytes) -> None:
    """Refuse by ValueError what is no JSON array."""
    _items(body)


def normalize(body: bytes, headers: Mapping[str, str], query: Mapping[str, str]) -> list[ProviderEvent]:
    """The events of a post; a body that is no array is one unknown event."""
    try:
        items = _items(body)
    except ValueError as error:
        return [_unreadable(body, str(error))]
    found = [
        _event(item) if isinstance(item, dict) else _event({"item": item}) for item in items[:_MOST_ITEMS]
    ]
    rest = len(items) - len(found)
    return [*found, _unreadable(body, f"{rest} items more than a post has")] if rest else found


def _unreadable(body: bytes, reason: str) -> ProviderEvent:
    return ProviderEvent(
        type=EventType.UNKNOWN, natural_key=natural_key("sendgrid", body.hex()), reason=reason
    )


def _items(body: bytes) -> list[Any]:
    whole = body.decode("utf-8", "replace")
    try:
        parsed = _parsed(whole)
    except ValueError as error:
        raise ValueError("The body is no JSON: SendGrid's Event Webhook posts a JSON array.") from error
    except RecursionError:
        return [_item(part) for part in _parts(whole)]
    if not isinstance(parsed, list):
        raise ValueError("The body is no JSON array: SendGrid's Event Webhook posts one.")
    return parsed


def _parsed(part: str) -> Any:
    return json.loads(part, parse_int=_whole)


def _whole(digits: str) -> int | None:
    """A number; None for one that is longer than Python reads."""
    return int(digits) if len(digits) <= _MOST_DIGITS else None


def _item(part: str) -> Any:
    """One item of the array by itself; one that is nested too deep is its beginning."""
    try:
        return _parsed(part)
    except (ValueError, RecursionError):
        return text(part.strip())


def _parts(array: str) -> Iterator[str]:
    """The items of an array that cannot be parsed whole, by its own commas."""
    depth = start = 0
    for token in _TOKENS.finditer(array):
        word = token[0]
        depth += (word in "[{") - (word in "]}")
        if depth == 1 and word == "[" and not start:
            start = token.end()
        elif (depth == 1 and word == ",") or (depth == 0 and word == "]"):
            yield array[start : token.start()]
            start = token.end()
    if depth or not array.lstrip().startswith("["):
        raise ValueError("The body is no JSON array: SendGrid's Event Webhook posts one.")


def _event(item: dict[str, Any]) -> ProviderEvent:
    occurred_at = _time(item.get("timestamp"))
    kind = _kind(item, occurred_at)
    unknown = kind is EventType.UNKNOWN
    raw = storable(item) if unknown else None
    return ProviderEvent(
        type=kind,
        natural_key=_unknown_key(raw) if raw is not None else _key(item),
        occurred_at=occurred_at,
        provider_event_id=identifier(item.get("sg_event_id")),
        message_id=_message_id(item.get("sg_message_id")),
        smtp_id=identifier(item.get("smtp-id")),
        action_id=action(item.get(ACTION_ARGUMENT)),
        recipient=identifier(item.get("email"), MAX_ADDRESS),
        bounce_class=_bounce_class(item) if kind is EventType.BOUNCE else None,
        drop_reason=_drop_reason(item) if kind is EventType.DROPPED else None,
        automated=_automated(kind, item),
        url=text(item.get("url")),
        reason=_trouble(item) if unknown else text(item.get("reason") or item.get("response")),
        group_id=_group(item.get("asm_group_id")),
        raw=raw,
    )


def _kind(item: dict[str, Any], occurred_at: datetime | None) -> EventType:
    """Our type; unknown without a readable time too, since time decides every race."""
    word = item.get("event")
    if not isinstance(word, str) or occurred_at is None:
        return EventType.UNKNOWN
    return _TYPES.get(word, EventType.UNKNOWN)


def _trouble(item: dict[str, Any]) -> str:
    """Why an item is unknown; an account event has a type that says more than its name."""
    word = text(item.get("event"))
    if word is None:
        return "no event"
    if word in _TYPES:
        return f"{word} without a timestamp"
    detail = text(item.get("type"))
    return f"{word}: {detail}" if detail else word


def _key(item: dict[str, Any]) -> bytes:
    """What stays the same in every copy. Apple's prefetch and a person can open in the same second."""
    return natural_key(
        "sendgrid",
        item.get("sg_message_id") or item.get("smtp-id"),
        item.get("email"),
        item["event"],
        item["timestamp"],
        item.get("url"),
        item.get("attempt"),
        item.get("asm_group_id"),
        item.get("sg_machine_open"),
    )


def _unknown_key(raw: dict[str, Any]) -> bytes:
    said = {field: value for field, value in raw.items() if field != "sg_event_id"}
    return natural_key("sendgrid", json.dumps(said, sort_keys=True))


def _time(value: object) -> datetime | None:
    if isinstance(value, int) and _FIRST_SECOND <= value <= _LAST_SECOND:
        return datetime.fromtimestamp(value, UTC)
    return None


def _message_id(value: object) -> str | None:
    """The X-Message-Id of our request, which `sg_message_id` begins with."""
    whole = identifier(value)
    return whole.partition(".")[0] or None if whole else None


def _group(value: object) -> str | None:
    return identifier(str(value)) if isinstance(value, int | str) else None


def _bounce_class(item: dict[str, Any]) -> BounceClass:
    """`blocked`: the receiving server refused the sender. Of the rest, what blames the address is hard."""
    if item.get("type") == "blocked":
        return BounceClass.BLOCK
    status, classification = item.get("status"), item.get("bounce_classification")
    passing = isinstance(status, str) and status.startswith("4")
    blameless = isinstance(classification, str) and classification.lower() not in _HARD
    return BounceClass.SOFT if passing or blameless else BounceClass.HARD


def _drop_reason(item: dict[str, Any]) -> DropReason:
    reason = item.get("reason")
    return _DROPS.get(reason.lower(), DropReason.OTHER) if isinstance(reason, str) else DropReason.OTHER


def _automated(kind: EventType, item: dict[str, Any]) -> Automated:
    if kind is not EventType.OPEN and kind is not EventType.CLICK:
        return Automated.NONE
    if item.get("sg_machine_open") is True:
        return Automated.MPP
    agent = item.get("useragent")
    agent = agent.lower() if isinstance(agent, str) else ""
    return Automated.SCANNER if any(word in agent for word in _SCANNERS) else Automated.NONE
