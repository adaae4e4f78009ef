"""What an operator does to jobs, and to what is in force."""

from datetime import timedelta

import pytest

from shared.errors import InvalidJob
from shared.jobs import JobState
from shared.queue.operating import Cancelled, Changed, Removed
from shared.queue.types import (
    ClaimedJob,
    Enqueued,
    Seen,
    Settled,
    Settlement,
    SubjectConfig,
    Verdict,
    Window,
)
from tests.integration.queue_state import T0, Bench, bench, changed, job, limits


async def one_of_each(b: Bench) -> None:
    """Jobs named after the states they are in."""
    await b.queue.enqueue([job(each) for each in ("completed", "failed", "active", "waiting")])
    await b.queue.enqueue([job("delayed", "b/email/s", priority=3, delay=timedelta(seconds=9))])
    completed, failed, _ = (await b.queue.claim(0, 3)).jobs
    ends = [Settlement(completed, Verdict.COMPLETED), Settlement(failed, Verdict.FAILED, reason="why")]
    await b.queue.settle(0, ends)


EVERY = ["completed", "failed", "active", "waiting", "delayed", "absent"]


async def test_a_promoted_job_waits_and_only_a_delayed_one_can_be(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await one_of_each(b)
        before = await b.state()
        assert await b.queue.promote(0, [*EVERY, "delayed"]) == ["delayed"]
        state = dict(before["state"])
        del state["delayed"]
        assert changed(before, await b.state()) == {
            "delayed": None,
            "lane:b/email/s:3": ["delayed"],
            "ready": before["ready"] | {"b": 0},
            "ring:b": ["b/email/s"],
            "state": state,
        }


async def test_a_retried_job_waits_in_its_lane_with_all_its_attempts(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await one_of_each(b)
        before = await b.state()
        assert await b.queue.retry(0, [*EVERY, "failed"]) == ["failed"]
        state = dict(before["state"])
        del state["failed"]
        assert changed(before, await b.state()) == {
            "failed": None,
            "lane:a:1": ["waiting", "failed"],
            "state": state,
        }
        assert [each.attempt for each in (await b.queue.claim(0, 9)).jobs] == [1, 1]


async def test_pain_13_bulk_retry_keeps_priority_and_lane(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        jobs = [job(f"job-{n}", f"a/email/{n}", priority=n) for n in range(2)]
        await b.queue.enqueue(jobs)
        before = await b.state()
        claimed = await b.queue.claim(0, 9)
        await b.queue.settle(0, [Settlement(each, Verdict.FAILED) for each in claimed.jobs])
        assert await b.queue.retry_oldest(0, 1) == ["job-0"]
        assert await b.queue.retry_oldest(0) == ["job-1"]
        assert await b.queue.retry_oldest(0) == []
        state = await b.state()
        assert {key: state[key] for key in before if key not in ("meta", "ready")} == {
            key: before[key] for key in before if key not in ("meta", "ready")
        }


async def test_every_job_but_an_active_one_can_be_removed(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await one_of_each(b)
        before = await b.state()
        words = dict(zip(EVERY, await b.queue.remove(0, EVERY), strict=True))
        assert words == dict.fromkeys(EVERY, Removed.REMOVED) | {
            "active": Removed.ACTIVE,
            "absent": Removed.ABSENT,
        }
        assert changed(before, await b.state()) == {
            "completed": None,
            "delayed": None,
            "failed": None,
            "jobs": {"active": before["jobs"]["active"]},
            "state": {"active": before["state"]["active"]},
        }
        words_after = await b.queue.enqueue([job("waiting"), job("completed")])
        assert words_after == [Enqueued.CREATED, Enqueued.DUPLICATE]


STANDING = {"active": Changed.ACTIVE, "completed": Changed.FINISHED, "failed": Changed.FINISHED}


async def test_a_reprioritised_job_waits_at_the_tail_of_its_new_like(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await one_of_each(b)
        await b.queue.enqueue([job("urgent", priority=0)])
        before = await b.state()
        words = dict(zip(EVERY, await b.queue.reprioritise(0, EVERY, 0), strict=True))
        assert words == STANDING | {
            "waiting": Changed.CHANGED,
            "delayed": Changed.CHANGED,
            "absent": Changed.ABSENT,
        }
        after = {
            "waiting": ("a", 0, 1, b'{"job":"waiting"}'),
            "delayed": ("b/email/s", 0, 1, b'{"job":"delayed"}'),
        }
        assert changed(before, await b.state()) == {
            "jobs": before["jobs"] | after,
            "lane:a:0": ["urgent", "waiting"],
        }
        assert await b.queue.reprioritise(0, ["waiting", "waiting"], 0) == [Changed.UNCHANGED] * 2
        b.clock.forward(seconds=9)
        got = (await b.queue.claim(0, 9)).jobs
        assert {each.id: each.priority for each in got} == {"urgent": 0, "waiting": 0, "delayed": 0}
        assert await b.queue.enqueue([job("waiting")]) == [Enqueued.DUPLICATE]
        with pytest.raises(InvalidJob, match="priority is 4"):
            await b.queue.reprioritise(0, ["waiting"], 4)


async def test_a_job_that_changed_its_priority_and_changed_it_back_runs_once(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one"), job("two")])
        for priority in (0, 1):
            assert await b.queue.reprioritise(0, ["one"], priority) == [Changed.CHANGED]
        assert [each.id for each in (await b.queue.claim(0, 9)).jobs] == ["one", "two"]
        assert (await b.queue.claim(0, 9)).jobs == ()
        assert [key for key in await b.state() if key.startswith(("lane:", "ring:"))] == []


async def test_a_rescheduled_job_runs_at_its_new_time_and_not_before(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await one_of_each(b)
        before = await b.state()
        words = dict(zip(EVERY, await b.queue.reschedule(0, EVERY, T0 + 5_000), strict=True))
        assert words == STANDING | {
            "waiting": Changed.CHANGED,
            "delayed": Changed.CHANGED,
            "absent": Changed.ABSENT,
        }
        assert changed(before, await b.state()) == {
            "delayed": {"waiting": T0 + 5_000, "delayed": T0 + 5_000},
            "state": before["state"] | {"waiting": ("d", 0, 0, 0, 0, 0, "")},
        }
        assert (await b.queue.measure(0)).oldest_ms is None  # what the line still says of it is no job there
        claimed = await b.queue.claim(0, 9)
        assert (claimed.jobs, claimed.wake_ms) == ((), T0 + 5_000)
        b.clock.forward(seconds=5)
        assert {each.id for each in (await b.queue.claim(0, 9)).jobs} == {"waiting", "delayed"}
        with pytest.raises(InvalidJob, match="time is -1"):
            await b.queue.reschedule(0, ["waiting"], -1)


@pytest.mark.parametrize("change", ["reprioritise", "reschedule"])
async def test_a_lane_that_waits_for_the_room_of_a_dear_job_goes_on_when_that_job_steps_aside(
    valkey_url: str, change: str
) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", (60, 3))])
        await b.queue.enqueue([job("first"), job("dear", cost=3), job("cheap")])
        assert [each.id for each in (await b.queue.claim(0, 9)).jobs] == ["first"]
        if change == "reprioritise":
            await b.queue.reprioritise(0, ["dear"], 3)
        else:
            await b.queue.reschedule(0, ["dear"], T0 + 90_000)
        assert [each.id for each in (await b.queue.claim(0, 9)).jobs] == ["cheap"]


async def test_a_job_that_is_rescheduled_to_be_next_wakes_who_waits(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one", delay=timedelta(days=1))])
        assert await b.queue.wait([0]) == 0
        await b.queue.reschedule(0, ["one"], T0)
        assert await b.queue.wait([0]) == 0


async def test_a_cancelled_job_is_taken_out_and_an_active_one_marked(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await one_of_each(b)
        before = await b.state()
        once, twice = [dict(zip(EVERY, await b.queue.cancel(0, EVERY), strict=True)) for _ in range(2)]
        standing = {
            "active": Cancelled.CANCELLING,
            "completed": Cancelled.FINISHED,
            "failed": Cancelled.FINISHED,
            "absent": Cancelled.ABSENT,
        }
        assert once == standing | dict.fromkeys(("waiting", "delayed"), Cancelled.REMOVED)
        assert twice == standing | dict.fromkeys(("waiting", "delayed"), Cancelled.ABSENT)
        kept = ("completed", "failed", "active")
        assert changed(before, await b.state()) == {
            "delayed": None,
            "jobs": {name: before["jobs"][name] for name in kept},
            "state": {name: before["state"][name] for name in kept} | {"active": ("a", 1, 0, 1, T0, 128, "")},
        }
        assert await b.queue.look_up(0, ["active"]) == [Seen("active", JobState.ACTIVE, "", 1, True)]
        assert await b.queue.cancel(0, []) == []


async def running(b: Bench) -> ClaimedJob:
    """A job under a cap and a limit, cancelled while it runs; its worker has been told."""
    await b.queue.configure(0, [limits("a", (60, 5), cap=1)])
    await b.queue.enqueue([job("one"), job("two")])
    (claimed,) = (await b.queue.claim(0, 9)).jobs
    assert await b.queue.cancel(0, ["one"]) == [Cancelled.CANCELLING]
    assert await b.queue.extend(0, [claimed]) == ([], ["one"])
    return claimed


CANCELLED = Seen("one", JobState.COMPLETED, "cancelled", 1)
ENDS = dict.fromkeys((Verdict.RETRY, Verdict.FAILED, Verdict.RELEASED, Verdict.DEFERRED), Settled.CANCELLED)


@pytest.mark.parametrize(("verdict", "word"), [*ENDS.items(), (Verdict.CANCELLED, Settled.OK)])
async def test_a_job_that_was_cancelled_while_it_ran_ends_for_good_whatever_its_worker_says(
    valkey_url: str, verdict: Verdict, word: Settled
) -> None:
    async with bench(valkey_url) as b:
        claimed = await running(b)
        words, following = await b.queue.settle(0, [Settlement(claimed, verdict, T0, "cancelled")], 1)
        assert words == [word] and following is not None
        assert [each.id for each in following.jobs] == ["two"]  # its slot is free
        assert await b.queue.look_up(0, ["one"]) == [CANCELLED]
        assert await b.queue.enqueue([job("one")]) == [Enqueued.DUPLICATE]


async def test_a_job_that_completed_before_it_could_be_stopped_ends_as_it_ended(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        claimed = await running(b)
        words, _ = await b.queue.settle(0, [Settlement(claimed, Verdict.COMPLETED, reason="sent")])
        assert words == [Settled.OK]
        assert await b.queue.look_up(0, ["one"]) == [Seen("one", JobState.COMPLETED, "sent", 1)]


async def test_a_cancelled_job_whose_worker_died_ends_with_its_lease_and_never_runs_again(
    valkey_url: str,
) -> None:
    async with bench(valkey_url) as b:
        claimed = await running(b)
        b.clock.forward(seconds=31)
        assert await b.queue.reap(0) == ([], [CANCELLED])
        assert await b.queue.look_up(0, ["one"]) == [CANCELLED]
        assert [each.id for each in (await b.queue.claim(0, 9)).jobs] == ["two"]
        assert (await b.queue.settle(0, [Settlement(claimed, Verdict.RETRY)]))[0] == [Settled.LEASE_LOST]


async def test_a_configuration_replaces_what_was_and_the_ordinary_one_leaves_nothing(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(
            0, [limits("a", (60, 5), cap=3, weight=2, paused=True), SubjectConfig("b", cap=1)]
        )
        assert set((await b.state())["config"]) == {"a", "b"}
        await b.queue.configure(0, [SubjectConfig("a"), SubjectConfig("b", paused=True)])
        assert set((await b.state())["config"]) == {"b"}
        await b.queue.configure(0, [SubjectConfig("", paused=True)])
        assert (await b.state())["meta"]["paused"] and set((await b.state())["config"]) == {"b"}
        await b.queue.configure(0, [SubjectConfig("")])
        assert not (await b.state())["meta"]["paused"]


@pytest.mark.parametrize(
    "config",
    [
        SubjectConfig("a", weight=0),
        SubjectConfig("a", cap=-1),
        SubjectConfig("a", windows=(Window(timedelta(days=2), 1),)),
        SubjectConfig("a", windows=(Window(timedelta(0), 1),)),
        SubjectConfig("a", windows=(Window(timedelta(microseconds=500), 1),)),
        SubjectConfig("a", windows=(Window(timedelta(seconds=1), -1),)),
    ],
    ids=str,
)
async def test_a_configuration_that_makes_no_sense_is_refused(valkey_url: str, config: SubjectConfig) -> None:
    async with bench(valkey_url) as b:
        before = await b.state()
        with pytest.raises(ValueError, match="of a"):
            await b.queue.configure(0, [SubjectConfig("b", weight=2), config])
        assert await b.state() == before


async def test_pausing_a_tenant_leaves_its_other_settings(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", (60, 1), weight=2, closed_until_ms=T0 + 5_000)])
        before = (await b.state())["config"]
        await b.queue.pause(0, "a")
        assert (await b.state())["config"] != before
        await b.queue.resume(0, "a")
        assert (await b.state())["config"] == before
