"""Attention: what an operator should look at, in plain sentences, the worst first."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote
from uuid import UUID

from services.admin.queues import QueueView
from services.admin.words import duration, many, shortened
from shared.jobs import SENDS
from shared.store.failing import Failing
from shared.store.looking import LISTED, MOST, Glance

LONG_WAIT = timedelta(minutes=5)
SILENCE = timedelta(seconds=30)

_NAME = 80  # characters
_DELIVERIES = ("webhook delivery", "webhook deliveries")


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence, and the path of the page that shows more of what it is about."""

    text: str
    path: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """Everything there is to judge; a part is None while it was never seen.

    `away` maps a server to how long it has not answered. `partitions` is how many this process looks at.
    `shown` masks what people wrote, for whoever may not see all.
    """

    queues: Sequence[QueueView] | None
    glance: Glance | None
    away: Mapping[str, timedelta]
    partitions: int
    failing: Sequence[Failing]
    shown: Callable[[str], str]


def attention(state: State) -> list[Notice]:
    """A notice for each thing; none where nothing needs anybody."""
    return [*_away(state), *_queues(state), *_failing(state), *_rows(state)]


def _away(state: State) -> Iterator[Notice]:
    for server, since in state.away.items():
        yield Notice(f"{server} has not answered for {duration(since)}: figures of it are as old.")


def _queues(state: State) -> Iterator[Notice]:
    for queue in state.queues or ():
        path = _queue_path(queue.name)
        if queue.closed:
            yield Notice(
                f"{queue.name} is closed in {many(len(queue.closed), 'partition')}: dispatch opens it within"
                " seconds; look at dispatch's log if it stays so."
            )
        if queue.counts.waiting and not queue.workers:
            waiting = many(queue.counts.waiting, "job")
            yield Notice(f"{queue.name} has {waiting} waiting, and no worker is there.", path)
        if queue.wait is not None and queue.wait > LONG_WAIT:
            yield Notice(f"{queue.name}: the next in line has waited for {duration(queue.wait)}.", path)


def _queue_path(name: str) -> str:
    return f"/queues/{quote(name, safe='')}"


def _tenant_path(tenant_id: UUID) -> str:
    return f"/tenants/{tenant_id}"


def _failing(state: State) -> Iterator[Notice]:
    for each in state.failing:
        yield Notice(
            f"{_named(each.tenant)}: {each.failed} of its last {each.tried} sends were not accepted.",
            f"{_queue_path(SENDS.name)}?state=failed&tenant={each.tenant_id}",
        )


def _rows(state: State) -> Iterator[Notice]:
    glance = state.glance
    if glance is None:
        return
    for name, partitions in glance.partitions.items():
        if partitions != state.partitions:
            yield Notice(
                f"{name} has {many(partitions, 'partition')}, and this page looks at {state.partitions}:"
                f" start the admin service with QUEUE_PARTITIONS={partitions}."
            )
    yield from _standing(glance, state.shown)
    yield from _counted(glance)


def _standing(glance: Glance, shown: Callable[[str], str]) -> Iterator[Notice]:
    for pause in glance.paused[:LISTED]:
        what, whose = pause.queue or "every queue", _named(pause.tenant or "every tenant")
        path = _queue_path(pause.queue) if pause.queue else "/#stop"
        if pause.tenant_id is not None:
            path = _tenant_path(pause.tenant_id)
        yield Notice(f"{what} is paused for {whose}{_because(shown(pause.reason))}.", path)
    if len(glance.paused) > LISTED:
        yield Notice(f"More is paused than these {LISTED}: `outreach queues` lists all.")
    for closed in glance.closed[:LISTED]:
        if closed.until is None:
            sender = _named(closed.address or f"every {closed.channel} sender")
            tenant = _named(closed.tenant)
            said = f"{sender} of {tenant} is closed ({closed.reason}) until somebody reopens it."
            yield Notice(said, _tenant_path(closed.tenant_id))


def _counted(glance: Glance) -> Iterator[Notice]:
    if glance.unknown:
        sends = _up_to(glance.unknown, "send")
        said = f"{sends} without a known outcome: a webhook, or the tenant's policy, ends that."
        yield Notice(said, "/unknown")
    if glance.unprocessed:
        said = f"{_up_to(glance.unprocessed, *_DELIVERIES)} waiting for over a minute."
        yield Notice(said, "/deliveries?state=received")
    if glance.parked:
        said = f"{_up_to(glance.parked, *_DELIVERIES)} parked: their events match no send yet."
        yield Notice(said, "/deliveries?state=parked")
    if glance.gateway_silent is not None and glance.gateway_silent > SILENCE:
        silent = duration(glance.gateway_silent)
        yield Notice(f"No gateway has served for {silent}: providers cannot post to us.")


def _up_to(count: int, *names: str) -> str:
    return f"{many(count, *names)}{' or more' if count == MOST else ''}"


def _named(name: str) -> str:
    return shortened(name, _NAME)


def _because(reason: str) -> str:
    return f" ({shortened(reason)})" if reason else ""
