"""Sentences: what the row of a send, a timeout, an event or a visit says, for who reads a timeline."""

from datetime import datetime, timedelta
from typing import Any

from services.admin.words import duration, moment
from shared.campaigns.compiled import Compiled

_MINUTE = timedelta(minutes=1)

_AFTER = {
    "grace": "providers report late",
    "unread": "webhooks of that time are not processed yet",
    "gateway_down": "no gateway could take webhooks, and providers post them again",
    "behind": "another timeout of its visit goes first",
    "early": "its time has not come",
}
_STOPPED = {
    "moved_on": "its contact had moved on",
    "answered": "an open or click had come in time",
    "cancelled": "the enrolment ended",
    "campaign_cancelled": "the campaign was cancelled",
    "removed": "an operator took it out",
}
_MACHINES = {"mpp": "by a mail privacy proxy", "scanner": "by a security scanner"}


def action(row: Any, now: datetime) -> str:
    """What became of a send or timeout, or what it waits for."""
    return send(row, now) if row.kind == "send" else timeout(row, now)


def send(row: Any, now: datetime) -> str:
    """What became of a send, or what it waits for."""
    reason = f" ({row.reason})" if row.reason else ""
    match row.status:
        case "pending" if row.due_at > now:
            return f"The send waits for {moment(row.due_at)}{reason}."
        case "pending":
            return f"The send is due since {moment(row.due_at)} and waits for its turn{reason}."
        case "enqueued":
            return f"The send is in line since {moment(row.status_at)}{reason}."
        case "held":
            return f"The send is held{reason} until that is lifted."
        case "submitting":
            return f"The send is with its provider since {moment(row.status_at)}."
        case "unknown":
            return f"Nobody knows whether it was sent{reason}: a webhook, or the tenant's policy, ends that."
        case "accepted":
            return "The send was accepted."
        case "cancelled":
            return f"The send was cancelled: {_STOPPED.get(row.reason, row.reason or 'no reason is kept')}."
        case _:
            return f"The send {'was ' if row.status == 'skipped' else ''}{row.status}{reason}."


def late(row: Any) -> str:
    """How late a send was accepted, where that is worth a word."""
    if row.accepted_at is None or row.accepted_at - row.scheduled_at < _MINUTE:
        return ""
    return f"{duration(row.accepted_at - row.scheduled_at)} after its time"


def timeout(row: Any, now: datetime) -> str:
    """What became of a timeout, or what it waits for."""
    waits = row.event_type == "elapsed"
    what = "The time to wait" if waits else f"The timeout {row.event_type}"
    at = f"{'ended' if waits else 'was due'} {moment(row.scheduled_at)}"
    match row.status:
        case "pending" if row.scheduled_at > now:
            return f"{what} {'ends' if waits else 'is due'} {moment(row.scheduled_at)}."
        case "pending":
            why = f": {_AFTER.get(row.reason, row.reason)}" if row.reason else ""
            return f"{what} {at}, and is looked at {moment(row.due_at)}{why}."
        case "enqueued":
            return f"{what} {at}, and is in line since {moment(row.status_at)}."
        case "held":
            return f"{what} is held ({row.reason}) until that is lifted."
        case "fired":
            blind = ", although not all webhooks of its time were processed" if row.watermark else ""
            return f"{what} {'is over' if waits else 'fired'}{blind}."
        case _:
            return f"{what} was cancelled: {_STOPPED.get(row.reason, row.reason or 'no reason is kept')}."


def moved(row: Any) -> str:
    """By what a contact left a node, and where it went."""
    if row.edge == "cancelled":
        return f"Taken out of the campaign at {row.node_id}{_because(row)}."
    if row.next_node is not None:
        return f"Left {row.node_id} by {row.edge}, to {row.next_node}."
    exited = f" by the exit {row.exit}" if row.exit else ""
    return f"Left {row.node_id} by {row.edge}, and the campaign{exited}{_because(row)}."


def event(row: Any, graph: Compiled | None) -> str:
    """What happened, who did it, and what it moved or why it moved nothing."""
    kind = f"{row.bounce_class} {row.type}" if row.bounce_class else row.type
    machine = _MACHINES.get(row.automated)
    who = f", {machine} ({row.automated})" if machine else ""
    at = f" at {row.node_id}" if row.node_id else ""
    return f"{kind.replace('_', ' ').capitalize()}{at}{who}: {effect(row, graph)}."


def told(row: Any) -> str:
    """How much later than it happened we were told of an event, where that is worth a word."""
    lag = row.received_at - row.occurred_at
    return f"told {duration(lag)} later" if lag >= _MINUTE and row.provider != "outreach" else ""


def effect(row: Any, graph: Compiled | None) -> str:
    """What an event moved, or why it moved nothing."""
    if row.effect == "moved":
        return "it moved its contact"
    if row.effect == "late":
        return "it was in time but told late, when what followed was out: it moved nothing"
    if graph is None:
        return "it belongs to no visit, and moved nothing"
    if row.bounce_class == "soft":
        return "a soft bounce moves nobody"
    return _unmoved(row, graph)


def _unmoved(row: Any, graph: Compiled) -> str:
    automated = row.automated != "none"
    if graph.resolve(row.node_id, row.type, automated) is None:
        if automated and graph.resolve(row.node_id, row.type) is not None:
            return "no edge there counts machines, so it moved nothing"
        answers = ", ".join(sorted(graph.answered(row.node_id, row.type, automated)))
        return (
            f"no edge there; in time, it answers {answers}"
            if answers
            else "no edge there, so it moved nothing"
        )
    if row.left_at is not None:
        return f"its contact had left by {row.edge} before it was told, so it moved nothing"
    return "it moved nothing"


def apart(at: datetime, now: datetime) -> str:
    """How far a time is from now: `in 3 h`, `5 min ago`."""
    return f"in {duration(at - now)}" if at > now else f"{duration(now - at)} ago"


def _because(row: Any) -> str:
    return f" ({row.reason})" if row.reason else ""


def attempt(row: Any) -> str:
    """What an attempt to send came to."""
    if row.outcome is None:
        return f"{moment(row.submitted_at)}: handed to the provider, no answer yet"
    took = f" after {duration(row.ended_at - row.submitted_at)}" if row.ended_at is not None else ""
    reason = f" ({row.reason})" if row.reason else ""
    back = ", its charge given back" if row.given_back else ""
    return f"{moment(row.submitted_at)}: {row.outcome}{took}{reason}{back}"
