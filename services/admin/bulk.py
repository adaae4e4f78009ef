"""Acts on many jobs at once: each by its row, whatever becomes of the others, in a bounded time."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.admin.lists import by_rows
from services.admin.words import many, shortened
from shared.errors import Conflict, NotFound
from shared.jobs import SENDS, TIMEOUTS, WEBHOOKS, JobState
from shared.operate import Desk

WITHIN = timedelta(seconds=5)
"""A page that acts on many answers in about this time, and says what is left."""

_TICK = re.compile(r"tick(\d{1,3})")
_DID = {"retry": "retried", "promote": "promoted", "remove": "removed", "cancel": "cancelled"}
_ENDS = {
    SENDS.name: " Their contacts take the failed edge.",
    TIMEOUTS.name: " Their contacts leave the campaign.",
    WEBHOOKS.name: " Their deliveries fail, and can be replayed.",
}
_OF_STATE: Mapping[JobState, tuple[str, ...]] = {
    JobState.WAITING: ("remove",),
    JobState.DELAYED: ("promote", "remove"),
    JobState.ACTIVE: ("cancel",),
    JobState.COMPLETED: (),
    JobState.FAILED: ("retry", "remove"),
}


def acts(queue: str, state: JobState) -> tuple[str, ...]:
    """What can be done to jobs of a list."""
    return ("retry",) if by_rows(queue, state) else _OF_STATE[state]


def question(act: str, queue: str, count: str) -> str:
    """What is asked before many are acted on; `count` has their name, as `3 jobs`."""
    return f"{act.capitalize()} {count}?{ends(queue) if act in ('remove', 'cancel') else ''}"


def ends(queue: str) -> str:
    """What comes of ending jobs of a queue, as a sentence that follows another."""
    return _ENDS[queue]


def ticked(form: Mapping[str, str]) -> list[str]:
    """The ids that were ticked in a list, or all of it."""
    rows = {name.removeprefix("row"): value for name, value in form.items() if name.startswith("row")}
    if form.get("page") == "yes":
        return list(rows.values())
    found = (_TICK.fullmatch(name) for name in form)
    return [rows[each[1]] for each in found if each is not None and each[1] in rows]


@dataclass(frozen=True, slots=True)
class Done:
    """What became of many; `late` were not reached in time."""

    act: str
    done: int
    refused: Sequence[str]
    late: int

    @property
    def sentence(self) -> str:
        """All of it in words, and the first refusal whole."""
        said = [f"{many(self.done, 'job')} {_DID[self.act]}."]
        if self.refused:
            others = f" (and {len(self.refused) - 1:,} more)" if len(self.refused) > 1 else ""
            said.append(f"{len(self.refused):,} refused: {shortened(self.refused[0])}{others}")
        if self.late:
            said.append(f"{many(self.late, 'job')} not reached in time: once more, please.")
        return " ".join(said)


async def each(desk: Desk, act: str, ids: Sequence[str], within: timedelta = WITHIN) -> Done:
    """Act on each job, one at least; none is begun when `within` has passed."""
    begun, done, refused = time.monotonic(), 0, list[str]()
    for job in ids:
        if done + len(refused) and time.monotonic() - begun >= within.total_seconds():
            break
        try:
            await _one(desk, act, job)
            done += 1
        except (NotFound, Conflict) as error:
            refused.append(f"{job}: {error}")
    return Done(act, done, refused, len(ids) - done - len(refused))


async def _one(desk: Desk, act: str, job: str) -> None:
    match act:
        case "retry":
            await desk.retry(job)
        case "promote":
            await desk.promote(job)
        case "remove":
            await desk.remove(job)
        case _:
            await desk.cancel(job)
