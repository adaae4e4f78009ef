"""Attention: what an operator should look at, in plain sentences, the worst first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.admin.queues import QueueView
from services.admin.words import duration, many, shortened
from shared.store.looking import LISTED, MOST, Glance

LONG_WAIT = timedelta(minutes=5)
SILENCE = timedelta(seconds=30)

_NAME = 80  # characters
_DELIVERIES = ("webhook delivery", "webhook deliveries")


@dataclass(frozen=True, slots=True)
class State:
    """Everything there is to judge; a part is None while it was never seen.

    `away` maps a server to how long it has not answered. `partitions` is how many this process looks at.
    """

    queues: Sequence[QueueView] | None
    glance: Glance | None
    away: Mapping[str, timedelta]
    partitions: int


def attention(state: State) -> list[str]:
    """A sentence for each thing; none where nothing needs anybody."""
    return [*_away(state), *_queues(state), *_rows(state)]


def _away(state: State) -> Iterator[str]:
    for server, since in state.away.items():
        yield f"{server} has not answered for {duration(since)}: figures of it are as old."


def _queues(state: State) -> Iterator[str]:
    for queue in state.queues or ():
        if queue.closed:
            yield (
                f"{queue.name} is closed in {many(len(queue.closed), 'partition')}: dispatch opens it within"
                " seconds; look at dispatch's log if it stays so."
            )
        if queue.counts.waiting and not queue.workers:
            yield f"{queue.name} has {many(queue.counts.waiting, 'job')} waiting, and no worker is there."
        if queue.wait is not None and queue.wait > LONG_WAIT:
            yield f"{queue.name}: the next in line has waited for {duration(queue.wait)}."


def _rows(state: State) -> Iterator[str]:
    glance = state.glance
    if glance is None:
        return
    for name, partitions in glance.partitions.items():
        if partitions != state.partitions:
            yield (
                f"{name} has {many(partitions, 'partition')}, and this page looks at {state.partitions}:"
                f" start the admin service with QUEUE_PARTITIONS={partitions}."
            )
    yield from _standing(glance)
    yield from _counted(glance)


def _standing(glance: Glance) -> Iterator[str]:
    for pause in glance.paused[:LISTED]:
        what, whose = pause.queue or "every queue", _named(pause.tenant or "every tenant")
        yield f"{what} is paused for {whose}{_because(pause.reason)}."
    if len(glance.paused) > LISTED:
        yield f"More is paused than these {LISTED}: `outreach queues` lists all."
    for closed in glance.closed[:LISTED]:
        if closed.until is None:
            sender = _named(closed.address or f"every {closed.channel} sender")
            tenant = _named(closed.tenant)
            yield f"{sender} of {tenant} is closed ({closed.reason}) until somebody reopens it."


def _counted(glance: Glance) -> Iterator[str]:
    if glance.unknown:
        sends = _up_to(glance.unknown, "send")
        yield f"{sends} without a known outcome: a webhook, or the tenant's policy, ends that."
    if glance.unprocessed:
        yield f"{_up_to(glance.unprocessed, *_DELIVERIES)} waiting for over a minute."
    if glance.parked:
        yield f"{_up_to(glance.parked, *_DELIVERIES)} parked: their events match no send yet."
    if glance.gateway_silent is not None and glance.gateway_silent > SILENCE:
        yield f"No gateway has served for {duration(glance.gateway_silent)}: providers cannot post to us."


def _up_to(count: int, *names: str) -> str:
    return f"{many(count, *names)}{' or more' if count == MOST else ''}"


def _named(name: str) -> str:
    return shortened(name, _NAME)


def _because(reason: str) -> str:
    return f" ({shortened(reason)})" if reason else ""
