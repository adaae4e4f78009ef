"""Holds: what keeps a tenant's work back, in sentences, and how much of it is where."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from services.admin.limits import waits
from services.admin.tenancy import CLOSURES, LONGEST, Motion, Rows
from services.admin.words import many, moment, shortened
from shared.jobs import SENDS, TIMEOUTS, WEBHOOKS
from shared.limits.config import subject_of
from shared.store.limit_rows import Scope
from shared.store.tenant_rows import COUNTED

_NAME = 80  # characters
_PARKED = 5  # senders told of
_AWAY = "Redis does not answer: what is in line, what runs and what limits leave is not known."


@dataclass(frozen=True, slots=True)
class Work:
    """How much of a tenant's work is where in a queue; rows are counted up to 1,000.

    `due` waits for its place in line, `line` and `running` are in the queue (None: Redis does not say),
    `later` is not due. `wrong` counts what went wrong, by how it did.
    """

    queue: str
    due: str
    line: str | None
    running: str | None
    later: str
    wrong: Mapping[str, str]


def work(rows: Rows, motion: Motion | None) -> list[Work]:
    """A row a queue."""
    counts = rows.work
    sends = {"failed": counts.sends_failed, "without a known outcome": counts.sends_unknown}
    return [
        _work(
            motion,
            WEBHOOKS.name,
            counts.deliveries_received,
            counts.deliveries_parked,
            {"failed": counts.deliveries_failed},
        ),
        _work(motion, SENDS.name, counts.sends_due, counts.sends_later, sends),
        _work(motion, TIMEOUTS.name, counts.timeouts_due, counts.timeouts_later, {}),
    ]


def holds(rows: Rows, motion: Motion | None, shown: Callable[[str], str]) -> list[str]:
    """A sentence for each thing that holds work back; none where nothing does.

    `shown` masks what people wrote, for whoever may not see all.
    """
    if motion is None:
        return [*_paused(rows, shown), *_closed(rows), _AWAY, *_held(rows)]
    return [*_unserved(motion), *_paused(rows, shown), *_closed(rows), *_parked(rows, motion), *_held(rows)]


def _unserved(motion: Motion) -> Iterator[str]:
    for queue in motion.closed:
        yield f"{queue} is closed: dispatch opens it within seconds; look at dispatch's log if it stays so."
    for queue in motion.deserted:
        if any(motion.lanes[queue].values()):
            yield f"No worker is there for {queue}."


def _paused(rows: Rows, shown: Callable[[str], str]) -> Iterator[str]:
    for pause in rows.pauses:
        whose = "The tenant" if pause.own else "Every tenant"
        what = f" in {pause.queue}" if pause.queue else ""
        because = f": {shortened(shown(pause.reason))}" if pause.reason else ""
        yield f"{whose} is paused{what} since {moment(pause.paused_at)}{because}."


def _closed(rows: Rows) -> Iterator[str]:
    for closed in rows.closures[:CLOSURES]:
        who = shortened(closed.address, _NAME) if closed.address else f"Every {closed.channel} sender"
        until = moment(closed.until) if closed.until else "somebody reopens it"
        yield f"{who} is closed ({closed.reason}) until {until}."
    if len(rows.closures) > CLOSURES:
        yield f"More senders are closed than these {CLOSURES}."


def _parked(rows: Rows, motion: Motion) -> Iterator[str]:
    lines, parked = motion.lanes[SENDS.name], []
    for sender in rows.lanes:
        scope = Scope(rows.tenant.id, sender.channel, sender.id)
        line = lines[subject_of(scope)]
        if line and subject_of(scope) in motion.usage and (why := waits(motion, scope)):
            parked.append((line, sender, why))
    parked.sort(key=lambda each: each[0], reverse=True)
    for line, sender, why in parked[:_PARKED]:
        who = shortened(sender.address, _NAME)
        yield f"{who} ({sender.channel}) has {many(line, 'send')} in line. {why}."
    if len(parked) > _PARKED:
        more = many(len(parked) - _PARKED, "more sender")
        yield f"{more} of the {LONGEST} with the longest lines wait too."


def _held(rows: Rows) -> Iterator[str]:
    if rows.work.held:
        held = _up_to(rows.work.held)
        yield f"{held} of its sends and waits are held until their campaign or contact goes on."


def _work(motion: Motion | None, queue: str, due: int, later: int, wrong: Mapping[str, int]) -> Work:
    line, running = None, None
    if motion is not None:
        line = f"{sum(motion.lanes[queue].values()):,}"
        running = f"{motion.running[queue].count:,}{'+' if motion.running[queue].more else ''}"
    shown = {how: _up_to(count) for how, count in wrong.items() if count}
    return Work(queue, _up_to(due), line, running, _up_to(later), shown)


def _up_to(count: int) -> str:
    return f"{count:,}{'+' if count == COUNTED else ''}"
