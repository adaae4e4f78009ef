"""Another priority or another time for one job: its row first, and what is refused changes nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import Conflict, NotFound, OutOfRange
from shared.jobs import JobState, job_id
from shared.queue.reporting import LogLine, Report
from shared.queue.types import Seen, Settlement, Verdict
from shared.redis.embedded import EmbeddedValkey
from shared.store import due, sends
from shared.store.database import Database
from shared.store.sends import Submission
from tests.dispatching import Replica, dispatching
from tests.journeys import World, graph, send, to, wait
from tests.operating import desk, entries, whole

HELLO = graph(hello=send(to("done")))
LATER = datetime(2126, 11, 25, 12, tzinfo=UTC)


async def enqueued(world: World, dispatch: Replica, contacts: int = 1) -> list[str]:
    """Sends on their way; their jobs' ids."""
    await dispatch.open()
    await world.enrol(world.contacts[:contacts])
    await dispatch.send_round()
    return [job_id("send", action["id"], 0) for action in await world.actions()]


async def test_a_job_of_a_lower_priority_runs_before_those_that_came_sooner(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=3)
    async with dispatching(database, valkey_url) as dispatch:
        _, _, last = await enqueued(world, dispatch, 3)
        before = await whole(world)
        await desk(world, dispatch).reprioritise(last, 0)
        (first, *_) = await dispatch.claim(1)
        assert (first.id, first.priority) == (last, 0)
        with pytest.raises(Conflict, match="it is active"):
            await desk(world, dispatch).reprioritise(last, 3)
        assert await whole(world) == before
    assert await entries(database) == [("jobs.reprioritise", last, str(world.tenant_id), 1)]


async def test_what_is_not_in_line_has_no_priority_to_change(database: Database, valkey_url: str) -> None:
    world = await World.create(database, HELLO)
    await world.enrol()
    (action,) = await world.actions()
    await world.set_action(action["id"], due_at=LATER)
    async with dispatching(database, valkey_url) as dispatch:
        at = desk(world, dispatch)
        with pytest.raises(Conflict, match=r"given another priority\. It waits for its time, 2126"):
            await at.reprioritise(job_id("send", action["id"], 0), 0)
        for wrong in (-1, 4):
            with pytest.raises(OutOfRange, match="from 0"):
                await at.reprioritise(job_id("send", action["id"], 0), wrong)
        with pytest.raises(NotFound):
            await at.reprioritise("x", 0)
    assert await entries(database) == []


async def test_a_job_that_a_worker_takes_before_its_priority_is_changed_is_said_to_be_active(
    database: Database, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        (job,) = await enqueued(world, dispatch)
        look_up = dispatch.sends.look_up

        async def slow(partition: int, ids: Sequence[str]) -> list[Seen]:
            found = await look_up(partition, ids)
            await dispatch.claim()
            return found

        monkeypatch.setattr(dispatch.sends, "look_up", slow)
        with pytest.raises(Conflict, match="just now it became active"):
            await desk(world, dispatch).reprioritise(job, 3)


async def test_a_send_that_waits_for_its_time_is_given_another(database: Database, valkey_url: str) -> None:
    world = await World.create(database, HELLO)
    await world.enrol()
    (action,) = await world.actions()
    old = job_id("send", action["id"], 0)
    async with dispatching(database, valkey_url) as dispatch:
        assert await desk(world, dispatch).reschedule(old, LATER) == job_id("send", action["id"], 1)
    assert await world.actions() == [{**action, "g": 1, "due_at": LATER, "scheduled_at": LATER}]
    assert await entries(database) == [("jobs.reschedule", old, str(world.tenant_id), 1)]


async def test_a_send_in_line_goes_back_to_wait_for_its_new_time_and_whoever_holds_it_is_stopped(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        (old,) = await enqueued(world, dispatch)
        (job,) = await dispatch.claim()
        new = await desk(world, dispatch).reschedule(old, LATER)
        (action,) = await world.actions()
        assert (action["status"], action["g"], action["due_at"]) == ("pending", 1, LATER)
        assert (await dispatch.sends.extend(0, [job])).cancelled == [old]
        submission = Submission(world.tenant_id, action["id"], 0, "a@example.org", datetime.now(UTC))
        assert await database.run(lambda tx: sends.submit(tx, [submission])) == set()
        await dispatch.sends.settle(0, [Settlement(job, Verdict.RETRY)])
        assert (await dispatch.sends.look_up(0, [old]))[0].state is JobState.COMPLETED

        await desk(world, dispatch).reschedule(new, datetime.now(UTC))
        await dispatch.send_round()
        assert [each.id for each in await dispatch.claim()] == [job_id("send", action["id"], 2)]


async def test_a_send_rescheduled_while_dispatch_chose_it_does_not_go_early(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    await world.enrol()
    (action,) = await world.actions()
    async with dispatching(database, valkey_url) as dispatch:
        await desk(world, dispatch).reschedule(job_id("send", action["id"], 0), LATER)
    chosen = [(world.tenant_id, action["id"])]
    assert await database.run(lambda tx: due.take_sends(tx, chosen, timedelta(days=1))) == []


async def test_a_send_is_given_no_time_that_is_past_or_it_would_be_skipped_as_late(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    await world.enrol()
    (action,) = await world.actions()
    before = await whole(world)
    async with dispatching(database, valkey_url) as dispatch:
        with pytest.raises(OutOfRange, match="is past"):
            past = datetime.now(UTC) - timedelta(hours=1)
            await desk(world, dispatch).reschedule(job_id("send", action["id"], 0), past)
    assert (await whole(world), await entries(database)) == (before, [])


@pytest.mark.parametrize("status", ["submitting", "accepted", "failed", "held"])
async def test_a_send_that_does_not_wait_keeps_its_time(
    database: Database, valkey_url: str, status: str
) -> None:
    world = await World.create(database, HELLO)
    await world.enrol()
    (action,) = await world.actions()
    await world.set_action(action["id"], status=status)
    before = await whole(world)
    async with dispatching(database, valkey_url) as dispatch:
        with pytest.raises(Conflict, match="It cannot be rescheduled"):
            await desk(world, dispatch).reschedule(job_id("send", action["id"], 0), LATER)
    assert (await whole(world), await entries(database)) == (before, [])


async def test_timeouts_and_deliveries_keep_their_time_and_a_time_has_a_zone(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, graph(pause=wait(3600, "done")))
    await world.enrol()
    (action,) = await world.actions()
    delivery = await world.post()
    before = await whole(world)
    async with dispatching(database, valkey_url) as dispatch:
        at = desk(world, dispatch)
        with pytest.raises(Conflict, match="A timeout keeps its time"):
            await at.reschedule(job_id("timeout", action["id"], 0), LATER)
        with pytest.raises(Conflict, match="processed as it comes"):
            await at.reschedule(job_id("webhook", delivery.id, 0), LATER)
        with pytest.raises(OutOfRange, match="with its zone"):
            await at.reschedule(job_id("timeout", action["id"], 0), LATER.replace(tzinfo=None))
    assert (await whole(world), await entries(database)) == (before, [])


async def test_with_redis_away_a_send_in_line_is_rescheduled_by_its_row(
    database: Database, valkey: EmbeddedValkey, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        (old,) = await enqueued(world, dispatch)
        await valkey.stop()
        await desk(world, dispatch).reschedule(old, LATER)
    (action,) = await world.actions()
    assert (action["status"], action["g"], action["due_at"]) == ("pending", 1, LATER)


async def test_what_a_worker_reports_of_a_job_is_shown_with_it(database: Database, valkey_url: str) -> None:
    world = await World.create(database, HELLO)
    async with dispatching(database, valkey_url) as dispatch:
        (wanted,) = await enqueued(world, dispatch)
        (job,) = await dispatch.claim()
        said = LogLine(int(LATER.timestamp() * 1000), "begun")
        await dispatch.sends.report(0, [Report(job, b"0.5", [said])])
        shown = (await desk(world, dispatch).job(wanted))["in_redis"]
        assert (shown["progress"], shown["log"]) == (0.5, [{"at": LATER, "text": "begun"}])
