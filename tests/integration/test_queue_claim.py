"""claim: waiting -> active."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from shared.jobs import JobState
from shared.queue.types import Claimed, ClaimStatus, Seen, Settlement, SubjectConfig, Verdict
from tests.integration.queue_state import T0, Bench, bench, changed, job, limits


def ids(claimed: Claimed) -> list[str]:
    return [each.id for each in claimed.jobs]


async def test_a_claimed_job_is_leased_under_a_token_of_the_epoch(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one", annotations=b"labels", timeout=timedelta(seconds=9)), job("two")])
        before = await b.state()
        b.clock.forward(seconds=1)
        (got,) = (await b.queue.claim(0, 1)).jobs
        assert (got.id, got.lane, got.token, got.attempt, got.max_attempts) == ("one", "a", "1-1", 1, 3)
        assert (got.payload, got.annotations, got.timeout_ms) == (b'{"job":"one"}', b"labels", 9_000)
        assert (got.cost, got.priority, got.enqueued_ms, got.claimed_ms) == (1, 1, T0, T0 + 1_000)
        assert changed(before, await b.state()) == {
            "meta": before["meta"] | {"seq": 1, "last": T0 + 1_000},
            "state": {"one": ("a", 1, 0, 1, T0 + 1_000, 0, "")},
            "active": {"one": T0 + 31_000},
            "lane:a:1": ["two"],
            "ready": {"a": 1},
        }


async def test_a_closed_partition_says_so_and_so_does_one_opened_on_another_server_run(
    valkey_url: str,
) -> None:
    async with bench(valkey_url, opened=False) as b:
        await b.queue.enqueue([job("one")])
        assert await b.queue.claim(0, 1) == Claimed(ClaimStatus.CLOSED)
        await b.queue.open_plain(0)
        assert ids(await b.queue.claim(0, 1)) == ["one"]
        await b.redis.hset(b.queue._key(0, "meta"), "run", "another")
        assert await b.queue.claim(0, 1) == Claimed(ClaimStatus.CLOSED)


async def test_a_claim_gives_no_more_than_the_free_slots(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(f"job-{n}") for n in range(60)])
        assert ids(await b.queue.claim(0, 0)) == []
        assert len((await b.queue.claim(0, 7)).jobs) == 7
        assert len((await b.queue.claim(0, 1000)).jobs) == 50


async def test_in_a_lane_priority_comes_first_and_then_who_came_first(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("c", priority=2), job("d", priority=2), job("a", priority=0), job("b")])
        assert ids(await b.queue.claim(0, 10)) == ["a", "b", "c", "d"]
        assert "ring:a" not in await b.state()


async def test_a_quiet_tenant_is_served_at_once_behind_a_loud_one(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(f"loud-{n}", f"loud/email/{n % 3}") for n in range(500)])
        for slots in (50, 1):
            for _ in range(5):
                await b.queue.claim(0, 20)
            quiet = f"quiet-{slots}"
            await b.queue.enqueue([job(quiet, "quiet/email/s")])
            served = [each for _ in range(5) for each in ids(await b.queue.claim(0, slots))]
            assert quiet in served[:5]


async def test_tenants_are_served_by_their_weights(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [SubjectConfig("b", weight=3)])
        await b.queue.enqueue([job(f"{tenant}-{n}", tenant) for n in range(100) for tenant in "ab"])
        for slots in (1, 10, 50):
            got: Counter[str] = Counter()
            while sum(got.values()) < 100:
                claimed = await b.queue.claim(0, min(slots, 100 - sum(got.values())))
                got.update(each.lane for each in claimed.jobs)
                await b.queue.settle(0, [Settlement(each, Verdict.RELEASED) for each in claimed.jobs])
            assert abs(got["b"] - 75) <= 3, f"{slots} at a time: {got}"


async def test_a_tenant_that_comes_back_wins_no_turns_it_did_not_wait_for(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(f"a-{n}", "a") for n in range(200)])
        await b.queue.enqueue([job("b-0", "b")])
        for _ in range(10):
            await b.queue.claim(0, 10)
        await b.queue.enqueue([job(f"b-{n}", "b") for n in range(1, 100)])
        got = Counter(each.lane for each in (await b.queue.claim(0, 20)).jobs)
        assert got["b"] <= 15 and got["a"] >= 5


async def test_a_tenant_that_comes_and_goes_keeps_its_place_in_the_line(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(f"b-{n}", "b") for n in range(20)])
        got: Counter[str] = Counter()
        for n in range(20):
            if "lane:a:1" not in await b.state():
                await b.queue.enqueue([job(f"a-{n}", "a")])
            got.update(each.lane for each in (await b.queue.claim(0, 1)).jobs)
        assert got == {"a": 10, "b": 10}


async def test_the_senders_of_a_tenant_take_turns(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(f"{s}-{n}", f"a/email/{s}") for s in "xyz" for n in range(20)])
        lanes = [each.lane for _ in range(6) for each in (await b.queue.claim(0, 1)).jobs]
        assert lanes == ["a/email/x", "a/email/y", "a/email/z"] * 2


async def test_a_due_delayed_job_joins_the_tail_of_its_lane(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("late", delay=timedelta(seconds=5)), job("now")])
        first = await b.queue.claim(0, 1)
        assert (ids(first), first.wake_ms) == (["now"], T0 + 5_000)
        idle = await b.queue.claim(0, 1)
        assert (ids(idle), idle.more, idle.wake_ms) == ([], False, T0 + 5_000)
        b.clock.forward(seconds=5)
        await b.queue.enqueue([job("after")])
        assert ids(await b.queue.claim(0, 5)) == ["after", "late"]
        assert "delayed" not in await b.state()


async def test_an_expired_job_fails_without_a_charge(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", (60, 10))])
        await b.queue.enqueue([job("old", expires_at_ms=T0 + 1_000), job("good", expires_at_ms=T0 + 9_000)])
        b.clock.forward(seconds=1)
        claimed = await b.queue.claim(0, 5)
        assert (ids(claimed), claimed.doomed) == (["good"], (Seen("old", JobState.FAILED, "expired", 0),))
        state = await b.state()
        assert state["failed"] == {"old": T0 + 1_000}
        assert state["state"]["old"] == ("f", 0, 0, 0, T0 + 1_000, 0, "expired")
        assert state["windows:18000"] == {"a": {60_000: [(T0 + 1_000, 1)]}}
        assert set(state["active"]) == {"good"}


async def test_a_job_of_a_newer_version_steps_aside_and_the_lane_flows_on(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", (60, 10))])
        await b.queue.enqueue([job("newer", version=2), job("good")])
        assert ids(await b.queue.claim(0, 1)) == ["good"]
        state = await b.state()
        assert state["delayed"] == {"newer": T0 + 30_000}
        assert state["state"]["newer"] == ("d", 0, 0, 0, T0, 0, "")
        assert state["windows:18000"] == {"a": {60_000: [(T0, 1)]}}
        waits = []
        for _ in range(6):
            due = int((await b.state())["delayed"]["newer"])
            waits.append((due - b.clock.now) // 1000)
            b.clock.now = due
            assert ids(await b.queue.claim(0, 1)) == []
        assert waits == [30, 60, 120, 240, 300, 300]
        b.clock.now = int((await b.state())["delayed"]["newer"])
        (got,) = (await b.queue.claim(0, 1, version=2)).jobs
        assert (got.id, got.attempt) == ("newer", 1)


async def test_a_job_of_a_newer_version_fails_after_a_day(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("newer", version=2)])
        await b.queue.claim(0, 1)
        b.clock.forward(hours=24)
        assert (await b.queue.claim(0, 1)).doomed == (Seen("newer", JobState.FAILED, "version", 0),)


async def test_a_stale_entry_of_a_lane_is_skipped(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("gone"), job("moved"), job("twice"), job("last")])
        await b.queue.remove(0, ["gone", "moved", "twice"])
        await b.queue.enqueue([job("moved", "b"), job("twice")])
        lines = (await b.state())["lane:a:1"]
        assert lines == ["gone", "moved", "twice", "last", "twice"]
        assert sorted(ids(await b.queue.claim(0, 10))) == ["last", "moved", "twice"]
        assert not {"ring:a", "ring:b", "lane:a:1", "lane:b:1"} & (await b.state()).keys()


async def test_a_claim_that_ran_out_of_looks_says_more(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        gone = [f"gone-{n}" for n in range(100)]
        await b.queue.enqueue([job(each) for each in gone])
        await b.queue.enqueue([job("good")])
        await b.queue.remove(0, gone)
        calls, got = 0, Claimed(ClaimStatus.OK, more=True)
        while got.more:
            got, calls = await b.queue.claim(0, 1), calls + 1
        assert ids(got) == ["good"] and calls > 2


async def test_a_paused_queue_serves_nothing_until_it_is_resumed(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one")])
        before = await b.state()
        await b.queue.pause(0)
        assert await b.queue.claim(0, 1) == Claimed(ClaimStatus.PAUSED)
        assert changed(before, await b.state()) == {"meta": before["meta"] | {"paused": True}}
        await b.queue.resume(0)
        assert ids(await b.queue.claim(0, 1)) == ["one"]


async def test_a_paused_tenants_jobs_stay_waiting_and_come_back_in_order(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", (60, 10), weight=2)])
        await b.queue.enqueue([job(f"a-{n}", f"a/email/{n % 2}") for n in range(4)] + [job("b", "b")])
        await b.queue.pause(0, "a")
        assert ids(await b.queue.claim(0, 9)) == ["b"]
        assert (await b.queue.counts(0)).waiting == 4
        state = await b.state()
        assert (state["held:a"], state["parked"]) == (["a/email/0", "a/email/1"], {"Sa": float("inf")})
        assert (await b.queue.claim(0, 9)).wake_ms is None
        await b.queue.resume(0, "a")
        assert ids(await b.queue.claim(0, 9)) == ["a-0", "a-2", "a-1", "a-3"]
        assert "held:a" not in await b.state()


async def test_the_clock_never_runs_backwards(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(f"job-{n}") for n in range(2)])
        b.clock.forward(minutes=1)
        await b.queue.claim(0, 1)
        b.clock.now = T0
        (got,) = (await b.queue.claim(0, 1)).jobs
        assert got.claimed_ms == T0 + 60_000


async def drained(b: Bench, tenants: int) -> list[str]:
    got: list[str] = []
    claimed = await b.queue.claim(0, 10)
    while claimed.jobs or claimed.more:
        got += ids(claimed)
        _, following = await b.queue.settle(
            0, [Settlement(each, Verdict.COMPLETED) for each in claimed.jobs], 10
        )
        assert following is not None
        claimed = following
    return got


async def test_everything_is_served_once_and_leaves_nothing_but_what_is_kept(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        jobs = [job(f"{t}-{s}-{n}", f"{t}/email/{s}") for t in range(20) for s in range(3) for n in range(4)]
        await b.queue.enqueue(jobs)
        got = await drained(b, 20)
        assert sorted(got) == sorted(each.id for each in jobs)
        state = await b.state()
        assert {key for key in state if not key.startswith("ids:")} == {"completed", "jobs", "meta", "state"}
        assert set(state["jobs"]) == set(state["state"]) == set(state["completed"]) == set(got[-2:])


async def test_limits_that_admit_nothing_fail_no_job_and_a_cost_over_every_limit_does(
    valkey_url: str,
) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", (60, 5)), limits("b", (60, 0))])
        await b.queue.enqueue([job("dear", "a", cost=6), job("good", "a", cost=5), job("never", "b")])
        claimed = await b.queue.claim(0, 9)
        assert (ids(claimed), [each.reason for each in claimed.doomed]) == (["good"], ["cost"])
        assert (await b.queue.counts(0)).waiting == 1
        assert replace(claimed, jobs=()).wake_ms == T0 + 60_000


async def test_more_lanes_than_one_claim_brings_back_all_come_back(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        names = [f"job-{n}" for n in range(130)]
        await b.queue.enqueue([job(each, f"a/email/{each}") for each in names])
        await b.queue.pause(0, "a")
        while (await b.queue.claim(0, 50)).more:
            pass
        assert len((await b.state())["held:a"]) == 130
        await b.queue.resume(0, "a")
        got = [each for _ in names for each in ids(await b.queue.claim(0, 1))]
        assert sorted(got) == sorted(names)


async def test_more_due_jobs_than_one_claim_promotes_all_come(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        names = [f"job-{n:02}" for n in range(60)]
        await b.queue.enqueue([job(each, delay=timedelta(seconds=1)) for each in names])
        b.clock.forward(seconds=1)
        assert [each for _ in names for each in ids(await b.queue.claim(0, 1))] == names


async def test_a_channels_default_that_changes_is_looked_at_by_every_lane_that_waits(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("*/email", (60, 0))])
        jobs = [job(f"job-{n}", f"tenant-{n}/email/s") for n in range(450)]
        await b.queue.enqueue(jobs)
        while (await b.queue.claim(0, 50)).more:
            pass
        assert len((await b.state())["parked"]) == 450
        await b.queue.configure(0, [limits("*/email", (60, 1))])
        assert sorted(await drained(b, 450)) == sorted(each.id for each in jobs)
