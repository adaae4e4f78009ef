"""What an operator does to one job: its row decides, and what is refused changes nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from shared.campaigns import enrollments
from shared.errors import Conflict, JobMoved, NotFound
from shared.jobs import JobState, job_id
from shared.queue.types import Seen, Settlement, Verdict
from shared.redis.embedded import EmbeddedValkey
from shared.store import sends
from shared.store.database import Database
from shared.store.ids import uuid7
from shared.store.sends import Submission
from tests.dispatching import Replica, dispatching
from tests.journeys import World, graph, send, to, wait
from tests.operating import desk, entries, fail, meanwhile, whole

HELLO = graph(hello=send(to("done")))
LATER = datetime.now(UTC) + timedelta(hours=1)


async def enqueued(world: World, dispatch: Replica) -> str:
    """One contact's send on its way; its job's id."""
    await dispatch.open()
    await world.enrol(world.contacts[:1])
    await dispatch.send_round()
    (action,) = await world.actions()
    return job_id("send", action["id"], 0)


async def states(world: World) -> list[tuple[str, int, str | None]]:
    return [(row["status"], row["g"], row["reason"]) for row in await world.actions()]


async def test_a_retried_send_is_sent_under_the_next_generation_from_where_its_contact_was(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        old = await enqueued(world, dispatch)
        before = await whole(world)
        (action,) = await world.actions()
        await world.set_action(action["id"], scheduled_at=datetime.now(UTC) - timedelta(days=3), tries=3)
        await fail(world, action)
        assert await world.path() == [("hello", "failed"), ("failed", None)]

        new = await desk(world, dispatch).retry(old)
        after = await whole(world)
        (row,) = after["scheduled_actions"]
        assert new == job_id("send", action["id"], 1)
        assert (row["status"], row["g"], row["reason"], row["tries"]) == ("pending", 1, None, 0)
        assert datetime.now(UTC) - row["scheduled_at"] < timedelta(minutes=1), (
            "or it would be skipped as late"
        )
        for table in ("enrollments", "visits"):
            assert after[table] == before[table], "as if it had not failed"
        assert await dispatch.sends.job(0, old) is None
        assert await entries(database) == [("jobs.retry", old, str(world.tenant_id), 1)]

        await dispatch.send_round()
        assert [job.id for job in await dispatch.claim()] == [new]


@pytest.mark.parametrize("ended", [False, True])
async def test_a_contact_who_was_led_on_is_not_fetched_back(
    database: Database, valkey_url: str, ended: bool
) -> None:
    nodes = graph(hello=send(to("done"), to("again", "failed")), again=send(to("done")))
    world = await World.create(database, nodes)
    async with dispatching(database, valkey_url) as dispatch:
        old = await enqueued(world, dispatch)
        await fail(world, (await world.actions())[0])
        if ended:
            await fail(world, (await world.actions())[1])
        before = await whole(world)
        with pytest.raises(Conflict, match="its contact moved on"):
            await desk(world, dispatch).retry(old)
        assert (await whole(world), await entries(database)) == (before, [])


@pytest.mark.parametrize("why", ["enrolled anew", "campaign cancelled", "contact deleted"])
async def test_a_contact_who_is_gone_or_back_is_not_fetched_back(
    database: Database, valkey_url: str, why: str
) -> None:
    world = await World.create(database, HELLO, reentry="after_exit")
    async with dispatching(database, valkey_url) as dispatch:
        old = await enqueued(world, dispatch)
        await fail(world, (await world.actions())[0])
        if why == "enrolled anew":
            await world.enrol(world.contacts[:1])
        elif why == "campaign cancelled":
            await database.run(lambda tx: enrollments.cancel_campaign(tx, world.tenant_id, world.campaign_id))
        else:
            await world.run("update contacts set deleted_at = now() where tenant_id = :t")
        before = await whole(world)
        with pytest.raises(Conflict, match="moved on, or its campaign was cancelled"):
            await desk(world, dispatch).retry(old)
        assert (await whole(world), await entries(database)) == (before, [])


async def test_a_send_that_may_have_gone_out_is_retried_only_where_that_is_accepted(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        old = await enqueued(world, dispatch)
        await fail(world, (await world.actions())[0], "unconfirmed")
        with pytest.raises(Conflict, match="It may have been sent"):
            await desk(world, dispatch).retry(old)
        assert await states(world) == [("failed", 0, "unconfirmed")]
        await desk(world, dispatch).retry(old, unconfirmed=True)
        assert await states(world) == [("pending", 1, None)]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("pending", "waits for its time"),
        ("held", "held by a pause"),
        ("submitting", "nobody can call it back"),
        ("accepted", "It was sent"),
        ("unknown", "Nobody knows yet"),
        ("skipped", "It ended as skipped"),
        ("cancelled", "It ended as cancelled"),
    ],
)
async def test_a_send_that_did_not_fail_is_not_retried_and_says_how_it_stands(
    database: Database, valkey_url: str, status: str, words: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        old = await enqueued(world, dispatch)
        await world.set_action((await world.actions())[0]["id"], status=status)
        before = await whole(world)
        with pytest.raises(Conflict, match=words):
            await desk(world, dispatch).retry(old)
        assert (await whole(world), await entries(database)) == (before, [])


@pytest.mark.parametrize("act", ["retry", "promote", "remove", "cancel"])
async def test_a_job_that_moved_on_or_never_was_is_told_so(
    database: Database, valkey_url: str, act: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        await enqueued(world, dispatch)
        (action,) = await world.actions()
        await world.set_action(action["id"], g=4)
        before = await whole(world)
        do = getattr(desk(world, dispatch), act)
        with pytest.raises(Conflict, match=f"it is send:{action['id']}:4 now"):
            await do(job_id("send", action["id"], 0))
        unknown = [job_id("timeout", action["id"], 4), *(job_id(k, uuid7(), 0) for k in ("send", "webhook"))]
        for wanted in unknown:
            with pytest.raises(NotFound, match="no row of the job"):
                await do(wanted)
        for wanted in ("", "send", "send:x:0", f"mail:{action['id']}:0", f"send:{action['id']}"):
            with pytest.raises(NotFound, match="ids are send:<id>:<g>"):
                await do(wanted)
        assert (await whole(world), await entries(database)) == (before, [])


async def test_a_job_that_failed_before_its_row_knew_is_retried_and_one_in_line_is_not(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        old = await enqueued(world, dispatch)
        with pytest.raises(Conflict, match="it is waiting"):
            await desk(world, dispatch).retry(old)
        (job,) = await dispatch.claim()
        with pytest.raises(Conflict, match="it is active"):
            await desk(world, dispatch).retry(old)
        await dispatch.sends.settle(0, [Settlement(job, Verdict.FAILED, reason="stalled")])
        await desk(world, dispatch).retry(old)
        assert await states(world) == [("pending", 1, None)]
        assert await dispatch.sends.job(0, old) is None


async def test_with_redis_away_a_failed_send_is_retried_by_its_row(
    database: Database, valkey: EmbeddedValkey, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        old = await enqueued(world, dispatch)
        await fail(world, (await world.actions())[0])
        await valkey.stop()
        await desk(world, dispatch).retry(old)
    assert await states(world) == [("pending", 1, None)]


async def test_with_redis_full_a_job_that_a_worker_holds_is_cancelled_by_its_row(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        wanted = await enqueued(world, dispatch)
        await dispatch.claim()
        await dispatch.redis.config_set("maxmemory", 1)
        try:
            await desk(world, dispatch).cancel(wanted)
        finally:
            await dispatch.redis.config_set("maxmemory", 0)
    assert await states(world) == [("cancelled", 0, "removed")]
    assert await entries(database) == [("jobs.cancel", wanted, str(world.tenant_id), 1)]


async def test_a_send_that_waits_for_a_time_is_promoted_and_one_that_is_due_is_not(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    await world.enrol()
    (action,) = await world.actions()
    await world.set_action(action["id"], due_at=LATER)
    job = job_id("send", action["id"], 0)
    async with dispatching(database, valkey_url) as dispatch:
        await desk(world, dispatch).promote(job)
        (after,) = await world.actions()
        assert after == {**action, "due_at": after["due_at"]}
        assert after["due_at"] < datetime.now(UTC)
        with pytest.raises(Conflict, match="due already"):
            await desk(world, dispatch).promote(job)
    assert await entries(database) == [("jobs.promote", job, str(world.tenant_id), 1)]


async def test_a_delayed_job_is_promoted_and_one_that_waits_is_not(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        wanted = await enqueued(world, dispatch)
        with pytest.raises(Conflict, match="it is waiting"):
            await desk(world, dispatch).promote(wanted)
        (job,) = await dispatch.claim()
        later = int(LATER.timestamp() * 1000)
        await dispatch.sends.settle(0, [Settlement(job, Verdict.DEFERRED, at_ms=later)])
        await desk(world, dispatch).promote(wanted)
        found = await dispatch.sends.job(0, wanted)
        assert found is not None
        assert found[0].state is JobState.WAITING
    assert await entries(database) == [("jobs.promote", wanted, str(world.tenant_id), 1)]


async def test_a_timeout_keeps_its_time(database: Database, valkey_url: str) -> None:
    world = await World.create(database, graph(pause=wait(3600, "done")))
    await world.enrol()
    (action,) = await world.actions()
    async with dispatching(database, valkey_url) as dispatch:
        with pytest.raises(Conflict, match="A timeout keeps its time"):
            await desk(world, dispatch).promote(job_id("timeout", action["id"], 0))
    assert await world.actions() == [action]


@pytest.mark.parametrize("act", ["remove", "cancel"])
@pytest.mark.parametrize("status", ["pending", "enqueued", "held"])
async def test_a_send_that_is_taken_out_is_cancelled_and_its_contact_takes_the_failed_edge(
    database: Database, valkey_url: str, act: str, status: str
) -> None:
    nodes = graph(hello=send(to("done"), to("again", "failed")), again=send(to("done")))
    world = await World.create(database, nodes)
    async with dispatching(database, valkey_url) as dispatch:
        job = await enqueued(world, dispatch)
        (action,) = await world.actions()
        await world.set_action(action["id"], status=status)
        await getattr(desk(world, dispatch), act)(job)
        assert await states(world) == [("cancelled", 0, "removed"), ("pending", 0, None)]
        assert await world.path() == [("hello", "failed"), ("again", None)]
        assert await dispatch.sends.job(0, job) is None
        with pytest.raises(Conflict, match="It ended as cancelled"):
            await getattr(desk(world, dispatch), act)(job)
    assert await entries(database) == [(f"jobs.{act}", job, str(world.tenant_id), 1)]


async def test_a_job_that_a_worker_holds_is_cancelled_but_not_removed_and_is_never_submitted(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        job = await enqueued(world, dispatch)
        await dispatch.claim()
        with pytest.raises(Conflict, match="A worker holds it"):
            await desk(world, dispatch).remove(job)
        assert await states(world) == [("enqueued", 0, None)]
        await desk(world, dispatch).cancel(job)
    (action,) = await world.actions()
    submission = Submission(world.tenant_id, action["id"], 0, "a@example.org", datetime.now(UTC))
    assert await database.run(lambda tx: sends.submit(tx, [submission])) == set()
    assert await entries(database) == [("jobs.cancel", job, str(world.tenant_id), 1)]


@pytest.mark.parametrize("act", ["remove", "cancel"])
async def test_a_send_that_is_with_its_provider_is_not_cancelled_and_says_so(
    database: Database, valkey_url: str, act: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        job = await enqueued(world, dispatch)
        await world.set_action((await world.actions())[0]["id"], status="submitting")
        before = await whole(world)
        with pytest.raises(Conflict, match="with its provider now"):
            await getattr(desk(world, dispatch), act)(job)
        assert (await whole(world), await entries(database)) == (before, [])


async def test_who_waits_for_a_timeout_that_is_taken_out_leaves_the_campaign(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, graph(pause=wait(3600, "done")))
    await world.enrol()
    (action,) = await world.actions()
    job = job_id("timeout", action["id"], 0)
    async with dispatching(database, valkey_url) as dispatch:
        await desk(world, dispatch).remove(job)
    assert await world.path() == [("pause", "cancelled"), ("cancelled", None)]
    assert await states(world) == [("cancelled", 0, "cancelled")]
    assert await entries(database) == [("jobs.remove", job, str(world.tenant_id), 1)]


async def test_a_timeout_whose_contact_moved_on_meanwhile_ends_nothing(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, graph(pause=wait(3600, "hello"), hello=send(to("done"))))
    await world.enrol()
    (action,) = await world.actions()
    async with dispatching(database, valkey_url) as dispatch:
        at = desk(world, dispatch)
        meanwhile(
            at,
            lambda: world.advance(world.move(action["visit_id"], "elapsed", action_id=action["id"])),
        )
        with pytest.raises(Conflict, match="moved on just now"):
            await at.cancel(job_id("timeout", action["id"], 0))
    assert await world.path() == [("pause", "else"), ("hello", None)]
    assert await entries(database) == []


async def test_of_two_operators_who_retry_one_send_the_second_is_told_what_it_is_now(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        old = await enqueued(world, dispatch)
        await fail(world, (await world.actions())[0])
        first, second = desk(world, dispatch), desk(world, dispatch)
        meanwhile(second, lambda: first.retry(old))
        with pytest.raises(JobMoved) as told:
            await second.retry(old)
        assert told.value.job == old.removesuffix("0") + "1"
    assert await states(world) == [("pending", 1, None)]
    assert await entries(database) == [("jobs.retry", old, str(world.tenant_id), 1)]


@pytest.mark.parametrize("act", ["cancel", "retry", "promote"])
async def test_a_send_that_its_provider_has_by_now_is_said_to_be_there(
    database: Database, valkey_url: str, act: str
) -> None:
    world = await World.create(database, HELLO)
    await world.enrol(world.contacts[:1])
    (action,) = await world.actions()
    if act == "retry":
        await fail(world, action)
    elif act == "promote":
        await world.set_action(action["id"], due_at=LATER)
    async with dispatching(database, valkey_url) as dispatch:
        at = desk(world, dispatch)
        meanwhile(at, lambda: world.set_action(action["id"], status="submitting"))
        with pytest.raises(Conflict, match="nobody can call it back"):
            await getattr(at, act)(job_id("send", action["id"], 0))
    assert await entries(database) == []


async def test_a_delayed_job_that_another_operator_promoted_meanwhile_is_said_to_have_moved_on(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        wanted = await enqueued(world, dispatch)
        (job,) = await dispatch.claim()
        later = int(LATER.timestamp() * 1000)
        await dispatch.sends.settle(0, [Settlement(job, Verdict.DEFERRED, at_ms=later)])
        at, state = desk(world, dispatch), dispatch.sends.look_up

        async def slow(partition: int, ids: Sequence[str]) -> list[Seen]:
            found = await state(partition, ids)
            await dispatch.sends.promote(partition, ids)
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dispatch.sends, "look_up", slow)
            with pytest.raises(Conflict, match="just now it moved on"):
                await at.promote(wanted)
