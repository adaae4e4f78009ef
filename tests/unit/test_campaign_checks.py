"""The checks before a send, and what suppression blocks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.campaigns.checks import CHECKS, Refusal, SendFacts, Stop, refusal
from shared.campaigns.suppression import Change, blocks, change, normalized
from shared.providers.base import BounceClass, DropReason, EventType, ProviderEvent

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
GOOD = SendFacts(
    now=NOW,
    queue_paused=False,
    tenant_paused=False,
    campaign_status="active",
    campaign_kind="marketing",
    enrollment_status="active",
    visit_left=False,
    contact_deleted=False,
    address="ann@example.org",
    sender_missing=False,
    closed=False,
    closed_until=None,
    suppressed=(),
    unsubscribe_group="7",
    scheduled_at=NOW,
    max_lateness=timedelta(hours=24),
)

REFUSALS = [
    ({"queue_paused": True}, Refusal(Stop.HELD, "queue_paused")),
    ({"tenant_paused": True}, Refusal(Stop.HELD, "tenant_paused")),
    ({"campaign_status": "paused"}, Refusal(Stop.HELD, "campaign_paused")),
    ({"enrollment_status": "paused"}, Refusal(Stop.HELD, "enrollment_paused")),
    ({"campaign_status": "cancelled"}, Refusal(Stop.CANCELLED, "campaign_cancelled")),
    ({"visit_left": True}, Refusal(Stop.CANCELLED, "moved_on")),
    ({"enrollment_status": "exited"}, Refusal(Stop.CANCELLED, "moved_on")),
    ({"closed": True}, Refusal(Stop.DEFERRED, "closed", None)),
    ({"closed": True, "closed_until": NOW}, Refusal(Stop.DEFERRED, "closed", NOW)),
    ({"contact_deleted": True}, Refusal(Stop.SKIPPED, "contact_deleted")),
    ({"address": None}, Refusal(Stop.SKIPPED, "no_address")),
    ({"sender_missing": True}, Refusal(Stop.SKIPPED, "no_sender")),
    ({"suppressed": ("all",)}, Refusal(Stop.SKIPPED, "suppressed")),
    ({"scheduled_at": NOW - timedelta(hours=25)}, Refusal(Stop.SKIPPED, "late")),
]


def test_a_send_with_nothing_against_it_goes_out():
    assert refusal(GOOD) is None


@pytest.mark.parametrize(("changes", "expected"), REFUSALS)
def test_each_fact_against_a_send_stops_it_for_its_reason(changes: dict[str, object], expected: Refusal):
    assert refusal(replace(GOOD, **changes)) == expected


def test_every_check_refuses_something():
    refused = [replace(GOOD, **changes) for changes, _ in REFUSALS]
    assert all(any(check(facts) for facts in refused) for check in CHECKS)


def test_a_paused_send_is_held_before_it_can_be_skipped():
    facts = replace(GOOD, queue_paused=True, suppressed=("all",), scheduled_at=NOW - timedelta(days=9))
    assert refusal(facts) == Refusal(Stop.HELD, "queue_paused")


def test_a_send_is_not_late_until_its_lateness_is_over():
    assert refusal(replace(GOOD, scheduled_at=NOW - timedelta(hours=24))) is None


@pytest.mark.parametrize(
    ("scope", "marketing", "transactional"),
    [("all", True, True), ("marketing", True, False), ("group:7", True, False), ("group:8", False, False)],
)
def test_what_a_suppression_blocks(scope: str, marketing: bool, transactional: bool):
    assert blocks([scope], "marketing", "7") is marketing
    assert blocks([scope], "transactional", "7") is transactional


def test_a_group_blocks_no_campaign_without_one():
    assert not blocks(["group:7"], "marketing", None)


def event(kind: EventType, **more: object) -> ProviderEvent:
    return ProviderEvent(type=kind, natural_key=b"", **more)  # type: ignore[arg-type]  # the test's own words


CHANGES = [
    (event(EventType.SPAM_REPORT), Change("all", "complaint")),
    (event(EventType.UNSUBSCRIBE), Change("marketing", "unsubscribed")),
    (
        event(EventType.GROUP_UNSUBSCRIBE, group_id="7"),
        Change("group:7", "unsubscribed", contrary=EventType.GROUP_RESUBSCRIBE),
    ),
    (
        event(EventType.GROUP_RESUBSCRIBE, group_id="7"),
        Change("group:7", "unsubscribed", True, EventType.GROUP_UNSUBSCRIBE),
    ),
    (event(EventType.OPT_OUT), Change("all", "opted_out", contrary=EventType.OPT_IN)),
    (event(EventType.OPT_IN), Change("all", "opted_out", True, EventType.OPT_OUT)),
    (event(EventType.BOUNCE, bounce_class=BounceClass.HARD), Change("all", "hard_bounce")),
    (event(EventType.BOUNCE, bounce_class=BounceClass.SOFT), None),
    (event(EventType.BOUNCE, bounce_class=BounceClass.BLOCK), None),
    (event(EventType.DROPPED, drop_reason=DropReason.BOUNCED), Change("all", "hard_bounce")),
    (event(EventType.DROPPED, drop_reason=DropReason.INVALID), Change("all", "hard_bounce")),
    (event(EventType.DROPPED, drop_reason=DropReason.SPAM), Change("all", "complaint")),
    (event(EventType.DROPPED, drop_reason=DropReason.UNSUBSCRIBED), Change("marketing", "unsubscribed")),
    (event(EventType.DROPPED, drop_reason=DropReason.OTHER), None),
    (event(EventType.UNDELIVERED, bounce_class=BounceClass.HARD), Change("all", "hard_bounce")),
    (event(EventType.FAILED, drop_reason=DropReason.UNSUBSCRIBED), Change("all", "opted_out")),
    (event(EventType.FAILED), None),
    (event(EventType.OPEN), None),
    (event(EventType.DELIVERED), None),
    (event(EventType.GROUP_UNSUBSCRIBE), None),
]


@pytest.mark.parametrize(("happened", "expected"), CHANGES)
def test_what_an_event_does_to_the_suppressions_of_its_address(
    happened: ProviderEvent, expected: Change | None
):
    assert change(happened) == expected


def test_addresses_are_compared_in_one_spelling():
    assert normalized("email", " Ann@Example.ORG ") == "ann@example.org"
    assert normalized("sms", " +1 555 0100") == "+15550100"
    assert normalized("sms", "whatsapp:+15550100") == "+15550100"
