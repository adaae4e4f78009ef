"""extend and reap: leases that are held on to, and those that expired."""

from dataclasses import replace
from datetime import timedelta

from shared.jobs import JobState
from shared.queue.types import Enqueued, Seen, Settled, Settlement, SubjectConfig, Verdict
from tests.integration.queue_state import SPEC, T0, bench, changed, job


async def test_a_held_job_is_held_for_another_lease_and_a_lost_one_is_named(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one"), job("two")])
        one, two = (await b.queue.claim(0, 2)).jobs
        await b.queue.settle(0, [Settlement(two, Verdict.COMPLETED)])
        before = await b.state()
        b.clock.forward(seconds=10)
        gone = [two, one._replace(token="1-9"), one._replace(id="unknown"), one._replace(token="0-1")]
        assert await b.queue.extend(0, [*gone, one]) == (["two", "one", "unknown", "one"], [])
        assert changed(before, await b.state()) == {"active": {"one": T0 + 40_000}}
        assert await b.queue.extend(0, []) == ([], [])


async def test_an_expired_lease_goes_back_to_the_head_of_its_lane_with_no_traffic(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one"), job("two"), job("three")])
        await b.queue.claim(0, 2)
        before = await b.state()
        b.clock.forward(seconds=29)
        assert await b.queue.reap(0) == ([], [])
        assert await b.state() == before
        b.clock.forward(seconds=1)
        assert await b.queue.reap(0) == (["one", "two"], [])
        assert changed(before, await b.state()) == {
            "meta": before["meta"] | {"last": T0 + 30_000, "seq": 2},
            "active": None,
            "lane:a:1": ["one", "two", "three"],
            "state": {"one": ("w", 0, 1, 0, 0, 0, ""), "two": ("w", 0, 1, 0, 0, 0, "")},
        }
        assert [each.attempt for each in (await b.queue.claim(0, 2)).jobs] == [1, 1]


async def test_a_job_that_stalls_twice_fails_and_is_remembered(valkey_url: str) -> None:
    async with bench(valkey_url, replace(SPEC, keep_failed=0)) as b:
        await b.queue.enqueue([job("one")])
        for expected in ((["one"], []), ([], [Seen("one", JobState.FAILED, "stalled", 1)])):
            (got,) = (await b.queue.claim(0, 1)).jobs
            b.clock.forward(seconds=30)
            assert await b.queue.reap(0) == expected
            assert (await b.queue.settle(0, [Settlement(got, Verdict.COMPLETED)]))[0] == [Settled.LEASE_LOST]
        assert await b.queue.enqueue([job("one")]) == [Enqueued.DUPLICATE]


async def test_reaping_takes_so_many_at_once(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(f"job-{n}") for n in range(5)])
        await b.queue.claim(0, 5)
        b.clock.forward(seconds=30)
        assert [len((await b.queue.reap(0, 2))[0]) for _ in range(4)] == [2, 2, 1, 0]
        assert [each.id for each in (await b.queue.claim(0, 9)).jobs] == [
            "job-4", "job-2", "job-3", "job-0", "job-1",
        ]  # fmt: skip


async def test_reaping_frees_what_stalled_jobs_held_under_a_cap(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [SubjectConfig("a/email", cap=1)])
        await b.queue.enqueue([job("one", "a/email/s"), job("two", "a/email/t")])
        assert [each.id for each in (await b.queue.claim(0, 9)).jobs] == ["one"]
        b.clock.forward(seconds=30)
        await b.queue.reap(0)
        assert "slots:a/email" not in await b.state()
        assert len((await b.queue.claim(0, 9)).jobs) == 1


async def test_pain_18_finished_jobs_are_forgotten_by_age(valkey_url: str) -> None:
    async with bench(valkey_url, replace(SPEC, keep_for=timedelta(hours=1))) as b:
        for verdict in (Verdict.COMPLETED, Verdict.FAILED):
            await b.queue.enqueue([job(f"{verdict}-old")])
            await b.queue.settle(0, [Settlement((await b.queue.claim(0, 1)).jobs[0], verdict)])
        b.clock.forward(minutes=30)
        for verdict in (Verdict.COMPLETED, Verdict.FAILED):
            await b.queue.enqueue([job(f"{verdict}-new")])
            await b.queue.settle(0, [Settlement((await b.queue.claim(0, 1)).jobs[0], verdict)])
        b.clock.forward(minutes=30, seconds=1)
        await b.queue.reap(0)
        state = await b.state()
        assert (state["completed"], list(state["failed"])) == (["completed-new"], ["failed-new"])
        assert set(state["jobs"]) == set(state["state"]) == {"completed-new", "failed-new"}


async def test_a_closed_partition_reaps_nothing(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one")])
        await b.queue.claim(0, 1)
        await b.queue.begin_opening(0, 2)
        b.clock.forward(seconds=30)
        before = await b.state()
        assert await b.queue.reap(0) == ([], [])
        assert await b.state() == before
        await b.queue.open(0, 2)
        assert await b.queue.reap(0) == (["one"], [])
