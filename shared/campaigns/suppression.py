"""Suppression: which events forbid further messages to an address, and which messages that forbids.

A suppression holds for a tenant, a channel and an address, under a scope: `all`, `marketing`, or `group:<id>`
for one unsubscribe group.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.providers.base import BounceClass, Channel, DropReason, EventType, ProviderEvent

ALL = "all"
MARKETING = "marketing"


def group(group_id: str) -> str:
    """The scope of one unsubscribe group."""
    return f"group:{group_id}"


@dataclass(frozen=True, slots=True)
class Change:
    """What an event does to its address: suppresses it under a scope, or lifts what had this very reason.

    `contrary` is the event that says the opposite: of the two the later counts, whichever is told first.
    """

    scope: str
    reason: str
    lift: bool = False
    contrary: EventType | None = None


def change(event: ProviderEvent) -> Change | None:
    """What an event does to the suppressions of its recipient.

    An unsubscribe blocks marketing; a hard bounce or complaint blocks all, and so does an SMS opt-out, after
    which carriers and providers block the number too. A soft or blocked bounce says nothing of the address.
    """
    match event.type:
        case EventType.SPAM_REPORT:
            return Change(ALL, "complaint")
        case EventType.UNSUBSCRIBE:
            return Change(MARKETING, "unsubscribed")
        case EventType.GROUP_UNSUBSCRIBE if event.group_id:
            return Change(group(event.group_id), "unsubscribed", contrary=EventType.GROUP_RESUBSCRIBE)
        case EventType.GROUP_RESUBSCRIBE if event.group_id:
            return Change(group(event.group_id), "unsubscribed", True, EventType.GROUP_UNSUBSCRIBE)
        case EventType.OPT_OUT:
            return Change(ALL, "opted_out", contrary=EventType.OPT_IN)
        case EventType.OPT_IN:
            return Change(ALL, "opted_out", True, EventType.OPT_OUT)
        case EventType.BOUNCE | EventType.DROPPED | EventType.FAILED | EventType.UNDELIVERED:
            return _failed(event)
    return None


def _failed(event: ProviderEvent) -> Change | None:
    if event.bounce_class is BounceClass.HARD:
        return Change(ALL, "hard_bounce")
    match event.drop_reason:
        case DropReason.BOUNCED | DropReason.INVALID:
            return Change(ALL, "hard_bounce")
        case DropReason.SPAM:
            return Change(ALL, "complaint")
        case DropReason.UNSUBSCRIBED:
            # Of a mail it comes as a drop; an SMS to a number that opted out fails.
            mail = event.type is EventType.DROPPED
            return Change(MARKETING, "unsubscribed") if mail else Change(ALL, "opted_out")
    return None


def blocks(scopes: Iterable[str], campaign_kind: str, unsubscribe_group: str | None) -> bool:
    """Whether suppressions under these scopes forbid a campaign's message.

    A transactional campaign is stopped by `all` alone, a marketing one also by `marketing` and by its group.
    """
    held = set(scopes)
    if campaign_kind != "marketing":
        return ALL in held
    return bool(held & {ALL, MARKETING} or (unsubscribe_group and group(unsubscribe_group) in held))


def normalized(channel: Channel, address: str) -> str:
    """An address as it is stored and compared: providers give it back in a spelling of their own."""
    bare = address.strip()
    return bare.lower() if channel == "email" else bare.removeprefix("whatsapp:").replace(" ", "")
