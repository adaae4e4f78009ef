"""When a timeout fires, on facts alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.timeout.rules import FIRE, Decision, Verdict, decide
from shared.settings import TimeoutSettings
from shared.store.ids import uuid7
from shared.store.timeouts import TimeoutFacts

SETTINGS = TimeoutSettings(
    grace=timedelta(seconds=120),
    insert_timeout=timedelta(seconds=5),
    watermark_expires=timedelta(hours=1),
    recheck=timedelta(seconds=5),
    gateway_silence=timedelta(seconds=30),
    gateway_recovery=timedelta(minutes=15),
)
DUE = datetime(2026, 11, 25, 12, tzinfo=UTC)
SETTLED = DUE + timedelta(seconds=125)
SECOND = timedelta(seconds=1)


def facts(**changes: Any) -> TimeoutFacts:
    some = uuid7()
    base = TimeoutFacts(
        tenant_id=some,
        id=some,
        g=0,
        visit_id=some,
        campaign_id=some,
        campaign_version=1,
        node_id="a",
        event_type="no_open",
        scheduled_at=DUE,
        accepted_at=DUE - timedelta(days=2),
        queue_paused=False,
        tenant_paused=False,
        campaign_status="active",
        enrollment_status="active",
        oldest_unread=None,
        last_beat=SETTLED,
        outage_ended=None,
        now=SETTLED,
    )
    return base._replace(**changes)


def decided(watched: bool = True, **changes: Any) -> Decision:
    return decide(facts(**changes), watched, SETTINGS)


def wait(until: datetime, reason: str) -> Decision:
    return Decision(Verdict.WAIT, reason, until)


def test_it_fires_when_grace_and_the_inserts_own_time_have_passed():
    assert decided() == FIRE
    assert decided(now=SETTLED - SECOND) == wait(SETTLED, "grace")


def test_a_wait_that_no_event_ends_fires_when_it_is_over():
    assert decided(watched=False, now=DUE, oldest_unread=DUE, last_beat=None) == FIRE
    assert decided(watched=False, now=DUE - SECOND) == wait(DUE, "early")


def test_it_waits_for_a_delivery_received_before_due_and_grace():
    last = DUE + timedelta(seconds=119)
    assert decided(oldest_unread=last) == wait(SETTLED + 5 * SECOND, "unread")
    assert decided(oldest_unread=DUE + timedelta(seconds=120)) == FIRE


def test_it_fires_under_an_expired_watermark_after_an_hour():
    hour = DUE + timedelta(hours=1)
    late = {"oldest_unread": DUE, "last_beat": hour}
    assert decided(now=hour - SECOND, **late) == wait(hour + 4 * SECOND, "unread")
    assert decided(now=hour, **late) == Decision(Verdict.FIRE, watermark="expired")


def test_it_waits_while_no_gateway_has_served_for_longer_than_the_silence():
    down = DUE - timedelta(seconds=10)
    assert decided(last_beat=down) == wait(SETTLED + 30 * SECOND, "gateway_down")
    assert decided(last_beat=None) == wait(SETTLED + 30 * SECOND, "gateway_down")


def test_a_gateway_that_fell_silent_after_due_and_grace_hid_nothing():
    now = DUE + timedelta(hours=2)
    assert decided(now=now, last_beat=DUE + timedelta(seconds=91)) == FIRE
    assert decided(now=now, last_beat=DUE + timedelta(seconds=90)) == wait(now + 30 * SECOND, "gateway_down")


def test_a_silence_before_acceptance_hid_nothing():
    accepted = SETTLED - timedelta(seconds=29)
    assert decided(accepted_at=accepted, last_beat=DUE - timedelta(days=1)) == FIRE


def test_after_an_outage_it_waits_until_the_provider_has_posted_again():
    back = SETTLED - timedelta(minutes=5)
    assert decided(outage_ended=back) == wait(back + timedelta(minutes=15), "gateway_down")
    assert decided(outage_ended=SETTLED - timedelta(minutes=15)) == FIRE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"queue_paused": True}, "queue_paused"),
        ({"tenant_paused": True}, "tenant_paused"),
        ({"campaign_status": "paused"}, "campaign_paused"),
        ({"enrollment_status": "paused"}, "enrollment_paused"),
    ],
)
@pytest.mark.parametrize("watched", [True, False])
def test_it_is_held_while_paused(changes: dict[str, Any], reason: str, watched: bool):
    assert decided(watched, **changes) == Decision(Verdict.HOLD, reason)


@pytest.mark.parametrize(
    "changes",
    [{"campaign_status": "cancelled"}, {"enrollment_status": "exited"}, {"enrollment_status": "cancelled"}],
)
def test_it_is_cancelled_with_its_campaign_or_enrolment(changes: dict[str, Any]):
    assert decided(**changes) == Decision(Verdict.CANCEL, "moved_on")
    assert decided(queue_paused=True, **changes) == Decision(Verdict.CANCEL, "moved_on")


def test_no_clock_but_the_databases_is_looked_at():
    root = Path(__file__).parents[2]
    folders = [root / "services" / "timeout", root / "services" / "webhook", root / "shared" / "campaigns"]
    sources = [path.read_text() for folder in folders for path in folder.glob("*.py")]
    assert len(sources) > 15
    for clock in ("now(", "today(", "time.time", "monotonic"):
        assert not [source for source in sources if clock in source], clock
