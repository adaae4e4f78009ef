"""What a timeline says of sends, timeouts, events and transitions in every state they can be in."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from services.admin import sentences
from shared.campaigns.compiled import Compiled
from shared.campaigns.graph import shaped
from tests.journeys import graph, send, to

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
THEN, LATER = NOW - timedelta(minutes=10), NOW + timedelta(hours=1)
AT, IN = "2026-05-01 11:50:00 UTC", "2026-05-01 13:00:00 UTC"

GRAPH = Compiled(
    shaped(
        graph(
            hello=send(
                to("opened", "open"), to("done", "no_open", after=60), to("done", "no_click", after=90)
            )
        )
    )
)


def row(**fields: Any) -> Any:
    return SimpleNamespace(**fields)


@pytest.mark.parametrize(
    ("status", "reason", "due", "says"),
    [
        ("pending", None, LATER, f"The send waits for {IN}."),
        ("pending", "closed", LATER, f"The send waits for {IN} (closed)."),
        ("pending", None, THEN, f"The send is due since {AT} and waits for its turn."),
        ("enqueued", None, THEN, f"The send is in line since {AT}."),
        ("held", "tenant_paused", THEN, "The send is held (tenant_paused) until that is lifted."),
        ("submitting", None, THEN, f"The send is with its provider since {AT}."),
        (
            "unknown",
            "worker_lost",
            THEN,
            "Nobody knows whether it was sent (worker_lost): a webhook, or the tenant's policy, ends that.",
        ),
        ("accepted", None, THEN, "The send was accepted."),
        ("failed", "invalid", THEN, "The send failed (invalid)."),
        ("skipped", "suppressed", THEN, "The send was skipped (suppressed)."),
        ("cancelled", "moved_on", THEN, "The send was cancelled: its contact had moved on."),
        ("cancelled", "by hand", THEN, "The send was cancelled: by hand."),
        ("cancelled", None, THEN, "The send was cancelled: no reason is kept."),
    ],
)
def test_a_send_says_what_became_of_it_or_what_it_waits_for(
    status: str, reason: str | None, due: datetime, says: str
) -> None:
    each = row(kind="send", status=status, reason=reason, due_at=due, status_at=THEN)
    assert sentences.action(each, NOW) == says


@pytest.mark.parametrize(
    ("event_type", "status", "reason", "scheduled", "says"),
    [
        ("no_open", "pending", None, LATER, f"The timeout no_open is due {IN}."),
        ("elapsed", "pending", None, LATER, f"The time to wait ends {IN}."),
        (
            "no_open",
            "pending",
            "unread",
            THEN,
            f"The timeout no_open was due {AT}, and is looked at {IN}:"
            " webhooks of that time are not processed yet.",
        ),
        ("elapsed", "pending", None, THEN, f"The time to wait ended {AT}, and is looked at {IN}."),
        ("no_open", "enqueued", None, THEN, f"The timeout no_open was due {AT}, and is in line since {AT}."),
        (
            "no_click",
            "held",
            "queue_paused",
            THEN,
            "The timeout no_click is held (queue_paused) until that is lifted.",
        ),
        ("no_open", "fired", None, THEN, "The timeout no_open fired."),
        ("elapsed", "fired", None, THEN, "The time to wait is over."),
        (
            "no_open",
            "cancelled",
            "answered",
            THEN,
            "The timeout no_open was cancelled: an open or click had come in time.",
        ),
        ("no_open", "cancelled", None, THEN, "The timeout no_open was cancelled: no reason is kept."),
    ],
)
def test_a_timeout_says_what_became_of_it_or_what_it_waits_for(
    event_type: str, status: str, reason: str | None, scheduled: datetime, says: str
) -> None:
    each = row(kind="timeout", status=status, reason=reason, event_type=event_type, scheduled_at=scheduled)
    each.due_at, each.status_at, each.watermark = LATER, THEN, None
    assert sentences.action(each, NOW) == says


def test_a_timeout_that_fired_blind_says_so() -> None:
    each = row(kind="timeout", status="fired", event_type="no_open", scheduled_at=THEN, watermark="expired")
    assert sentences.action(each, NOW) == (
        "The timeout no_open fired, although not all webhooks of its time were processed."
    )


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"effect": "moved"}, "Open at hello: it moved its contact."),
        (
            {"effect": "late"},
            "Open at hello: it was in time but told late, when what followed was out: it moved nothing.",
        ),
        (
            {"automated": "mpp"},
            "Open at hello, by a mail privacy proxy (mpp): no edge there counts machines,"
            " so it moved nothing.",
        ),
        (
            {"type": "click", "automated": "scanner"},
            "Click at hello, by a security scanner (scanner): no edge there counts machines,"
            " so it moved nothing.",
        ),
        ({"type": "delivered"}, "Delivered at hello: no edge there, so it moved nothing."),
        (
            {"left_at": THEN, "edge": "no_open"},
            "Open at hello: its contact had left by no_open before it was told, so it moved nothing.",
        ),
        ({}, "Open at hello: it moved nothing."),
        (
            {"type": "bounce", "bounce_class": "soft"},
            "Soft bounce at hello: a soft bounce moves nobody.",
        ),
        ({"type": "no_open", "effect": "moved"}, "No open at hello: it moved its contact."),
    ],
)
def test_an_event_says_what_it_moved_or_why_it_moved_nothing(fields: dict[str, Any], says: str) -> None:
    usual = {"type": "open", "automated": "none", "effect": "none", "bounce_class": None, "node_id": "hello"}
    each = row(**{**usual, "left_at": None, "edge": None, **fields})
    assert sentences.event(each, GRAPH) == says


def test_an_event_that_has_no_edge_but_answers_a_timeout_says_which() -> None:
    nodes = graph(hello=send(to("done", "no_open", after=60), to("done", after=90)))
    each = row(type="open", automated="none", effect="none", bounce_class=None, node_id="hello", left_at=None)
    assert sentences.event(each, Compiled(shaped(nodes))) == (
        "Open at hello: no edge there; in time, it answers no_open."
    )
    each.node_id = None
    assert sentences.event(each, None) == "Open: it belongs to no visit, and moved nothing."


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"next_node": "again"}, "Left hello by open, to again."),
        ({"exit": "done"}, "Left hello by open, and the campaign by the exit done."),
        ({}, "Left hello by open, and the campaign."),
        (
            {"edge": "bounced", "exit": "bounced", "reason": "hard"},
            "Left hello by bounced, and the campaign by the exit bounced (hard).",
        ),
        ({"edge": "cancelled", "exit": "cancelled"}, "Taken out of the campaign at hello."),
    ],
)
def test_a_transition_says_from_where_to_where_and_by_what(fields: dict[str, Any], says: str) -> None:
    usual = {"node_id": "hello", "edge": "open", "next_node": None, "exit": None, "reason": None}
    assert sentences.moved(row(**{**usual, **fields})) == says


def test_attempts_lateness_and_distances_are_told() -> None:
    tried = row(submitted_at=THEN, ended_at=None, outcome=None, reason=None, given_back=False)
    assert sentences.attempt(tried) == f"{AT}: handed to the provider, no answer yet"
    tried = row(submitted_at=THEN, ended_at=NOW, outcome="refused", reason="429", given_back=True)
    assert sentences.attempt(tried) == f"{AT}: refused after 10 min (429), its charge given back"
    assert sentences.late(row(accepted_at=NOW, scheduled_at=THEN)) == "10 min after its time"
    assert sentences.late(row(accepted_at=NOW, scheduled_at=NOW)) == ""
    assert sentences.late(row(accepted_at=None, scheduled_at=NOW)) == ""
    told = row(received_at=NOW, occurred_at=THEN, provider="sendgrid")
    assert sentences.told(told) == "told 10 min later"
    told.provider = "outreach"
    assert sentences.told(told) == ""
    assert [sentences.apart(at, NOW) for at in (THEN, LATER)] == ["10 min ago", "in 1 h"]
