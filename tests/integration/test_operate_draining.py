"""Many jobs taken out at once: what was asked for and nothing else, in bounded pages, rows first."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import Conflict, NotFound, UnknownQueue
from shared.jobs import SENDS, TIMEOUTS, WEBHOOKS, JobState, WebhookJob, job_id
from shared.operate import draining
from shared.operate.draining import Cleared
from shared.queue.types import Counts, NewJob, Settlement, Verdict
from shared.redis.embedded import EmbeddedValkey
from shared.store import pauses
from shared.store.database import Database
from shared.store.pauses import Pause
from tests.dispatching import Replica, dispatching
from tests.journeys import World, graph, send, to, wait
from tests.operating import desk, entries, whole

HELLO = graph(hello=send(to("done")))
RESCUED = graph(hello=send(to("done"), to("again", "failed")), again=send(to("done")))
LATER = datetime(2126, 11, 25, 12, tzinfo=UTC)


async def statuses(world: World) -> list[str]:
    return [action["status"] for action in await world.actions()]


async def crowd(database: Database) -> World:
    """A tenant with a send in each status from which one may go out, and in each from which none may."""
    world = await World.create(database, HELLO, contacts=6)
    await world.enrol()
    kinds = ("pending", "enqueued", "held", "submitting", "accepted", "pending")
    for action, status in zip(await world.actions(), kinds, strict=True):
        await world.set_action(action["id"], status=status)
    await world.set_action((await world.actions())[-1]["id"], due_at=LATER)
    return world


@pytest.mark.parametrize("page", [1, 2, 1000])
async def test_what_waits_of_a_tenant_is_drained_and_nothing_that_is_out_or_comes_later(
    database: Database, valkey_url: str, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(draining, "PAGE", page)
    world, other = await crowd(database), await crowd(database)
    untouched = await whole(other)
    told: list[int] = []
    async with dispatching(database, valkey_url) as dispatch:
        at = desk(world, dispatch)
        assert await at.drain(SENDS.name, str(world.tenant_id), told.append) == 3
        assert sum(told) == 3
        assert await statuses(world) == ["cancelled"] * 3 + ["submitting", "accepted", "pending"]
        assert [row["reason"] for row in await world.actions()][:3] == ["removed"] * 3
        paths = [await world.path(contact) for contact in world.contacts]
        assert paths == [[("hello", "failed"), ("failed", None)]] * 3 + [[("hello", None)]] * 3
        assert await whole(other) == untouched
        assert await at.drain(SENDS.name, str(world.tenant_id)) == 0
        assert await at.drain(SENDS.name, None) == 3
    assert await entries(database) == [
        ("queues.drain", f"{world.tenant_id} in outreach:send", str(world.tenant_id), 3),
        ("queues.drain", f"{world.tenant_id} in outreach:send", str(world.tenant_id), 0),
        ("queues.drain", "outreach:send", None, 3),
    ]


async def enqueued(world: World, dispatch: Replica) -> None:
    await dispatch.open()
    await world.enrol()
    await dispatch.send_round()


async def test_jobs_of_drained_sends_leave_redis_and_who_holds_one_is_stopped_but_not_what_follows_them(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, RESCUED, contacts=3)
    other = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        await enqueued(world, dispatch)
        (held,) = await dispatch.claim(1)
        await enqueued(other, dispatch)
        assert await desk(world, dispatch).drain(SENDS.name, str(world.tenant_id)) == 3
        assert await dispatch.sends.counts(0) == Counts(waiting=1, active=1)
        assert (await dispatch.sends.extend(0, [held])).cancelled == [held.id]
        assert await statuses(world) == ["cancelled"] * 3 + ["pending"] * 3
        await dispatch.send_round()
        assert await dispatch.sends.counts(0) == Counts(waiting=4, active=1)


async def test_contacts_whose_timeouts_are_drained_leave_the_campaign(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, graph(pause=wait(3600, "done")), contacts=2)
    await world.enrol()
    due, later = await world.actions()
    await world.set_action(due["id"], due_at=datetime.now(UTC) - timedelta(minutes=1))
    async with dispatching(database, valkey_url) as dispatch:
        assert await desk(world, dispatch).drain(TIMEOUTS.name, None) == 1
    assert await world.path(due["contact_id"]) == [("pause", "cancelled"), ("cancelled", None)]
    assert await world.path(later["contact_id"]) == [("pause", None)]


@pytest.mark.parametrize("page", [1, 1000])
async def test_drained_deliveries_fail_and_can_be_replayed_but_those_in_work_go_on(
    database: Database, valkey_url: str, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(draining, "PAGE", page)
    world, other = [await World.create(database, HELLO) for _ in range(2)]
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        for each in (world, other):
            for state in ("received", "received", "processing", "parked"):
                claim = await each.post()
                await each.run(
                    "update deliveries set state = :state where id = :id", state=state, id=claim.id
                )
        untouched = await whole(other)
        at = desk(world, dispatch)
        assert await at.drain(WEBHOOKS.name, str(world.tenant_id)) == 2
        rows = [(row["state"], row["reason"]) for row in await world.deliveries()]
        assert rows == [("failed", "removed")] * 2 + [("processing", None), ("parked", None)]
        assert await whole(other) == untouched
        assert await at.replay_all("failed", str(world.tenant_id)) == 2


async def test_a_drain_names_a_queue_and_a_tenant_that_there_are(database: Database, valkey_url: str) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        at = desk(world, dispatch)
        with pytest.raises(UnknownQueue):
            await at.drain("mail", None)
        with pytest.raises(NotFound):
            await at.drain(SENDS.name, "nobody")
        with pytest.raises(UnknownQueue):
            await at.clean("mail", JobState.FAILED, timedelta(0))
        with pytest.raises(UnknownQueue):
            await at.obliterate("mail", 0)
    assert await entries(database) == []


async def test_with_redis_away_a_queue_is_drained_by_its_rows(
    database: Database, valkey: EmbeddedValkey, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=2)
    async with dispatching(database, valkey_url) as dispatch:
        await enqueued(world, dispatch)
        await valkey.stop()
        assert await desk(world, dispatch).drain(SENDS.name, None) == 2
    assert await statuses(world) == ["cancelled"] * 2


async def test_ended_jobs_are_forgotten_by_age_and_their_rows_stay(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=3)
    async with dispatching(database, valkey_url) as dispatch:
        await enqueued(world, dispatch)
        one, two, _ = await dispatch.claim()
        await dispatch.sends.settle(0, [Settlement(one, Verdict.COMPLETED), Settlement(two, Verdict.FAILED)])
        before = await whole(world)
        at = desk(world, dispatch)
        assert await at.clean(SENDS.name, JobState.FAILED, timedelta(days=1)) == 0
        assert await at.clean(SENDS.name, JobState.FAILED, timedelta(0)) == 1
        assert await dispatch.sends.counts(0) == Counts(active=1, completed=1)
        assert await whole(world) == before
    assert await entries(database) == [
        ("queues.clean", "outreach:send", None, 0),
        ("queues.clean", "outreach:send", None, 1),
    ]


async def pause(database: Database, dispatch: Replica) -> None:
    await database.run(lambda tx: pauses.add(tx, Pause(SENDS.name, None)))
    await dispatch.configuration.refresh()


async def test_a_queue_is_obliterated_only_while_it_is_paused_by_who_knows_how_much_it_is(
    database: Database, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await World.create(database, HELLO, contacts=3)
    async with dispatching(database, valkey_url) as dispatch:
        await enqueued(world, dispatch)
        one, held, _ = await dispatch.claim()
        await dispatch.sends.settle(0, [Settlement(one, Verdict.FAILED)])
        at = desk(world, dispatch)
        before = await whole(world)
        with pytest.raises(Conflict, match="It is not paused"):
            await at.obliterate(SENDS.name, 3)
        await pause(database, dispatch)
        monkeypatch.setattr(draining, "_MEANWHILE", 0)
        with pytest.raises(Conflict, match="There are 3 jobs in it, not 2"):
            await at.obliterate(SENDS.name, 2)
        with pytest.raises(Conflict, match="Jobs of it run"):
            await at.obliterate(SENDS.name, 3)
        assert (await whole(world), await entries(database)) == (before, [])
        assert await dispatch.sends.counts(0) == Counts(active=2, failed=1)

        told: list[int] = []
        assert await at.obliterate(SENDS.name, 3, force=True, progress=told.append) == Cleared(3, 3)
        assert sum(told) == 5
        assert await dispatch.sends.counts(0) == Counts()
        assert await statuses(world) == ["cancelled"] * 3
        assert (await dispatch.sends.extend(0, [held])).lost == [held.id]
    assert await entries(database) == [("queues.obliterate", "outreach:send", None, 3)]


async def test_a_pause_that_is_not_in_force_yet_keeps_a_queue_from_being_obliterated(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        await enqueued(world, dispatch)
        await database.run(lambda tx: pauses.add(tx, Pause(None, None)))
        before = await whole(world)
        with pytest.raises(Conflict, match="not in force yet"):
            await desk(world, dispatch).obliterate(SENDS.name, 1)
        assert (await whole(world), await entries(database)) == (before, []), "or it drained what it refuses"


async def test_a_queue_whose_posts_come_on_is_obliterated_all_the_same(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await database.run(lambda tx: pauses.add(tx, Pause(None, None)))
        await dispatch.configuration.refresh()
        seen = await desk(world, dispatch).jobs_in(WEBHOOKS.name)
        for _ in range(3):
            claim = await world.post()
            post = WebhookJob(tenant_id=world.tenant_id, webhook_delivery_id=claim.id, provider="sendgrid")
            await dispatch.webhooks.enqueue([NewJob(job_id("webhook", claim.id, 0), post.lane, post.wire())])
        assert await desk(world, dispatch).obliterate(WEBHOOKS.name, seen) == Cleared(3, 3)
