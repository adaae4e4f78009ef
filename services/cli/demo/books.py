"""The books of a run: the figures of its verdict, from Postgres's rows and the simulator's log. Pure.

What the figures may be is said in `bounds`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

from services.cli.demo.witness import Witness
from shared.limits.config import in_force
from shared.settings import LimitSettings
from shared.store.books import Action, Attempt, Books, Event

EXITS = ("opened", "no_open", "clicked", "bounced", "failed")
"""The ways out of the demo's campaigns."""
FAULTS = ("429", "5xx", "cut_before", "cut_after")
KINDS = ("minute", "hour", "day")

_ENDED = frozenset({"accepted", "failed", "skipped", "cancelled", "fired"})
_ANSWERS = {"no_open": ("open", "click"), "no_click": ("click",)}
_SLACK = timedelta(seconds=1)  # between a charge and the request's arrival

Moments = Sequence[tuple[int, int]]
"""When something was charged or arrived, in ms since the epoch and in order, and its cost."""


@dataclass(frozen=True, slots=True)
class Pause:
    """From when, by all who work, to when a tenant stood still."""

    tenant_id: UUID
    begun: datetime
    ended: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """What the demo itself knows of its run. `accounts` maps an API key of the provider to its tenant."""

    contacts: int
    accounts: Mapping[str, UUID]
    windows: LimitSettings
    grace: timedelta
    send_concurrency: int
    kills: int = 0
    send_kills: int = 0
    flushes: int = 0
    processes: int = 0
    refusals: int = 0
    seconds: float = 0
    pause: Pause | None = None


class Window(NamedTuple):
    """A limit and what counted in it: at most `limit` in any `length`."""

    kind: str
    length: timedelta
    limit: int
    moments: Moments


def figures(run: Run, books: Books, witness: Witness) -> dict[str, Any]:
    """The verdict's figures by name; all but `ok`."""
    charged = list(_charged(run, books))
    exits = Counter(enrolment.exit for enrolment in books.enrolments if enrolment.exit is not None)
    return {
        "contacts": run.contacts,
        "exited": exits.total(),
        "exits": dict.fromkeys(EXITS, 0) | exits,
        "sends": _sends(books.actions),
        "duplicate_messages": _duplicates(witness),
        "lost": _lost(run, books, witness),
        "early_timeouts": _early(books, run.grace),
        "limit_violations": sum(map(_violations, chain(charged, _arrived(run, books, witness)))),
        "refusals": run.refusals,
        "peak_use": round(max((_use(window) for window in charged if window.kind == "minute"), default=0), 3),
        "webhooks": _webhooks(books, witness, run.grace),
        "faults": _faults(witness),
        "kills": run.kills,
        "flushes": run.flushes,
        "processes": run.processes,
        "seconds": round(run.seconds, 1),
    }


def sent_while_paused(run: Run, books: Books) -> int:
    """How many sends of the paused tenant began during its pause."""
    pause = run.pause
    if pause is None:
        return 0
    return sum(
        attempt.tenant_id == pause.tenant_id and pause.begun <= attempt.submitted_at < pause.ended
        for attempt in books.attempts
    )


def happenings(witness: Witness) -> int:
    """How many different things the provider told: what a perfect memory would keep."""
    return len({told.happening for told in witness.told})


def _sends(actions: Sequence[Action]) -> dict[str, int]:
    sends = [action for action in actions if action.kind == "send"]
    status = Counter(action.status for action in sends)
    unconfirmed = sum(action.status == "failed" and action.reason == "unconfirmed" for action in sends)
    return {
        "accepted": status["accepted"],
        "skipped": status["skipped"],
        "failed": status["failed"] - unconfirmed,
        "unconfirmed": unconfirmed + status["unknown"],
    }


def _duplicates(witness: Witness) -> int:
    """Messages beyond the first to a contact at a node."""
    taken = Counter(
        (arrival.api_key, arrival.recipient, arrival.node) for arrival in witness.arrivals if arrival.taken
    )
    return taken.total() - len(taken)


def _lost(run: Run, books: Books, witness: Witness) -> int:
    """What one of the two witnesses does not know, what is due and not done, and who never left."""
    taken = {arrival.action for arrival in witness.arrivals if arrival.taken}
    accepted = {
        str(action.id) for action in books.actions if action.kind == "send" and action.status == "accepted"
    }
    undone = sum(action.status not in _ENDED for action in books.actions)
    left = sum(enrolment.exit is not None for enrolment in books.enrolments)
    return len(taken ^ accepted) + undone + (run.contacts - left)


def _early(books: Books, grace: timedelta) -> int:
    """Timeouts that fired before their grace was over, or against an answer that was there in time."""
    answers = _by_visit(books.events)
    return sum(
        action.status_at < action.scheduled_at + grace
        or any(
            event.occurred_at <= action.scheduled_at and event.received_at < action.scheduled_at + grace
            for event in _answers(action, answers)
        )
        for action in books.actions
        if action.status == "fired" and action.event_type in _ANSWERS
    )


def _by_visit(events: Sequence[Event]) -> Mapping[UUID | None, list[Event]]:
    found: defaultdict[UUID | None, list[Event]] = defaultdict(list)
    for event in events:
        if event.automated == "none":
            found[event.visit_id].append(event)
    return found


def _answers(timeout: Action, events: Mapping[UUID | None, list[Event]]) -> Iterator[Event]:
    """What speaks against a timeout."""
    wanted = _ANSWERS[timeout.event_type or ""]
    return (event for event in events.get(timeout.visit_id, ()) if event.type in wanted)


def _webhooks(books: Books, witness: Witness, grace: timedelta) -> dict[str, int]:
    answers = _by_visit(books.events)
    late = sum(
        event.occurred_at <= timeout.scheduled_at < event.received_at <= timeout.scheduled_at + grace
        for timeout in books.actions
        if timeout.event_type in _ANSWERS
        for event in _answers(timeout, answers)
    )
    return {
        "posts": len({told.post for told in witness.told}),
        "events": len(books.events),
        "duplicates": len(witness.told) - len(books.events),
        "late_in_grace": late,
    }


def _faults(witness: Witness) -> dict[str, int]:
    decisions = Counter(arrival.decision for arrival in witness.arrivals)
    return {fault: decisions[fault] for fault in FAULTS}


def _charged(run: Run, books: Books) -> Iterator[Window]:
    """Every window of every tenant's channels and senders, and the attempts that count in it."""
    subjects: defaultdict[tuple[UUID, str, UUID | None], list[Attempt]] = defaultdict(list)
    for attempt in books.attempts:
        if not attempt.given_back:
            subjects[attempt.tenant_id, attempt.channel, None].append(attempt)
            subjects[attempt.tenant_id, attempt.channel, attempt.sender_id].append(attempt)
    for (tenant_id, channel, sender_id), attempts in subjects.items():
        moments = sorted((_ms(attempt.charged_at.timestamp()), attempt.cost) for attempt in attempts)
        yield from _windows(run, books, tenant_id, channel, sender_id, moments)


def _arrived(run: Run, books: Books, witness: Witness) -> Iterator[Window]:
    """The windows of each tenant's one sender, a second shorter, and what came to the provider in them."""
    senders = {(attempt.tenant_id, attempt.sender_id) for attempt in books.attempts}
    arrivals: defaultdict[UUID, list[tuple[int, int]]] = defaultdict(list)
    for arrival in witness.arrivals:
        # A request that was held and never taken is written down when it is let go, not when it came.
        if arrival.api_key is not None and (arrival.taken or arrival.decision != "held"):
            arrivals[run.accounts[arrival.api_key]].append((_ms(arrival.at), 1))
    for tenant_id, sender_id in senders:
        moments = sorted(arrivals[tenant_id])
        for subject in (None, sender_id):
            for window in _windows(run, books, tenant_id, "email", subject, moments):
                yield window._replace(length=window.length - _SLACK)


def _windows(
    run: Run, books: Books, tenant_id: UUID, channel: str, sender_id: UUID | None, moments: Moments
) -> Iterator[Window]:
    overrides: defaultdict[UUID | None, dict[str, int]] = defaultdict(dict)
    for limit in books.limits:
        if (limit.tenant_id, limit.channel) == (tenant_id, channel):
            overrides[limit.sender_id][limit.kind] = limit.limit
    config = in_force(channel, overrides, sender_id)
    for kind in KINDS:
        yield Window(kind, getattr(run.windows, kind), getattr(config, kind), moments)


def _violations(window: Window) -> int:
    """At how many moments more than the limit had come within the length before."""
    return sum(total > window.limit for total in _rolling(window))


def _use(window: Window) -> float:
    return max(_rolling(window), default=0) / window.limit


def _rolling(window: Window) -> Iterator[int]:
    """What came within the length before each moment, itself included."""
    length = window.length // timedelta(milliseconds=1)
    total = oldest = 0
    for at, cost in window.moments:
        total += cost
        # Half open: what came a whole length ago has left.
        while window.moments[oldest][0] <= at - length:
            total -= window.moments[oldest][1]
            oldest += 1
        yield total


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
