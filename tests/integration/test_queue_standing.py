"""Who works on a queue, and how many jobs could start now."""

from datetime import timedelta

from shared.queue.standing import Line, Usage, WindowUsed, WorkerSeen
from shared.queue.types import Slot, SubjectConfig
from tests.integration.queue_state import T0, Bench, bench, job, limits


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


async def test_usage_tells_what_of_each_window_is_used_and_when_it_frees(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        lane, minute, hour = "a/email/x", timedelta(minutes=1), timedelta(hours=1)
        defaults = limits("*/email", (60, 4), (3600, 10))
        await b.queue.configure(0, [defaults, limits("a/email", (60, 6), (3600, 20))])
        await b.queue.enqueue([job(f"{n}", lane, cost=2) for n in range(4)])
        await b.queue.claim(0, 1)
        b.clock.forward(seconds=20)
        second = b.clock.now
        await b.queue.claim(0, 3)  # only one more fits the sender's four a minute
        b.clock.forward(seconds=10)
        before = await b.state()
        tenant, group, sender, other = await b.queue.usage(0, ["a", "a/email", lane, "b/email/y"])
        now, first = b.clock.now, T0
        assert tenant == Usage("a", now)
        assert group == Usage(
            "a/email",
            now,
            (WindowUsed(minute, 6, 4, first + 60_000), WindowUsed(hour, 20, 4, second + 3_600_000)),
        )
        assert sender == Usage(
            lane,
            now,
            (WindowUsed(minute, 4, 4, first + 60_000), WindowUsed(hour, 10, 4, second + 3_600_000)),
            parked=True,
            retry_ms=first + 60_000,
        )
        assert other == Usage("b/email/y", now, (WindowUsed(minute, 4, 0, now), WindowUsed(hour, 10, 0, now)))
        assert await b.state() == before, "who looks changes nothing"
        b.clock.forward(seconds=30)
        ((left, _),) = [each.windows for each in await b.queue.usage(0, [lane])]
        assert left == WindowUsed(minute, 4, 2, second + 60_000)
        await b.queue.claim(0, 1)
        ((full, _),) = [each.windows for each in await b.queue.usage(0, [lane])]
        assert full == WindowUsed(minute, 4, 4, second + 60_000), "what was charged just now counts"


async def test_usage_tells_of_lanes_that_wait_for_what_their_tenant_may(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a/email", (60, 1))])
        await b.queue.enqueue([job(f"{n}", f"a/email/{n}") for n in range(2)])
        await b.queue.claim(0, 2)
        (group,) = await b.queue.usage(0, ["a/email"])
        window = WindowUsed(timedelta(minutes=1), 1, 1, T0 + 60_000)
        assert group == Usage("a/email", T0, (window,), parked=True, retry_ms=T0 + 60_000)


async def test_usage_counts_what_runs_out_of_sight_until_it_ends(valkey_url: str) -> None:
    async with bench(valkey_url, opened=False) as b:
        await b.queue.begin_opening(0, 1)
        await b.queue.seed_configs(0, 1, [SubjectConfig("a", cap=2)])
        await b.queue.seed_slots(0, 1, [Slot("a", "x", T0 + 1_000)])
        assert await b.queue.usage(0, ["a"]) == [Usage("a", T0, cap=2, running=1)]
        now = b.clock.forward(seconds=1)
        assert await b.queue.usage(0, ["a"]) == [Usage("a", now, cap=2)]


async def test_usage_tells_of_caps_closures_and_pauses(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        ends = b.clock.now + 5_000
        capped = SubjectConfig("a", cap=2)
        shut = [SubjectConfig("b", paused=True), SubjectConfig("c", closed_until_ms=ends)]
        await b.queue.configure(0, [capped, *shut])
        await b.queue.enqueue([job(f"{lane}-{n}", lane) for lane in "abc" for n in range(3)])
        while (await b.queue.claim(0, 1)).jobs:
            pass
        now = b.clock.now
        assert await b.queue.usage(0, ["a", "b", "c", "d"]) == [
            Usage("a", now, cap=2, running=2, parked=True),
            Usage("b", now, paused=True, parked=True),
            Usage("c", now, closed_until_ms=ends, parked=True, retry_ms=ends),
            Usage("d", now),
        ]
        b.clock.forward(seconds=31)
        await b.queue.reap(0)
        (freed,) = await b.queue.usage(0, ["a"])
        assert (freed.running, freed.retry_ms) == (0, 0), "what stalled runs no more"
        assert await b.queue.usage(0, []) == []
