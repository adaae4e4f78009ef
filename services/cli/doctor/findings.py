"""What a check answers."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple


class Verdict(StrEnum):
    """How a check ended. A fault keeps work from being done, or is about to; a warning is worth a look."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    UNCHECKED = "unchecked"


class Answer(NamedTuple):
    """A verdict, and a sentence that says what was found and, where it is not well, what to do."""

    verdict: Verdict
    sentence: str


class Finding(NamedTuple):
    """An answer under the name of its check, which stays the same from release to release."""

    check: str
    verdict: Verdict
    sentence: str

    def row(self) -> dict[str, Any]:
        """As it is printed, and as JSON."""
        return {"verdict": self.verdict.value, "check": self.check, "sentence": self.sentence}


def ok(sentence: str) -> Answer:
    """All is well."""
    return Answer(Verdict.OK, sentence)


def warning(sentence: str) -> Answer:
    """Worth a look."""
    return Answer(Verdict.WARNING, sentence)


def fault(sentence: str) -> Answer:
    """Something does not work, or soon will not."""
    return Answer(Verdict.FAULT, sentence)


def unchecked(sentence: str) -> Answer:
    """Nobody could look."""
    return Answer(Verdict.UNCHECKED, sentence)


def status(findings: Iterable[Finding]) -> int:
    """The exit status: 1 where there is a fault; warnings alone leave it 0."""
    return int(any(finding.verdict is Verdict.FAULT for finding in findings))


def summary(findings: Iterable[Finding]) -> str:
    """What there is, in one sentence."""
    verdicts = [finding.verdict for finding in findings]
    counts = {each: verdicts.count(each) for each in (Verdict.FAULT, Verdict.WARNING, Verdict.UNCHECKED)}
    said = [
        f"{count} {verdict.value if verdict is Verdict.UNCHECKED or count == 1 else f'{verdict.value}s'}"
        for verdict, count in counts.items()
        if count
    ]
    return f"{', '.join(said)}." if said else "Nothing needs attention."
