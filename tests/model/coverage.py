"""What a run did: transition × outcome, and whether a long one did enough of each."""

from collections import Counter

LONG = 100_000
"""Steps from which on a run must have done enough."""

LEAST_EFFECTIVE = 1_000
LEAST_OF_A_WORD = 50
SELDOM = {"drain": 200, "obliterate": 200}
"""Effective steps that are enough of what empties a queue: after each there is less to do for all others."""

COVERAGE: Counter[tuple[str, str]] = Counter()
"""Transition and outcome, counted over a whole run."""

STEP = ("step", "compared")

_VERDICTS = ("completed", "failed", "retry", "released", "deferred", "held", "skipped", "cancelled")

EFFECTIVE: dict[str, set[str]] = {
    "enqueue": {"created", "created again"},
    "claim": {
        "jobs",
        "through a pause",
        "newer",
        *(f"doomed {reason}" for reason in ("cost", "expired", "version")),
    },
    "settle": {
        *(f"{verdict} ok" for verdict in _VERDICTS),
        *(f"{verdict} cancelled" for verdict in ("failed", "retry", "released", "deferred")),
    },
    "settle and claim": {"jobs"},
    "extend": {"held", "cancelled"},
    "report": {"kept"},
    "reap": {"expired", "aged out", "doomed stalled", "doomed cancelled"},
    "promote": {"delayed"},
    "reprioritise": {"changed"},
    "reschedule": {"waiting changed", "delayed changed"},
    "retry": {"failed"},
    "remove": {"removed"},
    "cancel": {"removed", "cancelling"},
    "clean": {"completed gone", "failed gone"},
    "drain": {"gone", "looked"},
    "obliterate": {"more", "done"},
    "pause": {"queue", "tenant"},
    "resume": {"queue", "tenant"},
    "configure": {"open", "paused", "closed"},
    "opening": {"opened"},
    "flush": {"done"},
    "clock": {"back"},
}
"""By transition: the words of steps that changed something."""

IDLE: dict[str, set[str]] = {
    "enqueue": {"duplicate", "conflict"},
    "claim": {"none", "closed", "paused"},
    "settle": {f"{verdict} lease_lost" for verdict in _VERDICTS},
    "settle and claim": {"none", "closed", "paused"},
    "extend": {"lost"},
    "report": {"lost"},
    "reap": {"none", "closed"},
    "promote": {"none"},
    "reprioritise": {"unchanged", "active", "finished", "absent"},
    "reschedule": {"active", "finished", "absent"},
    "retry": {"none"},
    "remove": {"absent", "active"},
    "cancel": {"absent", "finished"},
    "clean": {"completed none", "failed none"},
    "drain": {"none"},
    "obliterate": {"serving", "active"},
    "opening": {"superseded"},
}
"""By transition: the words of steps that did not."""


def saw(transition: str, outcome: object) -> None:
    """Count a step, under a word that is listed above."""
    assert str(outcome) in EFFECTIVE[transition] | IDLE.get(transition, set()), f"{transition}: {outcome}?"
    COVERAGE[transition, str(outcome)] += 1


def table() -> str:
    """Transition × outcome, counted."""
    rows = [
        f"{transition:18} {outcome:24} {times:8}\n"
        for (transition, outcome), times in sorted(COVERAGE.items())
    ]
    return "".join(rows)


def shortfalls() -> list[str]:
    """What a long run did not do often enough."""
    found = []
    for transition, words in EFFECTIVE.items():
        times = sum(COVERAGE[transition, word] for word in words)
        least = SELDOM.get(transition, LEAST_EFFECTIVE)
        if times < least:
            found.append(f"{transition}: {times} effective steps, fewer than {least}")
        for word in sorted(words | IDLE.get(transition, set())):
            if COVERAGE[transition, word] < LEAST_OF_A_WORD:
                found.append(
                    f"{transition}: {COVERAGE[transition, word]} × {word}, fewer than {LEAST_OF_A_WORD}"
                )
    return found
