"""The sample bodies, processed: the events, suppressions and transitions that their README describes."""

import json
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

from shared.store.database import Database
from tests.journeys import World, graph, send, sms, to

NODES = graph(hello=send(to("opened", "click"), to("done", after=999999)))


async def sent(database: Database, nodes: dict[str, Any], action_id: str, recipient: str) -> World:
    """A world whose contact's message has the sample's id, and is with its provider."""
    world = await World.create(database, nodes)
    await world.enrol()
    (action,) = await world.actions()
    await world.run(
        "update scheduled_actions set id = :new, status = 'submitting', recipient = :recipient,"
        " created_at = '2026-11-01' where id = :id",
        id=action["id"],
        new=UUID(action_id),
        recipient=recipient,
    )
    return world


async def test_a_message_s_life_and_its_copies_under_new_ids(database: Database, shared_dir: Path):
    body = (shared_dir / "data" / "sendgrid-lifecycle.json").read_bytes()
    again = (shared_dir / "data" / "sendgrid-retried-with-new-ids.json").read_bytes()
    action_id = json.loads(body)[0]["outreach_action"]
    world = await sent(database, NODES, action_id, "ana1@example.com")
    assert await world.process(await world.post(body=body)) == [(5, 1)]
    assert await world.process(await world.post(body=again)) == [(0, 0)]
    (action,) = await world.actions(kind="send")
    assert (action["status"], action["delivery_status"]) == ("accepted", "delivered")
    assert action["provider_message_id"] == "Abc1DefGhiJklMnoPqrStu"
    assert action["accepted_at"].timestamp() == 1795520000
    assert await world.effects() == {
        "processed": ["none"],
        "deferred": ["none"],
        "delivered": ["none"],
        "open": ["none"],
        "click": ["moved"],
    }
    assert await world.path() == [("hello", "click"), ("opened", None)]


async def test_quirks_are_kept_and_suppress_whoever_they_name(database: Database, shared_dir: Path):
    world = await World.create(database, NODES)
    body = (shared_dir / "data" / "sendgrid-quirks.json").read_bytes()
    claim = await world.post(body=body)
    assert await world.process(claim, park_attempts=0) == [(16, 0)]
    kinds = Counter(row["type"] for row in await world.events())
    assert kinds == {
        "bounce": 3,
        "unknown": 6,
        **dict.fromkeys(
            ("open", "click", "dropped", "spam_report", "unsubscribe"),
            1,
        ),
        **dict.fromkeys(("group_unsubscribe", "group_resubscribe"), 1),
    }
    assert await world.suppressions() == [
        ("email", "ana2@example.com", "all", "hard_bounce"),
        ("email", "ana4@example.com", "all", "hard_bounce"),
        ("email", "ana5@example.com", "all", "hard_bounce"),
        ("email", "ana6@example.com", "all", "complaint"),
        ("email", "ana7@example.com", "marketing", "unsubscribed"),
    ]
    assert await world.process(await world.post(body=body), park_attempts=0) == [(0, 0)]


async def test_twilio_callbacks(database: Database, shared_dir: Path):
    nodes = graph(hello=sms(to("opened", "delivered"), to("done", after=99)))
    action_id = "018f6f2e-7c1a-7b60-9a51-3f3d0a6b1c09"
    world = await sent(database, nodes, action_id, "+15005550010")
    lines = (shared_dir / "data" / "twilio-callbacks.txt").read_bytes().split()
    claims = [
        await world.post(provider="twilio", body=line, query=f"sa={action_id}" if number < 2 else "")
        for number, line in enumerate(lines)
    ]
    results = await world.process(*claims, park_attempts=0)
    assert results == [(1, 1), (1, 0), (1, 0), (1, 0)]
    assert set(await world.effects()) == {"delivered", "sent", "undelivered", "opt_out"}
    (action,) = await world.actions(kind="send")
    assert (action["status"], action["delivery_status"]) == ("accepted", "delivered")
    assert await world.suppressions() == [
        ("sms", "+15005550011", "all", "hard_bounce"),
        ("sms", "+15005550012", "all", "opted_out"),
    ]
