"""Limits as they are shown: what each allows, what of it is used, when that frees, and who waits for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import zip_longest
from typing import Any
from uuid import UUID

from services.admin.tenancy import Motion, Overrides, Rows
from services.admin.words import duration
from shared.jobs import SENDS
from shared.limits.config import DEFAULTS, RateLimitConfig, in_force, subject_of
from shared.operate.standing import KINDS
from shared.queue.standing import Usage
from shared.store.database import Row
from shared.store.limit_rows import Scope

_WINDOWS = KINDS[:3]


@dataclass(frozen=True, slots=True)
class Bar:
    """A limit; None: of any size. `used` None: nobody knows. `frees`: in how long the first of it does."""

    kind: str
    limit: int | None
    overridden: bool
    used: int | None = None
    frees: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Limited:
    """A tenant's channel, or a sender of it (`sender`), and its limits.

    `line`: its sends in the queue; None: not known. `parked`: why they wait there, and for how long.
    """

    channel: str
    sender: Row[Any] | None
    bars: Sequence[Bar]
    line: int | None
    parked: str


def limited(rows: Rows, motion: Motion | None) -> Iterator[Limited]:
    """Each channel, followed by those of its senders that are on the page."""
    for channel in DEFAULTS:
        yield _limited(rows, motion, channel, None)
        for sender in rows.senders:
            if sender.channel == channel:
                yield _limited(rows, motion, channel, sender)


def defaults(overrides: Overrides, channel: str, sender_id: UUID | None) -> RateLimitConfig:
    """What holds for a channel, or for a sender of it, without an override of its own."""
    wider = {each: limits for each, limits in overrides[channel].items() if each != sender_id}
    return in_force(channel, wider, sender_id)


def waits(motion: Motion, scope: Scope) -> str:
    """What the sends of a channel, or of a sender, wait for and for how long; nothing if they do not."""
    own = subject_of(scope)
    for subject in (own, subject_of(scope._replace(sender_id=None)), str(scope.tenant_id)):
        usage = motion.usage[subject]
        if usage.parked:
            whose = "its" if subject == own else "its tenant's"
            return f"Parked{_length(usage)}: {_because(usage, whose)}"
    return ""


def _limited(rows: Rows, motion: Motion | None, channel: str, sender: Row[Any] | None) -> Limited:
    scope = Scope(rows.tenant.id, channel, sender.id if sender is not None else None)
    subject = subject_of(scope)
    if motion is None:
        return Limited(channel, sender, list(_bars(rows.overrides, scope, None)), None, "")
    lines = motion.lanes[SENDS.name]
    if sender is not None:
        line = lines[subject]
    else:
        line = sum(count for lane, count in lines.items() if lane.startswith(f"{subject}/"))
    bars = list(_bars(rows.overrides, scope, motion.usage[subject]))
    return Limited(channel, sender, bars, line, waits(motion, scope) if line else "")


def _bars(overrides: Overrides, scope: Scope, usage: Usage | None) -> Iterator[Bar]:
    config = in_force(scope.channel, overrides[scope.channel], scope.sender_id)
    own = overrides[scope.channel].get(scope.sender_id, {})
    windows = usage.windows if usage is not None else ()
    for kind, window in zip_longest(_WINDOWS, windows):
        bar = Bar(kind, getattr(config, kind), kind in own)
        if window is not None and usage is not None:
            frees = _from_now(window.frees_ms, usage) if window.used else None
            bar = replace(bar, used=window.used, frees=frees)
        yield bar
    running = usage.running if usage is not None and usage.cap is not None else None
    yield Bar("concurrent", config.concurrent, "concurrent" in own, running)


def _length(usage: Usage) -> str:
    if usage.retry_ms is None:
        return ""
    left = _from_now(usage.retry_ms, usage)
    return f" for {duration(left)}" if left else " until a worker looks"


def _because(usage: Usage, whose: str) -> str:
    if usage.paused:
        return "closed until somebody reopens it" if "/" in usage.subject else "the tenant is paused"
    if usage.closed_until_ms > usage.now_ms:
        return f"closed for {duration(_from_now(usage.closed_until_ms, usage))}"
    if usage.cap is not None and usage.running >= usage.cap:
        return f"as many run as {whose} limit lets run at once"
    full = [kind for kind, used in zip(_WINDOWS, usage.windows, strict=False) if used.used >= used.limit]
    if full:
        return f"{whose} {' and '.join(full)} limit{'s are' if len(full) > 1 else ' is'} used up"
    return f"the next send costs more than {whose} limits leave"


def _from_now(at_ms: int, usage: Usage) -> timedelta:
    return timedelta(milliseconds=max(at_ms - usage.now_ms, 0))
