"""What a handler returned or raised, as the settlement of its job."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from taskiq.exceptions import NoResultError, TaskRejectedError

from shared.broker.context import JobContext
from shared.broker.endings import Ended, raised, released, returned
from shared.errors import Defer, RateLimited, StoreUnavailable, Unrecoverable
from shared.jobs import QUEUES, QueueSpec
from shared.queue.types import ClaimedJob, Settlement, Verdict

SPEC = QueueSpec(
    "tests:jobs", concurrency=1, priority=0, backoff=timedelta(seconds=2), backoff_cap=timedelta(seconds=60)
)
LATER = datetime(2026, 11, 25, 12, tzinfo=UTC)
LATER_MS = int(LATER.timestamp() * 1000)
CLAIMED_MS = 1_000_000


class Aged(JobContext):
    """A context of a fixed age, so that no test waits."""

    def age(self) -> timedelta:
        return timedelta(seconds=3)


JOB = ClaimedJob(
    id="j1",
    lane="acme/email/s1",
    token="7-1",
    attempt=1,
    max_attempts=3,
    payload=b"",
    annotations=b"",
    cost=1,
    priority=0,
    enqueued_ms=0,
    claimed_ms=CLAIMED_MS,
    timeout_ms=0,
)


def context(**changes: Any) -> JobContext:
    return Aged(JOB._replace(**changes), claimed_at=0.0)


def test_a_reason_holds_nothing_that_redis_or_postgres_refuses() -> None:
    said = "no \ud800 name\0" + "!" * 1000
    reasons = [
        returned(context(), Ended(Verdict.FAILED, reason=said)).reason,
        raised(context(), Unrecoverable(said), SPEC).reason,
    ]
    assert [reason[:24] for reason in reasons] == ["no � name�!!!!!!!!!!!!!!", "Unrecoverable: no � name"]
    assert [len(reason) for reason in reasons] == [500, 500]


def test_an_error_that_cannot_say_what_it_is_is_a_failed_attempt_like_any() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    settlement = raised(context(attempt=3), Mute(), SPEC)
    assert (settlement.verdict, settlement.reason) == (
        Verdict.FAILED,
        "Mute: it has no message that can be read",
    )


@pytest.mark.parametrize("value", [None, 5, {"success": True}])
def test_a_return_completes_the_job(value: object) -> None:
    assert returned(context(), value) == Settlement(JOB, Verdict.COMPLETED)


def test_a_handler_may_say_exactly_how_its_job_ends() -> None:
    ended = Ended(Verdict.COMPLETED, reason="late", refund=True)
    assert returned(context(), ended) == Settlement(JOB, Verdict.COMPLETED, reason="late", refund=True)

    ended = Ended(Verdict.DEFERRED, at=LATER, close=("acme/email", LATER))
    assert returned(context(), ended) == Settlement(
        JOB, Verdict.DEFERRED, at_ms=LATER_MS, close=("acme/email", LATER_MS)
    )


def test_a_store_that_is_away_uses_no_attempt() -> None:
    settlement = raised(context(attempt=3), StoreUnavailable(), SPEC)

    assert settlement.verdict is Verdict.DEFERRED
    assert settlement.at_ms == CLAIMED_MS + 3000 + 1000


@pytest.mark.parametrize("error", [Unrecoverable("no such row"), TaskRejectedError()])
def test_an_unrecoverable_job_fails_at_its_first_attempt(error: Exception) -> None:
    settlement = raised(context(attempt=1), error, SPEC)

    assert settlement.verdict is Verdict.FAILED
    assert settlement.reason == f"{type(error).__name__}: {error}"


@pytest.mark.parametrize(
    ("scope", "lane", "subject"),
    [
        ("sender", "acme/email/s1", "acme/email/s1"),
        ("tenant", "acme/email/s1", "acme/email"),
        ("tenant", "acme", "acme"),
    ],
)
def test_a_limited_job_waits_at_the_head_of_its_closed_lane_and_keeps_its_charge(
    scope: str, lane: str, subject: str
) -> None:
    settlement = raised(context(attempt=3, lane=lane), RateLimited(LATER, scope), SPEC)

    assert (settlement.verdict, settlement.refund, settlement.close) == (
        Verdict.RELEASED,
        False,
        (subject, LATER_MS),
    )


def test_a_deferred_job_runs_at_its_time_without_using_an_attempt() -> None:
    settlement = raised(context(attempt=3), Defer(LATER), SPEC)

    assert (settlement.verdict, settlement.at_ms) == (Verdict.DEFERRED, LATER_MS)


def test_any_other_error_is_tried_again_after_a_doubling_jittered_pause_up_to_the_cap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(random, "random", lambda: 1.0)
    pauses = [
        raised(context(attempt=attempt, max_attempts=100_000), ValueError("no"), SPEC).at_ms
        - CLAIMED_MS
        - 3000
        for attempt in (1, 2, 3, 6, 9999)
    ]
    assert pauses == [2000, 4000, 8000, 60_000, 60_000]

    monkeypatch.setattr(random, "random", lambda: 0.0)
    assert (
        raised(context(attempt=3, max_attempts=100_000), ValueError("no"), SPEC).at_ms - CLAIMED_MS - 3000
        == 0
    )


@pytest.mark.parametrize("spec", list(QUEUES.values()), ids=list(QUEUES))
def test_by_default_the_pause_is_2_s_at_most_and_doubles_up_to_5_min(
    monkeypatch: pytest.MonkeyPatch, spec: QueueSpec
) -> None:
    monkeypatch.setattr(random, "random", lambda: 1.0)
    pauses = [
        raised(context(attempt=attempt, max_attempts=99), ValueError("no"), spec).at_ms - CLAIMED_MS - 3000
        for attempt in (1, 2, 3, 8, 9, 98)
    ]
    assert pauses == [2000, 4000, 8000, 256_000, 300_000, 300_000]


def test_the_last_attempt_fails_with_its_reason() -> None:
    assert raised(context(attempt=2), ValueError("no"), SPEC).verdict is Verdict.RETRY
    assert raised(context(attempt=3), ValueError("no"), SPEC) == Settlement(
        JOB._replace(attempt=3), Verdict.FAILED, reason="ValueError: no"
    )


def test_a_reason_is_bounded() -> None:
    assert len(raised(context(attempt=3), ValueError("x" * 10_000), SPEC).reason) == 500


def test_taskiqs_no_result_completes_and_its_requeue_goes_to_the_end_of_the_lane() -> None:
    assert raised(context(), NoResultError(), SPEC) == Settlement(JOB, Verdict.COMPLETED)

    sent_again = context()
    sent_again.requeued = True
    assert raised(sent_again, NoResultError(), SPEC) == Settlement(
        JOB, Verdict.DEFERRED, at_ms=CLAIMED_MS + 3000
    )


@pytest.mark.parametrize(
    ("until", "at_ms"),
    [(datetime.min.replace(tzinfo=UTC), 0), (datetime.max.replace(tzinfo=UTC), 1 << 47)],
)
def test_a_time_beyond_what_the_engine_can_hold_is_the_nearest_it_can(until: datetime, at_ms: int) -> None:
    assert raised(context(), Defer(until), SPEC).at_ms == at_ms


def test_released_goes_back_without_a_word_about_its_charge() -> None:
    assert released(context()) == Settlement(JOB, Verdict.RELEASED)
