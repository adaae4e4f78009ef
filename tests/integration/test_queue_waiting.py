"""Waiting for work: one nudge wakes one worker, and none is lost to a worker that gave up."""

import asyncio
from datetime import timedelta

import pytest

from shared.errors import SettingsError
from shared.jobs import QueueSpec
from shared.queue.queue import Queue
from shared.queue.types import Settlement, SubjectConfig, Verdict
from tests.integration.queue_state import T0, Bench, bench, job, limits

SOON = timedelta(milliseconds=30)


async def quiet(b: Bench) -> Bench:
    """Without the nudge of its opening."""
    for _ in range(b.queue.partitions):
        await b.queue.wait(range(b.queue.partitions))
    return b


async def test_a_waiting_worker_is_woken_by_a_job_and_told_where(valkey_url: str) -> None:
    async with bench(valkey_url, partitions=3) as b:
        await quiet(b)
        waiting = asyncio.create_task(b.queue.wait([0, 1, 2]))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await b.queue.enqueue([job("one", "tenant-7")])
        assert await waiting == b.queue.partition_of("tenant-7")


async def test_a_nudge_stays_for_the_worker_that_comes_later_and_wakes_only_one(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await quiet(b)
        await b.queue.enqueue([job("one"), job("two", "b")])
        assert await b.queue.wait([0], SOON) == 0
        assert await b.queue.wait([0], SOON) is None


async def test_more_work_for_a_lane_that_had_some_wakes_nobody(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one")])
        await b.queue.wait([0])
        await b.queue.enqueue([job("two")])
        assert await b.queue.wait([0], SOON) is None


async def test_a_worker_that_took_all_it_could_wakes_the_next(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await quiet(b)
        await b.queue.enqueue([job(f"job-{n}") for n in range(3)])
        woken = 0
        while await b.queue.wait([0], SOON) == 0:
            woken += 1
            await b.queue.claim(0, 1)
        assert woken == 3


async def test_a_delayed_job_that_comes_first_wakes_a_worker_to_look_at_its_time(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await quiet(b)
        for seconds, wakes in ((9, 0), (20, None), (5, 0)):
            await b.queue.enqueue([job(f"in-{seconds}", delay=timedelta(seconds=seconds))])
            assert await b.queue.wait([0], SOON) == wakes
        assert (await b.queue.claim(0, 1)).wake_ms == T0 + 5_000


async def test_what_goes_back_wakes_a_worker_unless_the_same_call_claims(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one")])
        await b.queue.wait([0])
        (one,) = (await b.queue.claim(0, 1)).jobs
        _, following = await b.queue.settle(0, [Settlement(one, Verdict.RELEASED)], 1)
        assert await b.queue.wait([0], SOON) is None
        assert following is not None
        await b.queue.settle(0, [Settlement(following.jobs[0], Verdict.RELEASED)])
        assert await b.queue.wait([0], SOON) == 0


async def test_a_full_worker_hands_on_what_it_put_back(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one"), job("two")])
        one, two = (await b.queue.claim(0, 2)).jobs
        while await b.queue.wait([0], SOON) is not None:
            pass
        # It takes the first again; the second is for another worker.
        back = [Settlement(each, Verdict.RELEASED) for each in (one, two)]
        _, following = await b.queue.settle(0, back, 1)
        assert await b.queue.wait([0], SOON) == 0
        assert following is not None and len((await b.queue.claim(0, 9)).jobs) == 1
        # It takes nothing back, but knows a time that the others do not.
        await b.queue.enqueue([job("four")])
        await b.queue.wait([0], SOON)
        again = Settlement(following.jobs[0], Verdict.RETRY, at_ms=b.clock.now + 300)
        await b.queue.settle(0, [again], 1)
        assert await b.queue.wait([0], SOON) == 0


@pytest.mark.parametrize("act", ["settle", "reap", "remove", "enqueue"])
async def test_room_for_a_lane_that_waited_wakes_a_worker(valkey_url: str, act: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [SubjectConfig("a", cap=1), limits("b/email", (60, 2))])
        await b.queue.enqueue([job("one"), job("two")])
        (one,) = (await b.queue.claim(0, 9)).jobs
        await b.queue.enqueue([job("three", "b/email/s"), job("big", "b/email/s", cost=2)])
        await b.queue.enqueue([job("small", "b/email/s", priority=3)])
        await b.queue.claim(0, 9)
        b.clock.forward(seconds=30)
        while await b.queue.wait([0], SOON) is not None:
            pass
        match act:
            case "settle":
                await b.queue.settle(0, [Settlement(one, Verdict.COMPLETED)])
            case "reap":
                await b.queue.reap(0)
            case "remove":
                await b.queue.remove(0, ["big"])
            case "enqueue":
                await b.queue.enqueue([job("first", "b/email/s", priority=0)])
        assert await b.queue.wait([0], SOON) == 0
        assert (await b.queue.claim(0, 9)).jobs


@pytest.mark.parametrize("act", ["promote", "retry", "resume", "reap"])
async def test_what_an_operator_or_a_timer_brings_back_wakes_a_worker(valkey_url: str, act: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one"), job("late", "b", delay=timedelta(hours=1))])
        (one,) = (await b.queue.claim(0, 1)).jobs
        if act == "retry":
            await b.queue.settle(0, [Settlement(one, Verdict.FAILED)])
        b.clock.forward(seconds=30)
        while await b.queue.wait([0], SOON) is not None:
            pass
        match act:
            case "promote":
                await b.queue.promote(0, ["late"])
            case "retry":
                await b.queue.retry(0, ["one"])
            case "resume":
                await b.queue.resume(0, "a")
            case "reap":
                await b.queue.reap(0)
        assert await b.queue.wait([0], SOON) == 0


async def test_a_worker_that_gives_up_leaves_no_nudge_behind(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await quiet(b)
        for _ in range(20):
            waiting = asyncio.create_task(b.queue.wait([0]))
            await asyncio.sleep(0)
            await asyncio.gather(b.queue.nudge(0), asyncio.to_thread(waiting.cancel))
            try:
                got = await waiting
            except asyncio.CancelledError:
                got = None
            if got is None:
                assert await b.queue.wait([0], SOON) == 0


async def test_waiting_needs_a_connection_of_its_own(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        alone = Queue(b.redis, QueueSpec("outreach:send", 1, 1), prefix="test")
        with pytest.raises(SettingsError, match="waiting"):
            await alone.wait([0])
