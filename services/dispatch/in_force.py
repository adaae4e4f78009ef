"""What the rows put in force, as the engine takes it: pure, for each queue."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shared.jobs import SENDS
from shared.limits.config import DEFAULTS, RateLimitConfig, in_force, subject_of
from shared.queue.types import SubjectConfig, Window
from shared.settings import DispatchSettings, LimitSettings
from shared.store.due import Lane
from shared.store.limit_rows import InForce, Scope

_MAX_WEIGHT = 0xFFFF
_MAX_LIMIT = 0xFFFFFFFF

Configs = Mapping[str, SubjectConfig]
"""What is in force for each subject that is out of the ordinary; `""` is always there."""

Sent = Mapping[str, SubjectConfig | None]
"""What was sent; None for what may or may not have arrived."""


def configs(rows: InForce, queue: str, lengths: LimitSettings, mine: Callable[[UUID], bool]) -> Configs:
    """What a partition of a queue must know, if it holds the tenants that are `mine`."""
    fields: dict[str, dict[str, Any]] = defaultdict(dict)
    fields[""]["paused"] = any(pause.holds(queue) for pause in rows.pauses)
    for tenant, weight in rows.weights.items():
        if mine(tenant):
            fields[str(tenant)]["weight"] = min(weight, _MAX_WEIGHT)
    for pause in rows.pauses:
        if pause.tenant_id is not None and mine(pause.tenant_id) and pause.holds(queue, pause.tenant_id):
            fields[str(pause.tenant_id)]["paused"] = True
    if queue == SENDS.name:
        _limit(fields, rows, lengths, mine)
        _close(fields, rows, mine)
    return {subject: SubjectConfig(subject, **parts) for subject, parts in fields.items()}


def changes(before: Sent, after: Configs) -> list[SubjectConfig]:
    """What to send so that `after` holds where `before` did."""
    gone = [SubjectConfig(subject) for subject in before if subject not in after]
    return gone + [config for subject, config in after.items() if before.get(subject) != config]


def ahead(rows: InForce, lengths: LimitSettings, settings: DispatchSettings) -> dict[Lane, int]:
    """How many rows of a lane may be in Redis at once, where it is not what is usual on its channel."""

    def allowed(scope: Scope) -> int:
        overrides = rows.overrides[scope.tenant_id, scope.channel]
        both = in_force(scope.channel, overrides), in_force(scope.channel, overrides, scope.sender_id)
        return _bounded(min(_released(each, lengths, settings.ahead) for each in both), settings)

    return {
        (scope.tenant_id, scope.sender_id): allowed(scope)
        for scope in _overridden(rows)
        if scope.sender_id is not None
    }


def usually_ahead(lengths: LimitSettings, settings: DispatchSettings) -> dict[str, int]:
    """How many rows of a lane of a channel may be in Redis at once under the default limits."""
    return {
        channel: _bounded(_released(config, lengths, settings.ahead), settings)
        for channel, config in DEFAULTS.items()
    }


def releasable(rows: InForce, lanes: Iterable[str], lengths: LimitSettings, within: timedelta) -> int:
    """The most jobs of these lanes that their limits let start within a time, were nothing spent yet."""
    most: dict[tuple[UUID, str], int] = defaultdict(int)
    for lane in lanes:
        tenant, channel, sender = lane.split("/")
        scope = Scope(UUID(tenant), channel, UUID(sender))
        most[scope.tenant_id, channel] += _allowed(rows, scope, lengths, within)
    whole = {key: _allowed(rows, Scope(*key, None), lengths, within) for key in most}
    return sum(min(jobs, whole[key]) for key, jobs in most.items())


def _allowed(rows: InForce, scope: Scope, lengths: LimitSettings, within: timedelta) -> int:
    overrides = rows.overrides.get((scope.tenant_id, scope.channel), {})
    return _released(in_force(scope.channel, overrides, scope.sender_id), lengths, within)


def _limit(
    fields: dict[str, dict[str, Any]], rows: InForce, lengths: LimitSettings, mine: Callable[[UUID], bool]
) -> None:
    for channel, config in DEFAULTS.items():
        fields[f"*/{channel}"]["windows"] = _windows(config, lengths)
    for scope in _overridden(rows):
        if mine(scope.tenant_id):
            overrides = rows.overrides[scope.tenant_id, scope.channel]
            config = in_force(scope.channel, overrides, scope.sender_id)
            fields[subject_of(scope)]["windows"] = _windows(config, lengths)
            fields[subject_of(scope)]["cap"] = config.concurrent
    for scope in rows.probed:
        if mine(scope.tenant_id):
            fields[subject_of(scope)]["cap"] = 1


def _close(fields: dict[str, dict[str, Any]], rows: InForce, mine: Callable[[UUID], bool]) -> None:
    for scope, until in rows.closures.items():
        if not mine(scope.tenant_id):
            continue
        if until is None:
            fields[subject_of(scope)]["paused"] = True
        else:
            fields[subject_of(scope)]["closed_until_ms"] = epoch_ms(until)


def _overridden(rows: InForce) -> set[Scope]:
    """Whose limits are not the defaults: a tenant's override holds for its senders too."""
    named = {Scope(*key, sender) for key, limits in rows.overrides.items() for sender in limits}
    return named.union(rows.senders)


def epoch_ms(time: datetime) -> int:
    """A time as the engine counts it, not before it."""
    return math.ceil(time.timestamp() * 1000)


def _windows(config: RateLimitConfig, lengths: LimitSettings) -> tuple[Window, ...]:
    return tuple(Window(length, min(limit, _MAX_LIMIT)) for length, limit in _pairs(config, lengths))


def _pairs(config: RateLimitConfig, lengths: LimitSettings) -> tuple[tuple[timedelta, int], ...]:
    return (lengths.minute, config.minute), (lengths.hour, config.hour), (lengths.day, config.day)


def _released(config: RateLimitConfig, lengths: LimitSettings, within: timedelta) -> int:
    return min(limit * math.ceil(within / length) for length, limit in _pairs(config, lengths))


def _bounded(rows: int, settings: DispatchSettings) -> int:
    return max(settings.ahead_min, min(rows, settings.ahead_max))
