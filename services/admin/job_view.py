"""A job as its page shows it: its row, where Redis has it, what holds it back, and what can be done."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.admin.browsing import Browsing, Found
from services.admin.overview import QueueNow
from services.admin.screen import Screen
from services.admin.words import beside, duration, many, moment, moment_ms
from shared.errors import JobMoved, NotFound, StoreUnavailable
from shared.jobs import SENDS, JobState
from shared.loop import AWAY
from shared.operate import Desk
from shared.queue.checks import PRIORITIES
from shared.queue.standing import Usage

_PAYLOAD = 2_000  # characters shown

_ACTS: Mapping[str, Sequence[str]] = {
    "pending": ("promote", "remove"),
    "held": ("remove",),
    "failed": ("retry",),
    "received": ("remove",),
    "parked": ("retry", "remove"),
}
_ACTS_IN_REDIS: Mapping[JobState | None, Sequence[str]] = {
    JobState.WAITING: ("remove",),
    JobState.DELAYED: ("promote", "remove"),
    JobState.ACTIVE: ("cancel",),
    JobState.FAILED: ("retry", "remove"),
    JobState.COMPLETED: ("retry", "remove"),
    None: ("retry", "remove"),
}


@dataclass(frozen=True, slots=True)
class JobView:
    """A job. `row`: None for one without; `found`: None where Redis has it no more.

    `moved`: its id now, where its row is in another generation. `away`: the server that does not answer.
    """

    row: Mapping[str, Any] | None
    found: Found | None
    moved: str
    away: str

    @property
    def is_there(self) -> bool:
        """Whether a row, or Redis, knows of it."""
        return self.row is not None or self.found is not None

    @property
    def status(self) -> str:
        """What the row says of it; "" without one."""
        row = self.row or {}
        return str(row.get("status") or row.get("state") or "")

    @property
    def acts(self) -> Sequence[str]:
        """What can be done to it: the row decides, and while it says that the job is on its way, Redis."""
        if self.status in ("enqueued", "processing") and not self.away:
            return _ACTS_IN_REDIS[self.found.seen.state if self.found is not None else None]
        if self.status == "pending" and not self._is_put_off:
            return ("remove",)
        return _ACTS.get(self.status, ())

    @property
    def _is_put_off(self) -> bool:
        """Whether it is a send that is due later: a timeout keeps its time."""
        row = self.row
        return row is not None and row["queue"] == SENDS.name and row["due_at"] > datetime.now(UTC)

    @property
    def priorities(self) -> Sequence[int]:
        """The priorities that it can be given."""
        found = self.found
        if found is None or self.status not in ("enqueued", "received", "processing"):
            return ()
        in_line = found.seen.state in (JobState.WAITING, JobState.DELAYED)
        return [each for each in range(PRIORITIES) if each != found.carries.priority] if in_line else ()

    @property
    def progress(self) -> float | None:
        """How far its worker said it is, from 0 to 1, where it said so in a number."""
        told = self.found.reported.progress if self.found is not None else None
        return float(told) if isinstance(told, int | float) else None

    @property
    def told(self) -> str:
        """How far its worker said it is, where it said so in more than a number."""
        told = self.found.reported.progress if self.found is not None else None
        return json.dumps(told, ensure_ascii=False) if isinstance(told, dict) else ""

    def waits_for(self, now: QueueNow) -> list[str]:
        """What holds it back while it waits, in sentences."""
        if self.row is not None and self.status == "pending":
            return [*_pauses(now), *_due(self.row)]
        if self.status == "held":
            return ["A pause holds it: of its queue, its tenant, its campaign or its enrolment."]
        if self.found is None:
            return []
        if self.found.seen.state is not JobState.WAITING:
            return []
        return [*_queue(now), *(each for usage in self.found.usage for each in _subject(usage, self.found))]

    def at(self, ms: int) -> str:
        """A time of the engine, and how far it is from now by its clock."""
        timing = self.found.timing if self.found is not None else None
        return beside(ms, timing.now_ms) if timing is not None else moment_ms(ms)

    @property
    def limits(self) -> list[tuple[str, Usage]]:
        """What it is charged to, by name, where there is a limit."""
        usage = self.found.usage if self.found is not None else ()
        return [(subject_name(each.subject), each) for each in usage if each.windows or each.cap is not None]

    @property
    def delivery_id(self) -> str:
        """The delivery that a webhook's job points at."""
        return self.row["id"].split(":")[1] if self.row is not None else ""

    def payload(self, screen: Screen) -> str:
        """The beginning of what it carries, as its viewer may see it."""
        if self.found is None:
            return ""
        # Masked before it is cut, or half an address could stand at its end.
        text = self.found.carries.payload[: 4 * _PAYLOAD].decode(errors="replace")
        return screen.shown(text)[:_PAYLOAD]


async def look(name: str, job_id: str, browsing: Browsing, desk: Desk) -> JobView:
    """A job of a queue. Raises what a server that is away raises, where the other knows of no such job."""
    row, found, moved = None, None, ""
    away: Exception | None = None
    try:
        row = await desk.row(job_id)
    except JobMoved as error:
        moved = error.job
    except NotFound:
        pass
    except StoreUnavailable as error:
        away = error
    try:
        found = await browsing.job(name, job_id)
    except AWAY as error:
        away = error
    view = JobView(row if row is not None and row["queue"] == name else None, found, moved, _server(away))
    if away is not None and not view.is_there:
        raise away
    return view


def _server(away: Exception | None) -> str:
    if away is None:
        return ""
    return "Postgres" if isinstance(away, StoreUnavailable) else "Redis"


def _due(row: Mapping[str, Any]) -> Iterator[str]:
    due: datetime = row["due_at"]
    if due > datetime.now(UTC):
        yield f"It is due at {moment(due)}."
    else:
        yield f"It is due since {moment(due)}: dispatch takes it up when its lane has room."


def _pauses(now: QueueNow) -> Iterator[str]:
    for of, pause in now.pauses.items():
        yield f"{'Its queue' if of else 'Everything'} is paused since {moment(pause.since)}."


def _queue(now: QueueNow) -> Iterator[str]:
    yield from _pauses(now)
    if now.card is not None and now.card.queue.closed:
        yield "Its queue is closed, until dispatch opens it."
    if now.card is not None and not now.card.queue.workers:
        yield "No worker of its queue was seen lately."


def _subject(usage: Usage, found: Found) -> Iterator[str]:
    subject = subject_name(usage.subject)
    if usage.paused:
        yield f"{subject} is paused."
    if usage.closed_until_ms > usage.now_ms:
        yield f"{subject} is closed until {beside(usage.closed_until_ms, usage.now_ms)}."
    if usage.cap is not None and usage.running >= usage.cap:
        yield f"{subject} runs {many(usage.running, 'job')} at once, and may run no more."
    for window in usage.windows:
        if window.used + found.carries.cost > window.limit:
            yield (
                f"{subject} has used {window.used:,} of {window.limit:,} in {duration(window.length)};"
                f" the first of that is free at {beside(window.frees_ms, usage.now_ms)}."
            )


def subject_name(subject: str) -> str:
    """A subject of limits in words."""
    parts = subject.split("/")
    return ("Its tenant", f"Its tenant's {parts[1]}" if len(parts) > 1 else "", "Its sender")[len(parts) - 1]
