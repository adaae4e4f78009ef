"""Failed work in bulk, and webhook bodies anew: what was asked for and nothing else, in bounded pages."""

from collections.abc import Mapping
from typing import Any

import pytest

from shared.errors import Conflict, NotFound, OutOfRange
from shared.jobs import JobState, WebhookJob, job_id
from shared.operate import posts, retrying
from shared.operate.retrying import Retried
from shared.queue.types import Counts, NewJob, Settlement, Verdict
from shared.redis.embedded import EmbeddedValkey
from shared.store.database import Database
from shared.store.deliveries_work import DeliveryClaim
from shared.store.ids import uuid7
from shared.store.operating import Which
from tests.dispatching import Replica, dispatching
from tests.journeys import World, graph, mail_event, send, to
from tests.operating import desk, entries, fail, meanwhile, whole

HELLO = graph(hello=send(to("done")))


async def failing(database: Database, reasons: list[str]) -> World:
    """A tenant of as many contacts as there are reasons why their sends failed; "": not failed."""
    world = await World.create(database, HELLO, contacts=len(reasons))
    await world.enrol()
    for action, reason in zip(await world.actions(), reasons, strict=True):
        if reason:
            await fail(world, action, reason)
    return world


async def retried(world: World) -> list[bool]:
    """Of each send in order, whether it waits again."""
    return [row["g"] == 1 for row in await world.actions()]


@pytest.mark.parametrize("page", [1, 2, 1000])
async def test_a_tenants_failed_sends_are_retried_in_pages_and_no_others(
    database: Database, valkey_url: str, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(retrying, "PAGE", page)
    other = await failing(database, ["invalid"])
    world = await failing(database, ["invalid", "", "rejected: a@example.org", "unconfirmed"])
    untouched = await whole(other)
    told: list[int] = []
    async with dispatching(database, valkey_url) as dispatch:
        which = Which(world.tenant_id, unconfirmed=False)
        done = await desk(world, dispatch).retry_failed(which, told.append)
    assert done == Retried(2, 0)
    assert sum(told) == 2
    assert await retried(world) == [True, False, True, False]
    assert await whole(other) == untouched
    assert await entries(database) == [("jobs.retry", "outreach:send", str(world.tenant_id), 2)]


async def test_failed_sends_are_chosen_by_reason_sender_and_campaign(
    database: Database, valkey_url: str
) -> None:
    world = await failing(database, ["invalid", "rejected: a@example.org", "unconfirmed"])
    other = await failing(database, ["rejected"])
    async with dispatching(database, valkey_url) as dispatch:
        at = desk(world, dispatch)
        assert await at.retry_failed(Which(sender_id=uuid7())) == Retried(0, 0)
        assert await at.retry_failed(Which(campaign_id=uuid7())) == Retried(0, 0)
        assert await at.retry_failed(Which(reason="rejected", sender_id=world.senders["email"])) == Retried(
            1, 0
        )
        assert await retried(world) == [False, True, False]
        assert await at.retry_failed(Which(campaign_id=world.campaign_id)) == Retried(2, 0)
        assert (await retried(world), await retried(other)) == ([True] * 3, [False])
        assert await at.retry_failed(Which()) == Retried(1, 0)
        assert await at.retry_failed(Which()) == Retried(0, 0)
    assert [count for *_, count in await entries(database)] == [0, 0, 1, 2, 1, 0]


async def test_the_audit_of_a_bulk_retry_quotes_no_address(database: Database, valkey_url: str) -> None:
    world = await failing(database, ["rejected: a@example.org"])
    async with dispatching(database, valkey_url) as dispatch:
        await desk(world, dispatch).retry_failed(Which(reason="rejected: a@example.org"))
    (row,) = await world.run("select detail from audit")
    assert row["detail"] == {"reason": "rejected", "unconfirmed": True}


async def test_what_cannot_be_retried_is_counted_and_left(database: Database, valkey_url: str) -> None:
    nodes = graph(hello=send(to("done"), to("again", "failed")), again=send(to("done")))
    led_on = await World.create(database, nodes)
    await led_on.enrol()
    await fail(led_on, (await led_on.actions())[0])
    world = await failing(database, ["invalid"])
    before = await whole(led_on)
    async with dispatching(database, valkey_url) as dispatch:
        assert await desk(world, dispatch).retry_failed(Which()) == Retried(1, 1)
    assert await whole(led_on) == before


async def test_retried_sends_go_out_again_by_their_lanes_and_priority_and_leave_no_old_job(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=3)
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await world.enrol()
        await dispatch.send_round()
        first = await dispatch.claim()
        await dispatch.sends.settle(0, [Settlement(job, Verdict.FAILED, reason="why") for job in first])
        for action in await world.actions():
            await fail(world, action)
        assert await desk(world, dispatch).retry_failed(Which()) == Retried(3, 0)
        assert (await dispatch.sends.counts(0)).failed == 0
        await dispatch.send_round()
        again = await dispatch.claim()
    shapes = [(job.lane, job.priority, job.attempt, job.payload) for job in first]
    assert sorted((job.lane, job.priority, job.attempt, job.payload) for job in again) == sorted(shapes)
    assert {job.id.rpartition(":")[2] for job in again} == {"1"}


async def processed(world: World, dispatch: Replica) -> Mapping[str, Any]:
    """A delivery that told of an open, and moved its contact."""
    await dispatch.open()
    (action,) = await world.actions()
    await world.accept(action["visit_id"])
    (action,) = await world.actions(kind="send")
    claim = await world.post(mail_event("open", action, action["accepted_at"]))
    assert await world.process(claim) == [(1, 1)]
    (delivery,) = await world.deliveries()
    return delivery


@pytest.mark.parametrize("state", ["processed", "failed", "parked"])
async def test_a_delivery_is_replayed_and_does_nothing_twice(
    database: Database, valkey_url: str, state: str
) -> None:
    world = await World.create(
        database, graph(hello=send(to("opened", "open"), to("done", "no_open", after=60)))
    )
    await world.enrol()
    async with dispatching(database, valkey_url) as dispatch:
        delivery = await processed(world, dispatch)
        await world.run("update deliveries set state = :state, tries = 3 where tenant_id = :t", state=state)
        events, path = await world.events(), await world.path()
        new = await desk(world, dispatch).replay(delivery["id"])
        (row,) = await world.deliveries()
        assert (row["state"], row["g"], row["tries"]) == ("received", 1, 0)
        (job,) = await dispatch.claim(queue=dispatch.webhooks)
        assert job.id == new == job_id("webhook", delivery["id"], 1)
        assert await entries(database) == [
            ("deliveries.replay", str(delivery["id"]), str(world.tenant_id), 1)
        ]
        assert await world.process(DeliveryClaim(world.tenant_id, delivery["id"], 1)) == [(0, 0)]
        assert (await world.events(), await world.path()) == (events, path)


@pytest.mark.parametrize(
    ("state", "words"), [("received", "waits to be processed"), ("processing", "is being processed")]
)
async def test_a_delivery_in_work_is_not_replayed(
    database: Database, valkey_url: str, state: str, words: str
) -> None:
    world = await World.create(database, HELLO)
    claim = await world.post()
    await world.run("update deliveries set state = :state where tenant_id = :t", state=state)
    before = await whole(world)
    async with dispatching(database, valkey_url) as dispatch:
        with pytest.raises(Conflict, match=words):
            await desk(world, dispatch).replay(claim.id)
        with pytest.raises(Conflict, match=words):
            await desk(world, dispatch).retry(job_id("webhook", claim.id, 0))
        with pytest.raises(NotFound, match="no such delivery"):
            await desk(world, dispatch).replay(uuid7())
    assert (await whole(world), await entries(database)) == (before, [])


@pytest.mark.parametrize("page", [1, 1000])
@pytest.mark.parametrize(("state", "other_state"), [("failed", "parked"), ("parked", "failed")])
async def test_deliveries_of_a_tenant_that_failed_or_are_parked_are_replayed_and_no_others(
    database: Database,
    valkey_url: str,
    monkeypatch: pytest.MonkeyPatch,
    page: int,
    state: str,
    other_state: str,
) -> None:
    monkeypatch.setattr(posts, "PAGE", page)
    worlds = [await World.create(database, HELLO) for _ in range(2)]
    states = [state, state, "processed", other_state]
    for world in worlds:
        for each in states:
            claim = await world.post()
            await world.run("update deliveries set state = :state where id = :id", state=each, id=claim.id)
    world, other = worlds
    untouched = await whole(other)
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        at = desk(world, dispatch)
        assert await at.replay_all(states[0], str(world.tenant_id)) == 2
        assert [row["state"] for row in await world.deliveries()] == ["received"] * 2 + states[2:]
        assert await whole(other) == untouched
        assert len(await dispatch.claim(queue=dispatch.webhooks)) == 2
        assert await at.replay_all(states[0], None) == 2
        with pytest.raises(NotFound):
            await at.replay_all(states[0], "nobody")
        with pytest.raises(OutOfRange):
            await at.replay_all("processed", None)
    replayed = ("deliveries.replay", states[0])
    assert await entries(database) == [(*replayed, str(world.tenant_id), 2), (*replayed, None, 2)]


async def test_a_replay_in_bulk_stops_where_it_was_told_to(
    database: Database, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posts, "PAGE", 2)
    world = await World.create(database, HELLO)
    for _ in range(5):
        await world.post()
    await world.run("update deliveries set state = 'failed' where tenant_id = :t")
    async with dispatching(database, valkey_url) as dispatch:
        at = desk(world, dispatch)
        assert [await at.replay_all("failed", None, most=3) for _ in range(3)] == [4, 1, 0]


async def test_a_webhook_job_is_retried_promoted_and_removed_by_its_row(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    claim = await world.post()
    jobs = [job_id("webhook", claim.id, g) for g in range(4)]
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        at = desk(world, dispatch)
        await at.remove(jobs[0])
        assert [(row["state"], row["reason"]) for row in await world.deliveries()] == [("failed", "removed")]
        assert await at.retry(jobs[0]) == jobs[1]
        found = await dispatch.webhooks.job(0, jobs[1])
        assert found is not None
        assert found[0].state is JobState.WAITING
        await world.run("update deliveries set state = 'parked', retry_at = now() + interval '1 hour'")
        await at.promote(jobs[1])
        await dispatch.claim(queue=dispatch.webhooks)
        with pytest.raises(Conflict, match="A worker holds it"):
            await at.remove(jobs[2])
        await at.cancel(jobs[2])
        with pytest.raises(Conflict, match="It ended as failed"):
            await at.cancel(jobs[2])
    assert [(row["state"], row["g"], row["retry_at"]) for row in await world.deliveries()] == [
        ("failed", 2, None)
    ]
    done = [action for action, *_ in await entries(database)]
    assert done == ["jobs.remove", "jobs.retry", "jobs.promote", "jobs.cancel"]


@pytest.mark.parametrize("act", ["retry", "cancel"])
async def test_a_delivery_that_moved_on_meanwhile_is_said_to_be_where_it_is(
    database: Database, valkey_url: str, act: str
) -> None:
    world = await World.create(database, HELLO)
    claim = await world.post()
    states = ("failed", "processing") if act == "retry" else ("received", "processed")
    words = "It is being processed" if act == "retry" else "It ended as processed"
    await world.run("update deliveries set state = :state", state=states[0])
    async with dispatching(database, valkey_url) as dispatch:
        at = desk(world, dispatch)
        meanwhile(at, lambda: world.run("update deliveries set state = :state", state=states[1]))
        with pytest.raises(Conflict, match=words):
            await getattr(at, act)(job_id("webhook", claim.id, 0))
    assert await entries(database) == []


async def test_deliveries_replayed_in_bulk_leave_no_old_job(database: Database, valkey_url: str) -> None:
    world = await World.create(database, HELLO)
    claim = await world.post()
    envelope = WebhookJob(tenant_id=world.tenant_id, webhook_delivery_id=claim.id, provider="sendgrid")
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        job = NewJob(job_id("webhook", claim.id, 0), envelope.lane, envelope.wire())
        await dispatch.webhooks.enqueue([job])
        (held,) = await dispatch.claim(queue=dispatch.webhooks)
        await dispatch.webhooks.settle(0, [Settlement(held, Verdict.FAILED)])
        await world.run("update deliveries set state = 'failed'")
        assert await desk(world, dispatch).replay_all("failed", None) == 1
        assert await dispatch.webhooks.counts(0) == Counts(waiting=1)


async def test_with_redis_away_a_delivery_is_replayed_by_its_row(
    database: Database, valkey: EmbeddedValkey, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    claim = await world.post()
    await world.run("update deliveries set state = 'failed'")
    async with dispatching(database, valkey_url) as dispatch:
        await valkey.stop()
        await desk(world, dispatch).replay(claim.id)
    assert [(row["state"], row["g"]) for row in await world.deliveries()] == [("received", 1)]
