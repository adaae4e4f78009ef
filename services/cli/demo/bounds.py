"""What the figures of a run may be, and a sentence for each that is not. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.cli.demo.books import FAULTS, Run, figures, happenings, sent_while_paused
from services.cli.demo.witness import Witness
from shared.store.books import Books

PEAK_USE = 0.9
KILLS = 3
PROCESSES = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures, and a sentence for each bound that does not hold; each begins with the figure's name."""

    figures: Mapping[str, Any]
    broken: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every bound holds."""
        return not self.broken

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `outreach demo --json`."""
        return {"ok": self.ok, **self.figures}


@dataclass(frozen=True, slots=True)
class Case:
    """What a bound looks at."""

    run: Run
    books: Books
    witness: Witness
    figures: Mapping[str, Any]


Bound = Callable[[Case], str | None]
"""A sentence about what is wrong, or None."""


def judge(run: Run, books: Books, witness: Witness) -> Verdict:
    """The verdict on a run."""
    case = Case(run, books, witness, figures(run, books, witness))
    sentences = (bound(case) for bound in BOUNDS)
    return Verdict(case.figures, tuple(sentence for sentence in sentences if sentence))


def _none(name: str, meaning: str) -> Bound:
    def bound(case: Case) -> str | None:
        found = case.figures[name]
        return f"{name}: {found} {meaning}." if found else None

    return bound


def _at_least(name: str, least: float, meaning: str) -> Bound:
    def bound(case: Case) -> str | None:
        found: Any = case.figures
        for part in name.split("."):
            found = found[part]
        return f"{name}: {found}, where at least {least} {meaning}." if found < least else None

    return bound


def _everybody_left(case: Case) -> str | None:
    contacts, exited = case.figures["contacts"], case.figures["exited"]
    return None if exited == contacts else f"exited: {exited} of {contacts} contacts left their campaign."


def _unconfirmed(case: Case) -> str | None:
    found, faults = case.figures["sends"]["unconfirmed"], case.figures["faults"]
    most = faults["cut_after"] + faults["5xx"] + case.run.send_kills * case.run.send_concurrency
    if found <= most:
        return None
    return f"sends.unconfirmed: {found} sends, where the faults explain no more than {most}."


def _copies_recognised(case: Case) -> str | None:
    kept, happened = case.figures["webhooks"]["events"], happenings(case.witness)
    if kept != happened:
        return f"webhooks.duplicates: {kept} events were kept of {happened} that happened."
    return None if case.figures["webhooks"]["duplicates"] else "webhooks.duplicates: nothing was told twice."


def _pause_held(case: Case) -> str | None:
    found = sent_while_paused(case.run, case.books)
    return f"pause: {found} sends of a tenant began during its pause." if found else None


def _exits(case: Case) -> str | None:
    missing = [name for name, found in case.figures["exits"].items() if not found]
    return f"exits: nobody left by {', '.join(missing)}." if missing else None


BOUNDS: tuple[Bound, ...] = (
    _everybody_left,
    _exits,
    _at_least("sends.accepted", 1, "message was to be accepted"),
    _unconfirmed,
    _none("duplicate_messages", "messages reached a contact that had the same one already"),
    _none("lost", "messages, due rows or contacts are missing in one of the two books"),
    _none("early_timeouts", "timeouts fired before their grace was over, or against an answer in time"),
    _none("limit_violations", "times more than a limit allows was sent within its window"),
    _at_least("refusals", 1, "job was to meet a full window"),
    _at_least("peak_use", PEAK_USE, "of some minute window was to be used"),
    _copies_recognised,
    _at_least("webhooks.late_in_grace", 1, "answer was to arrive within the grace"),
    *(_at_least(f"faults.{name}", 1, "was to happen") for name in FAULTS),
    _at_least("kills", KILLS, "workers were to be killed"),
    _at_least("flushes", 1, "flush of Redis was to happen"),
    _at_least("processes", PROCESSES, "processes were to take part"),
    _pause_held,
)
