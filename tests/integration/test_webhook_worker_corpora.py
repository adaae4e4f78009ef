"""The sample bodies, posted as their providers post them, and processed: how they end."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shared.store.database import Database
from shared.store.deliveries_work import DeliveryClaim
from tests.gateway import PUBLIC_URL, Running, SigningKey, serving, settings, twilio_signature
from tests.journeys import World, graph, send, sms, to

NODES = graph(hello=send(to("opened", "click"), to("done", after=999999)))


@pytest.fixture
async def gateway(database_url: str) -> AsyncIterator[Running]:
    async with serving(settings(database_url)) as running:
        yield running


async def posted_by_sendgrid(gateway: Running, world: World, *bodies: bytes) -> list[DeliveryClaim]:
    """Bodies that SendGrid signed and posted to an endpoint of the world's tenant."""
    key = SigningKey()
    endpoint = await gateway.endpoint_of(world.tenant_id, "sendgrid", key.public)
    for body in bodies:
        answer = await gateway.client.post(f"/webhooks/{endpoint}", content=body, headers=key.headers(body))
        assert answer.status_code == 204
    return await stored(world, len(bodies))


async def posted_by_twilio(gateway: Running, world: World, *posts: tuple[bytes, str]) -> list[DeliveryClaim]:
    """Bodies, each with its query, that Twilio signed and posted to an endpoint of the world's tenant."""
    endpoint = await gateway.endpoint_of(world.tenant_id, "twilio", "token")
    for body, query in posts:
        target = f"/webhooks/{endpoint}{query}"
        signature = twilio_signature("token", PUBLIC_URL + target, body)
        answer = await gateway.client.post(target, content=body, headers={"x-twilio-signature": signature})
        assert answer.status_code == 204
    return await stored(world, len(posts))


async def stored(world: World, count: int) -> list[DeliveryClaim]:
    """The deliveries that hold the last posts, as jobs name them."""
    rows = (await world.deliveries())[-count:]
    assert [(row["state"], row["g"]) for row in rows] == [("received", 0)] * count
    return [DeliveryClaim(row["tenant_id"], row["id"], row["g"]) for row in rows]


async def told(world: World) -> list[tuple[Any, ...]]:
    """What each event says, in the order that the provider tells it happened in."""
    rows = await world.run("select * from events where tenant_id = :t and provider <> 'outreach'")
    events = [
        (
            row["type"],
            row["recipient"],
            row["bounce_class"] or row["group_id"],
            row["automated"],
            row["effect"],
            row["reason"] if row["raw"] is not None else None,
        )
        for row in rows
    ]
    return sorted(events, key=lambda event: tuple(part or "" for part in event))


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


async def test_a_message_s_life_and_its_copies_under_new_ids(
    database: Database, gateway: Running, shared_dir: Path
):
    body = (shared_dir / "data" / "sendgrid-lifecycle.json").read_bytes()
    again = (shared_dir / "data" / "sendgrid-retried-with-new-ids.json").read_bytes()
    action_id = json.loads(body)[0]["outreach_action"]
    world = await sent(database, NODES, action_id, "ana1@example.com")
    first, copies = await posted_by_sendgrid(gateway, world, body, again)
    assert await world.process(first) == [(5, 1)]
    assert await world.process(copies) == [(0, 0)]
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


async def test_quirks_are_kept_and_suppress_whoever_they_name(
    database: Database, gateway: Running, shared_dir: Path
):
    world = await World.create(database, NODES)
    body = (shared_dir / "data" / "sendgrid-quirks.json").read_bytes()
    (claim,) = await posted_by_sendgrid(gateway, world, body)
    assert await world.process(claim, park_attempts=0) == [(16, 0)]
    ana = "ana{}@example.com".format
    none, unmatched = "none", "unmatched"
    assert await told(world) == [
        ("bounce", ana(2), "hard", none, unmatched, None),
        ("bounce", ana(3), "block", none, unmatched, None),
        ("bounce", ana(4), "hard", none, unmatched, None),
        ("click", ana(10), None, "scanner", unmatched, None),
        ("dropped", ana(5), None, none, unmatched, None),
        ("group_resubscribe", ana(8), "10", none, unmatched, None),
        ("group_unsubscribe", ana(8), "10", none, unmatched, None),
        ("open", ana(2), None, "mpp", unmatched, None),
        ("spam_report", ana(6), None, none, unmatched, None),
        ("unknown", None, None, none, unmatched, "account_status_change: compliance_suspend"),
        ("unknown", None, None, none, unmatched, "no event"),
        ("unknown", None, None, none, unmatched, "no event"),
        ("unknown", ana(9), None, none, unmatched, "something_new_in_2027"),
        ("unknown", "bad-time@example.com", None, none, unmatched, "open without a timestamp"),
        ("unknown", "no-event@example.com", None, none, unmatched, "no event"),
        ("unsubscribe", ana(7), None, none, unmatched, None),
    ]
    assert await world.suppressions() == [
        ("email", "ana2@example.com", "all", "hard_bounce"),
        ("email", "ana4@example.com", "all", "hard_bounce"),
        ("email", "ana5@example.com", "all", "hard_bounce"),
        ("email", "ana6@example.com", "all", "complaint"),
        ("email", "ana7@example.com", "marketing", "unsubscribed"),
    ]
    assert await world.process(await world.post(body=body), park_attempts=0) == [(0, 0)]


async def test_twilio_callbacks(database: Database, gateway: Running, shared_dir: Path):
    nodes = graph(hello=sms(to("opened", "delivered"), to("done", after=99)))
    action_id = "018f6f2e-7c1a-7b60-9a51-3f3d0a6b1c09"
    world = await sent(database, nodes, action_id, "+15005550010")
    lines = (shared_dir / "data" / "twilio-callbacks.txt").read_bytes().split()
    queries = [f"?sa={action_id}", f"?sa={action_id}", "", ""]
    claims = await posted_by_twilio(gateway, world, *zip(lines, queries, strict=True))
    results = await world.process(*claims, park_attempts=0)
    assert results == [(1, 1), (1, 0), (1, 0), (1, 0)]
    assert await told(world) == [
        ("delivered", "+15005550010", None, "none", "moved", None),
        ("opt_out", "+15005550012", None, "none", "unmatched", None),
        ("sent", "+15005550010", None, "none", "none", None),
        ("undelivered", "+15005550011", "hard", "none", "unmatched", None),
    ]
    (action,) = await world.actions(kind="send")
    assert (action["status"], action["delivery_status"]) == ("accepted", "delivered")
    assert await world.suppressions() == [
        ("sms", "+15005550011", "all", "hard_bounce"),
        ("sms", "+15005550012", "all", "opted_out"),
    ]
