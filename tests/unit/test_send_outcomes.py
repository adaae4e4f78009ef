"""What each answer of a provider means for the row, the charge and the sender (design §7.4)."""

import random
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from services.send.outcomes import ENDS, ending, not_begun, told
from shared.providers.base import Outcome, SendOutcome
from shared.settings import SendSettings

TENANT, ACTION, SENDER = UUID(int=1), UUID(int=2), UUID(int=3)
LATER = datetime(2026, 11, 25, 12, tzinfo=UTC)
SETTINGS = SendSettings()


def row(tries: int = 0) -> Any:
    return SimpleNamespace(tenant_id=TENANT, id=ACTION, g=4, channel="email", sender_id=SENDER, tries=tries)


@pytest.mark.parametrize(
    ("kind", "status", "tries", "given_back", "closure", "ambiguous"),
    [
        (Outcome.ACCEPTED, "accepted", 0, False, None, False),
        (Outcome.REJECTED, "failed", 0, False, None, False),
        (Outcome.UNKNOWN, "unknown", 0, False, None, True),
        (Outcome.RATE_LIMITED, "pending", 0, False, "rate_limited", False),
        (Outcome.SENDER_CLOSED, "pending", 0, False, "unauthorized", None),
        (Outcome.NOT_CONNECTED, "pending", 1, True, None, None),
        (Outcome.NOT_TAKEN, "pending", 1, False, None, False),
    ],
)
def test_each_outcome_has_its_status_try_charge_and_closure(
    kind: Outcome, status: str, tries: int, given_back: bool, closure: str | None, ambiguous: bool | None
) -> None:
    ended = ending(row(), SendOutcome(kind, message_id="m", reason="why", until=LATER), SETTINGS)
    record = ended.record
    assert (record.status, record.tries, record.given_back, ended.ambiguous) == (
        status,
        tries,
        given_back,
        ambiguous,
    )
    assert (record.tenant_id, record.id, record.g, record.outcome) == (TENANT, ACTION, 4, kind)
    assert (ended.closure.reason if ended.closure else None) == closure


def test_the_figures_know_every_outcome_with_what_the_row_then_is() -> None:
    found = {
        (each.record.outcome, each.record.status)
        for tries in (0, SETTINGS.attempts)
        for each in (
            not_begun(row(tries)),
            *(ending(row(tries), SendOutcome(kind, until=LATER), SETTINGS) for kind in Outcome),
        )
    }
    assert found == set(ENDS)


def test_a_429_closes_the_lane_until_the_reset_time_and_uses_no_attempt() -> None:
    ended = ending(row(), SendOutcome(Outcome.RATE_LIMITED, until=LATER), SETTINGS)
    assert ended.closure is not None
    assert (ended.closure.until, ended.record.due_at, ended.record.tries) == (LATER, LATER, 0)


def test_a_refused_account_closes_the_sender_until_an_operator_reopens_it() -> None:
    ended = ending(row(), SendOutcome(Outcome.SENDER_CLOSED), SETTINGS)
    assert ended.closure is not None
    assert ended.closure.until is None


@pytest.mark.parametrize("kind", [Outcome.NOT_CONNECTED, Outcome.NOT_TAKEN])
def test_a_send_that_used_up_its_attempts_has_failed(kind: Outcome) -> None:
    assert ending(row(tries=1), SendOutcome(kind), SETTINGS).record.status == "pending"
    assert ending(row(tries=2), SendOutcome(kind), SETTINGS).record.status == "failed"


def test_the_pause_before_a_retry_is_jittered_under_a_ceiling_that_doubles_up_to_the_cap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = SETTINGS.model_copy(update={"attempts": 99})
    for tries, ceiling in ((0, 2), (1, 4), (2, 8), (10, 300)):
        for share in (0.0, 0.5, 1.0):
            monkeypatch.setattr(random, "random", lambda share=share: share)
            ended = ending(row(tries), SendOutcome(Outcome.NOT_TAKEN), settings)
            assert ended.record.delay == timedelta(seconds=ceiling * share)


def test_a_request_that_came_too_late_to_begin_goes_back_with_its_charge_and_uses_no_attempt() -> None:
    ended = not_begun(row(tries=2))
    assert (ended.record.status, ended.record.tries, ended.record.given_back) == ("pending", 0, True)
    assert ended.record.delay > timedelta(0)
    assert (ended.closure, ended.ambiguous) == (None, None)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Outcome.REJECTED, "rejected: the send is failed"),
        (Outcome.RATE_LIMITED, "rate_limited: the send is pending until 2026-11-25 12:00:00 UTC"),
    ],
)
def test_the_log_of_a_job_says_what_became_of_its_send_but_quotes_no_provider(
    kind: Outcome, said: str
) -> None:
    assert told(ending(row(), SendOutcome(kind, reason="jo@example.org", until=LATER), SETTINGS)) == said
