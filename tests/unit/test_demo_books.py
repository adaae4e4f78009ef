"""The demo's verdict: books that agree are ok, and each figure can be wrong and is then named."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.cli.demo import witness
from services.cli.demo.books import Pause, Run
from services.cli.demo.bounds import judge
from services.cli.demo.witness import Witness
from shared.settings import LimitSettings
from shared.store.books import Action, Attempt, Books, Enrolment, Event, Limit

TENANT, SENDER = UUID(int=1), UUID(int=2)
T0 = datetime(2026, 11, 25, 12, tzinfo=UTC)
GRACE, WAIT = timedelta(seconds=2), timedelta(seconds=3)
EXITS = ("opened", "no_open", "clicked", "bounced", "failed")
API_KEY = "SG.key"


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def send(number: int, status: str = "accepted", reason: str | None = None) -> Action:
    return Action(
        TENANT, UUID(int=100 + number), "send", status, reason, visit(number), None, T0, T0, at(number)
    )


def visit(number: int) -> UUID:
    return UUID(int=200 + number)


def timeout(number: int, status: str = "fired", fired: float = 6) -> Action:
    """The no_open timeout of a send that was accepted at T0: due after 3 s, and fired after 6."""
    due = T0 + WAIT
    return Action(
        TENANT, UUID(int=300 + number), "timeout", status, None, visit(number), "no_open", due, due, at(fired)
    )


def attempt(seconds: float, given_back: bool = False) -> Attempt:
    return Attempt(TENANT, "email", SENDER, 1, at(seconds), at(seconds + 0.1), given_back)


def opened(number: int, occurred: float, received: float, automated: str = "none") -> Event:
    return Event(TENANT, visit(number), "open", automated, at(occurred), at(received))


def arrival(number: int, decision: str = "202", taken: bool = True, seconds: float | None = None) -> str:
    line = {
        "log": "arrival",
        "time": at(number if seconds is None else seconds).timestamp(),
        "api_key": None if decision == "cut_before" else API_KEY,
        "recipient": f"{number}@example.org",
        "action": str(UUID(int=100 + number)),
        "node": "hello",
        "decision": decision,
        "taken": taken,
    }
    return json.dumps(line) + "\n"


def told(post: int, message: str, seconds: int, event: str = "open") -> str:
    line = {
        "log": "event",
        "post": post,
        "message_id": message,
        "event": event,
        "timestamp": int(at(seconds).timestamp()),
    }
    return json.dumps(line) + "\n"


def answered(post: int, status: int | None = 204) -> str:
    return json.dumps({"log": "post", "post": post, "status": status}) + "\n"


LOG = [
    *(arrival(number) for number in range(5)),
    arrival(5, "429", taken=False),
    arrival(6, "5xx", taken=False),
    arrival(7, "cut_before", taken=False),
    arrival(8, "cut_after"),
    told(1, "m1", 2),
    answered(1),
    told(2, "m1", 2),  # the same under another event id
    told(2, "m2", 1),
    answered(2, None),
    answered(2),
    told(3, "m3", 1),
    answered(3, 503),
]
RUN = Run(
    contacts=5,
    accounts={API_KEY: TENANT},
    windows=LimitSettings(minute=timedelta(seconds=10)),
    grace=GRACE,
    send_concurrency=3,
    kills=3,
    send_kills=2,
    flushes=1,
    processes=8,
    refusals=12,
    seconds=61.25,
    pause=Pause(TENANT, at(30), at(40)),
)
BOOKS = Books(
    enrolments=[Enrolment(TENANT, UUID(int=400 + n), name) for n, name in enumerate(EXITS)],
    actions=[
        *(send(number) for number in (0, 1, 2, 3, 4, 8)),
        send(6, "failed", "unconfirmed"),
        send(9, "skipped", "suppressed"),
        send(10, "failed", "rejected"),
        timeout(0),
        timeout(1, "cancelled"),
    ],
    attempts=[*(attempt(number / 10) for number in range(9)), attempt(1, given_back=True)],
    events=[
        opened(1, occurred=2, received=4),  # in the grace of a timeout that it cancelled
        opened(0, occurred=4, received=4.5),  # after the due time, so the timeout was right
    ],
    limits=[Limit(TENANT, "email", None, "minute", 10)],
)


def verdict(
    run: Run = RUN, books: Books = BOOKS, log: list[str] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The JSON, and the names of what is broken."""
    found = judge(run, books, witness.read(LOG if log is None else log))
    return found.as_json(), [sentence.partition(":")[0] for sentence in found.broken]


def test_books_that_agree_are_ok_and_every_figure_is_told() -> None:
    assert verdict() == (
        {
            "ok": True,
            "contacts": 5,
            "exited": 5,
            "exits": dict.fromkeys(EXITS, 1),
            "sends": {"accepted": 6, "skipped": 1, "failed": 1, "unconfirmed": 1},
            "duplicate_messages": 0,
            "lost": 0,
            "early_timeouts": 0,
            "limit_violations": 0,
            "refusals": 12,
            "peak_use": 0.9,
            "webhooks": {"posts": 2, "events": 2, "duplicates": 1, "late_in_grace": 1},
            "faults": {"429": 1, "5xx": 1, "cut_before": 1, "cut_after": 1},
            "kills": 3,
            "flushes": 1,
            "processes": 8,
            "seconds": 61.2,
        },
        [],
    )


def test_a_line_that_was_being_written_is_left_out_of_the_log() -> None:
    assert witness.read([*LOG, '{"log": "arri']) == witness.read(LOG)


def changed(**parts: Any) -> Books:
    return replace(BOOKS, **parts)


def without_exit(enrolments: list[Enrolment]) -> list[Enrolment]:
    return [enrolments[0]._replace(exit=None), *enrolments[1:]]


WRONG: dict[str, tuple[list[str], Callable[[], tuple[dict[str, Any], list[str]]]]] = {
    "a contact that never left": (
        ["exited", "exits", "lost"],
        lambda: verdict(books=changed(enrolments=without_exit(BOOKS.enrolments))),
    ),
    "a contact that was never enrolled": (["exited", "lost"], lambda: verdict(replace(RUN, contacts=6))),
    "an exit that nobody took": (
        ["exits"],
        lambda: verdict(
            books=changed(
                enrolments=[
                    each._replace(exit="opened" if n else "failed") for n, each in enumerate(BOOKS.enrolments)
                ]
            )
        ),
    ),
    "nothing accepted": (
        ["sends.accepted"],
        lambda: verdict(
            books=changed(actions=[action for action in BOOKS.actions if action.status != "accepted"]),
            log=[line for line in LOG if '"taken": true' not in line]
            + [arrival(8, "cut_after", taken=False)],
        ),
    ),
    "more unconfirmed than the faults explain": (
        ["sends.unconfirmed"],
        lambda: verdict(
            books=changed(
                actions=[*BOOKS.actions, *(send(number, "failed", "unconfirmed") for number in range(20, 28))]
            )
        ),
    ),
    "a message taken twice": (
        ["duplicate_messages"],
        lambda: verdict(log=[*LOG, arrival(1, seconds=20)]),
    ),
    "a message that Postgres does not know of": (
        ["lost"],
        lambda: verdict(log=[*LOG, arrival(9, "202", taken=True, seconds=20)]),
    ),
    "a message that the provider does not know of": (
        ["lost"],
        lambda: verdict(books=changed(actions=[*BOOKS.actions, send(20)])),
    ),
    "a due row in no end state": (
        ["lost"],
        lambda: verdict(books=changed(actions=[*BOOKS.actions, send(20, "enqueued")])),
    ),
    "a send whose outcome nobody knows": (
        ["lost"],
        lambda: verdict(books=changed(actions=[*BOOKS.actions, send(20, "unknown")])),
    ),
    "a timeout that fired against an open in time": (
        ["early_timeouts"],
        lambda: verdict(books=changed(actions=[*BOOKS.actions, timeout(1)])),
    ),
    "a timeout that fired within its grace": (
        ["early_timeouts"],
        lambda: verdict(books=changed(actions=[*BOOKS.actions, timeout(5, fired=4.9)])),
    ),
    "more attempts than the limit in a window": (
        ["limit_violations"],
        lambda: verdict(books=changed(attempts=[*BOOKS.attempts, *(attempt(9 + n / 10) for n in range(2))])),
    ),
    "more arrivals than the limit in a window": (
        ["limit_violations"],
        lambda: verdict(log=[*LOG, *(arrival(5, "429", False, 8 + n / 10) for n in range(3))]),
    ),
    "no refusal": (["refusals"], lambda: verdict(replace(RUN, refusals=0))),
    "windows hardly used": (
        ["peak_use"],
        lambda: verdict(books=changed(attempts=BOOKS.attempts[:8])),
    ),
    "a copy of an event kept as another": (
        ["webhooks.duplicates"],
        lambda: verdict(books=changed(events=[*BOOKS.events, opened(2, 20, 20)])),
    ),
    "an event lost": (
        ["webhooks.duplicates"],
        lambda: verdict(books=changed(events=BOOKS.events[:1])),
    ),
    "nothing told twice": (
        ["webhooks.duplicates"],
        lambda: verdict(
            log=[line for line in LOG if '"post": 2' not in line] + [told(4, "m2", 1), answered(4)]
        ),
    ),
    "nothing late in the grace": (
        ["webhooks.late_in_grace"],
        lambda: verdict(books=changed(events=[opened(1, 2, 2.5), BOOKS.events[1]])),
    ),
    "too few kills": (["kills"], lambda: verdict(replace(RUN, kills=2))),
    "no flush": (["flushes"], lambda: verdict(replace(RUN, flushes=0))),
    "too few processes": (["processes"], lambda: verdict(replace(RUN, processes=4))),
    "a send of the paused tenant": (
        ["pause"],
        lambda: verdict(books=changed(attempts=[*BOOKS.attempts, attempt(35)])),
    ),
    **{
        f"no {fault}": (
            [f"faults.{fault}"],
            lambda fault=fault: verdict(
                log=[line.replace(f'"decision": "{fault}"', '"decision": "202"') for line in LOG]
            ),
        )
        for fault in ("429", "5xx", "cut_before", "cut_after")
    },
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_and_nothing_else(case: str) -> None:
    names, judged = WRONG[case]

    figures, broken = judged()

    assert (figures["ok"], broken) == (False, names)


def test_what_an_open_must_not_speak_against_is_no_early_timeout() -> None:
    innocent = [
        opened(20, occurred=4, received=4),  # after the due time
        opened(20, occurred=2, received=5),  # received when the grace was over
        opened(20, occurred=2, received=3, automated="mpp"),  # nobody's
        Event(TENANT, visit(20), "delivered", "none", at(1), at(1)),  # no answer
    ]
    figures, broken = verdict(
        books=changed(actions=[*BOOKS.actions, timeout(20)], events=[*BOOKS.events, *innocent])
    )
    assert (figures["early_timeouts"], broken) == (0, ["webhooks.duplicates"])


def test_a_window_is_half_open_and_an_attempt_given_back_counts_nowhere() -> None:
    books = changed(
        attempts=[
            *(attempt(0) for _ in range(10)),
            *(attempt(10) for _ in range(10)),
            *(attempt(10, given_back=True) for _ in range(10)),
        ]
    )
    assert verdict(books=books)[0]["limit_violations"] == 0


def test_a_request_held_and_never_taken_is_no_arrival_when_it_is_let_go() -> None:
    log = [*LOG, *(arrival(30, "held", taken=False, seconds=8) for _ in range(10))]
    assert verdict(log=log)[0]["limit_violations"] == 0


def test_without_a_log_and_without_rows_everything_is_missing() -> None:
    found = judge(replace(RUN, pause=None), Books([], [], [], [], []), Witness([], []))
    assert (found.figures["peak_use"], found.figures["lost"], found.ok) == (0, 5, False)
