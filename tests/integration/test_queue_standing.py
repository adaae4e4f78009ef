"""Who works on a queue, and how many jobs could start now."""

from datetime import timedelta

from shared.queue.standing import Line, WorkerSeen
from shared.queue.types import SubjectConfig
from tests.integration.queue_state import Bench, bench, job


async def runnable(b: Bench) -> list[Line]:
    return [page async for page in b.queue.runnable(0)]


async def test_workers_are_seen_for_fifteen_seconds_after_they_said_so(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        assert await b.queue.workers() == []
        await b.queue.beat("one", 3, 0.25)
        b.clock.forward(seconds=10)
        await b.queue.beat("two", 10, 0)
        both = [WorkerSeen("one", 3, 0.25, timedelta(seconds=10)), WorkerSeen("two", 10, 0.0, timedelta(0))]
        assert await b.queue.workers() == both
        b.clock.forward(seconds=5)
        assert len(await b.queue.workers()) == 2
        b.clock.forward(seconds=0.001)
        assert await b.queue.workers() == [WorkerSeen("two", 10, 0.0, timedelta(seconds=5.001))]
        assert len((await b.state())["workers"]) == 2, "who looks changes nothing"
        await b.queue.beat("two", 12, 0.000001)
        assert await b.queue.workers() == [WorkerSeen("two", 12, 0.000001, timedelta(0))]
        state = await b.state()
        assert (state["workers"], state["heard"]) == (
            {"two": b"12 1"},
            {"two": b.clock.now},
        ), "and who beats forgets the silent"


async def test_a_thousand_workers_are_seen_those_heard_last_and_a_beat_forgets_a_few_of_the_gone(
    valkey_url: str,
) -> None:
    async with bench(valkey_url) as b:
        for n in range(1_030):
            await b.queue.beat(f"{n:04}", 1, 0)
            b.clock.forward(seconds=0.001)
        seen = await b.queue.workers()
        assert [worker.process for worker in seen] == [f"{n:04}" for n in range(30, 1_030)]
        b.clock.forward(seconds=20)
        await b.queue.beat("new", 1, 0)
        assert [worker.process for worker in await b.queue.workers()] == ["new"]
        assert len((await b.state())["heard"]) == len((await b.state())["workers"]) == 1_031 - 20


async def test_nothing_stays_of_workers_who_are_all_gone_and_a_flush_is_mended_by_the_next_beat(
    valkey_url: str,
) -> None:
    async with bench(valkey_url) as b:
        await b.queue.beat("one", 1, 0)
        keys = [await b.redis.keys(f"*:{name}") for name in ("heard", "workers")]
        left = [await b.redis.pttl(key) for (key,) in keys]
        assert all(0 < each <= 15_000 for each in left)
        await b.redis.flushall()
        assert await b.queue.workers() == []
        await b.queue.beat("one", 1, 0)
        assert [worker.process for worker in await b.queue.workers()] == ["one"]


async def test_only_jobs_of_lanes_that_may_start_are_runnable(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        assert await runnable(b) == [Line(0, [])]
        await b.queue.configure(0, [SubjectConfig("shut", paused=True), SubjectConfig("a", cap=1)])
        await b.queue.enqueue([job("shut-1", "shut"), job("shut-2", "shut")])
        await b.queue.enqueue([job("a-1", "a"), job("a-2", "a"), job("b-1", "b")])
        await b.queue.enqueue([job("b-2", "b", priority=3), job("c-1", "c/email/x"), job("c-2", "c/email/y")])
        before = await b.state()
        ((tenants, page),) = await runnable(b)
        assert tenants == 4
        assert sorted(page) == [("a", 2), ("b", 2), ("c/email/x", 1), ("c/email/y", 1), ("shut", 2)]
        assert await b.state() == before
        await b.queue.claim(0, 1)  # looks at each tenant's turn: a's one runs, and shut is shut
        while (await b.queue.claim(0, 1)).jobs:
            pass
        assert await runnable(b) == [Line(0, [])]


async def test_the_line_is_counted_a_hundred_tenants_at_a_time(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(f"{n}", f"tenant-{n}") for n in range(250)])
        pages = await runnable(b)
        assert [(tenants, len(lanes)) for tenants, lanes in pages] == [(250, 100), (250, 100), (250, 50)]
        assert {lane for page in pages for lane, _ in page.lanes} == {f"tenant-{n}" for n in range(250)}


async def test_ten_lanes_stand_for_all_that_a_tenant_has(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(f"{n}", f"a/email/{n % 25}") for n in range(50)])
        ((_, page),) = await runnable(b)
        assert len(page) == 10
        assert sum(count for _, count in page) == 50
