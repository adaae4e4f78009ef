"""Rolling windows and caps, as the queue charges them."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import pytest

from shared.limits.limiter import RateLimiter
from shared.queue.types import Claimed, Settlement, SubjectConfig, Verdict
from tests.integration.queue_state import T0, Bench, bench, job, limits

HOUR = 3_600_000
EMAIL = limits("*/email", (60, 2), (3600, 3))


def ids(claimed: Claimed) -> list[str]:
    return [each.id for each in claimed.jobs]


async def complete(b: Bench, claimed: Claimed) -> None:
    await b.queue.settle(0, [Settlement(each, Verdict.COMPLETED) for each in claimed.jobs])


async def test_a_job_is_charged_in_every_window_of_its_tenants_channel_and_its_sender(
    valkey_url: str,
) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [EMAIL, limits("a", (60, 50))])
        await b.queue.enqueue([job("one", "a/email/s", cost=2), job("two", "b")])
        assert ids(await b.queue.claim(0, 9)) == ["one", "two"]
        charged = {60_000: [(T0, 2)], HOUR: [(T0, 2)]}
        assert (await b.state())["windows:18000"] == {
            "a": {60_000: [(T0, 2)]},
            "a/email": charged,
            "a/email/s": charged,
        }


async def test_pain_10_a_limited_lane_is_parked_until_there_is_room_and_costs_nothing_until_then(
    valkey_url: str,
) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [EMAIL])
        await b.queue.enqueue([job(f"job-{n}", "a/email/s") for n in range(4)])
        first = await b.queue.claim(0, 9)
        assert (ids(first), first.more, first.wake_ms) == (["job-0", "job-1"], False, T0 + 60_000)
        state = await b.state()
        assert (state["parked"], state["refused"]) == ({"La/email/s": T0 + 60_000}, {"sender": 1})
        assert "ring:a" not in state and state["lane:a/email/s:1"] == ["job-2", "job-3"]
        assert (await b.queue.counts(0)).waiting == 2
        await b.queue.claim(0, 9)  # the tenant leaves the line
        before = await b.state()
        b.clock.forward(milliseconds=59_999)
        assert ids(await b.queue.claim(0, 9)) == []
        assert await b.state() == before
        b.clock.forward(milliseconds=1)
        second = await b.queue.claim(0, 9)
        assert (ids(second), second.wake_ms) == (["job-2"], T0 + HOUR)
        b.clock.now = T0 + HOUR
        assert ids(await b.queue.claim(0, 9)) == ["job-3"]


async def test_an_exhausted_email_limit_never_parks_sms(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [EMAIL])
        await b.queue.enqueue([job(f"mail-{n}", "a/email/s") for n in range(9)])
        await b.queue.enqueue([job(f"text-{n}", "a/sms/s") for n in range(9)])
        got = ids(await b.queue.claim(0, 50))
        assert Counter(each[:4] for each in got) == {"mail": 2, "text": 9}


async def test_pain_27_an_exhausted_sender_leaves_the_tenants_others_alone(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a/email/s", (60, 1)), limits("a/email", (60, 5))])
        await b.queue.enqueue([job(f"{s}-{n}", f"a/email/{s}") for n in range(9) for s in "st"])
        assert Counter(each[0] for each in ids(await b.queue.claim(0, 50))) == {"s": 1, "t": 4}
        assert set((await b.state())["parked"]) == {"La/email/s", "Sa/email"}


async def test_the_senders_of_a_limited_tenant_take_turns(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a/email", (60, 1))])
        await b.queue.enqueue([job(f"{s}-{n}", f"a/email/{s}") for s in range(7) for n in range(9)])
        got = []
        for _ in range(28):
            got += [each.lane for each in (await b.queue.claim(0, 3)).jobs]
            b.clock.forward(minutes=1)
        assert set(Counter(got).values()) == {4}


async def test_a_cost_that_does_not_fit_waits_for_enough_room_and_nobody_overtakes(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", (60, 4))])
        for name, cost in (("one", 1), ("two", 2)):
            await b.queue.enqueue([job(name, cost=cost)])
            await b.queue.claim(0, 9)
            b.clock.forward(seconds=10)
        await b.queue.enqueue([job("big", cost=3), job("small", cost=1)])
        refused = await b.queue.claim(0, 9)
        assert (ids(refused), refused.wake_ms) == ([], T0 + 70_000)
        assert (await b.state())["lane:a:1"] == ["big", "small"]
        b.clock.now = T0 + 70_000
        assert ids(await b.queue.claim(0, 9)) == ["big", "small"]


async def test_a_raised_limit_counts_at_once_and_lifted_windows_limit_nothing(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [EMAIL])
        await b.queue.enqueue([job(f"job-{n}", "a/email/s") for n in range(9)])
        assert len(ids(await b.queue.claim(0, 9))) == 2
        await b.queue.configure(0, [limits("a/email", (60, 5)), limits("a/email/s", (60, 4))])
        assert len(ids(await b.queue.claim(0, 9))) == 2
        await b.queue.configure(0, [limits("a/email"), limits("a/email/s")])
        assert len(ids(await b.queue.claim(0, 9))) == 5


async def test_a_charge_outlives_the_change_of_generations(valkey_url: str) -> None:
    generation = 90_000_000
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", (86_400, 2))])
        await b.queue.enqueue([job(f"job-{n}") for n in range(9)])
        b.clock.now = (T0 // generation + 1) * generation - 1
        assert len(ids(await b.queue.claim(0, 9))) == 2
        b.clock.forward(milliseconds=1)
        refused = await b.queue.claim(0, 9)
        assert (ids(refused), refused.wake_ms) == ([], b.clock.now - 1 + 86_400_000)
        b.clock.now = refused.wake_ms or 0
        assert len(ids(await b.queue.claim(0, 9))) == 2
        assert sorted(key for key in await b.state() if key.startswith("windows:")) == [
            f"windows:{T0 // generation}",
            f"windows:{T0 // generation + 1}",
        ]
        b.clock.forward(hours=25)
        await b.queue.claim(0, 9)
        assert sorted(key for key in await b.state() if key.startswith("windows:")) == [
            f"windows:{T0 // generation + 1}",
            f"windows:{T0 // generation + 2}",
        ]


async def test_pain_12_a_cap_holds_for_a_tenant_and_for_a_sender_and_a_settled_job_frees_its_slots(
    valkey_url: str,
) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [SubjectConfig("a/email", cap=3), SubjectConfig("a/email/s", cap=1)])
        await b.queue.enqueue([job(f"{s}-{n}", f"a/email/{s}") for n in range(9) for s in "stu"])
        first = await b.queue.claim(0, 50)
        assert Counter(each[0] for each in ids(first))["s"] == 1 and len(first.jobs) == 3
        state = await b.state()
        assert set(state["slots:a/email"]) == set(ids(first))
        assert set(state["slots:a/email/s"]) == {"s-0"}
        assert set(state["refused"]) == {"cap"}
        await complete(b, first)
        assert not {"slots:a/email", "slots:a/email/s"} & (await b.state()).keys()
        assert len((await b.queue.claim(0, 50)).jobs) == 3


async def test_nested_limits_are_never_passed_and_the_longest_is_nearly_used_up(valkey_url: str) -> None:
    """A backlog under nested limits: never over, and nearly all of the longest used."""
    windows = ((20, 20), (200, 150), (1000, 500))
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a/email", *windows), limits("a/email/s", (20, 20))])
        await b.queue.enqueue([job(f"job-{n}", f"a/email/{'st'[n % 2]}") for n in range(3_000)])
        starts: list[int] = []
        claimed = await b.queue.claim(0, 10)
        while b.clock.now < T0 + 4_000_000:
            starts += [claimed.now_ms] * len(claimed.jobs)
            if not claimed.jobs and not claimed.more:
                assert claimed.wake_ms is not None
                b.clock.now = max(b.clock.now + 1, claimed.wake_ms)
            ends = [Settlement(each, Verdict.COMPLETED) for each in claimed.jobs]
            _, following = await b.queue.settle(0, ends, 10)
            assert following is not None
            claimed = following
        for length, limit in windows:
            assert most_in_any(starts, length * 1000) == limit
        assert len(starts) >= 0.98 * 500 * 4


@pytest.mark.parametrize("demand", [1.02, 5.0])
@pytest.mark.parametrize(("limit", "lengths"), [(20, 30), (1_000, 4)])
async def test_a_limit_is_never_passed_and_nearly_used_up(
    valkey_url: str, limit: int, lengths: int, demand: float
) -> None:
    """A consumer that never lacks work, and takes it at a multiple of the limit."""
    length, pace = 60_000, 60_000 / limit / demand
    async with bench(valkey_url) as b:
        limiter = RateLimiter(b.redis, prefix="test", clock=b.clock)
        starts: list[int] = []
        at = float(T0)
        while at < T0 + lengths * length:
            b.clock.now = int(at)
            decision = await limiter.check("key", limit, timedelta(milliseconds=length))
            if decision.allowed:
                starts.append(b.clock.now)
                at += pace
            else:
                at = max(at, decision.reset_at_ms)
        assert most_in_any(starts, length) <= limit
        assert len(starts) >= 0.98 * limit * lengths


def most_in_any(starts: Sequence[int], length: int) -> int:
    """The most that any window of a length holds: from a start, up to but without the ms a length later."""
    return max(bisect_left(starts, start + length) - n for n, start in enumerate(starts))


@pytest.mark.parametrize("how", ["enqueued", "delayed", "released", "removed"])
async def test_a_lane_that_waits_for_its_first_jobs_cost_is_looked_at_when_another_comes_first(
    valkey_url: str, how: str
) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a/email", (60, 4))])
        await b.queue.enqueue(
            [job("first", "a/email/s", cost=1), job("big", "a/email/s", cost=4, priority=2)]
        )
        (first,) = (await b.queue.claim(0, 9)).jobs
        assert (await b.state())["parked"] == {"La/email/s": T0 + 60_000}
        match how:
            case "enqueued":
                await b.queue.enqueue([job("small", "a/email/s", priority=0)])
            case "delayed":
                await b.queue.enqueue([job("small", "a/email/s", priority=0, delay=timedelta(seconds=1))])
                b.clock.forward(seconds=1)
            case "released":
                await b.queue.settle(0, [Settlement(first, Verdict.RELEASED, refund=False)])
            case "removed":
                await b.queue.enqueue([job("small", "a/email/s", priority=3)])
                assert ids(await b.queue.claim(0, 9)) == []
                await b.queue.remove(0, ["big"])
        assert ids(await b.queue.claim(0, 9)) == [{"released": "first"}.get(how, "small")]


async def test_a_lane_that_waits_for_a_big_job_keeps_no_sibling_waiting(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a/email", (60, 4))])
        await b.queue.enqueue(
            [job("one", "a/email/s"), job("big", "a/email/s", cost=4), job("two", "a/email/t")]
        )
        assert sorted(ids(await b.queue.claim(0, 9))) == ["one", "two"]
        await b.queue.enqueue([job("three", "a/email/t")])
        assert ids(await b.queue.claim(0, 9)) == ["three"]


@pytest.mark.parametrize("how", ["refunded", "raised"])
async def test_a_lane_that_waits_for_room_for_a_big_job_is_looked_at_when_a_wider_subject_has_some(
    valkey_url: str, how: str
) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a/email", (60, 4))])
        await b.queue.enqueue([job("one", "a/email/t")])
        (one,) = (await b.queue.claim(0, 9)).jobs
        await b.queue.enqueue([job("big", "a/email/s", cost=4)])
        assert ids(await b.queue.claim(0, 9)) == []
        assert (await b.state())["costly:a/email"] == ["a/email/s"]
        if how == "refunded":
            _, following = await b.queue.settle(0, [Settlement(one, Verdict.SKIPPED)], 9)
            assert following is not None and ids(following) == ["big"]
        else:
            await b.queue.configure(0, [limits("a/email", (60, 5))])
            assert ids(await b.queue.claim(0, 9)) == ["big"]
        assert not {"costly:a/email", "parked"} & (await b.state()).keys()


async def test_a_limit_that_came_after_a_charge_gives_nothing_back_for_it(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(f"job-{n}") for n in range(9)])
        (free,) = (await b.queue.claim(0, 1)).jobs
        await b.queue.configure(0, [limits("a", (60, 2))])
        assert len((await b.queue.claim(0, 9)).jobs) == 2
        await b.queue.settle(0, [Settlement(free, Verdict.SKIPPED)])
        assert ids(await b.queue.claim(0, 9)) == []
        await b.queue.configure(0, [SubjectConfig("a")])
        assert "windows:18000" not in await b.state()


async def test_a_charge_that_fits_beside_a_recent_one_leaves_the_logs_as_they_are(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", (60, 9), (3600, 20))])
        await b.queue.enqueue([job(f"job-{n}", cost=2) for n in range(9)])
        await b.queue.claim(0, 1)
        (_, logs) = await b.stored("a")
        b.clock.forward(milliseconds=937)
        await b.queue.claim(0, 2)
        assert await b.stored("a") == ((T0, T0 + 937, 6), logs)
        b.clock.forward(milliseconds=1)
        await b.queue.claim(0, 1)
        recent, later = await b.stored("a")
        assert recent == (T0 + 938, T0 + 938, 2) and len(later) == len(logs) + 2 * 10
        assert (await b.state())["windows:18000"]["a"] == {
            60_000: [(T0 + 937, 6), (T0 + 938, 2)],
            HOUR: [(T0 + 937, 6), (T0 + 938, 2)],
        }


async def test_room_that_came_since_the_logs_were_read_is_found_while_a_recent_charge_is_open(
    valkey_url: str,
) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", (60, 3))])
        await b.queue.enqueue([job(f"job-{n}") for n in range(9)])
        assert len(ids(await b.queue.claim(0, 2))) == 2
        b.clock.now = T0 + 59_900
        assert len(ids(await b.queue.claim(0, 1))) == 1
        b.clock.now = T0 + 60_100
        assert len(ids(await b.queue.claim(0, 9))) == 2
        assert (await b.stored("a"))[0] == (T0 + 59_900, T0 + 60_100, 3)
        b.clock.now = T0 + 120_099
        refused = await b.queue.claim(0, 9)
        assert (ids(refused), refused.wake_ms) == ([], T0 + 120_100)


@pytest.mark.parametrize("changed", ["its own", "its channel's"])
async def test_a_lowered_limit_binds_at_once_though_a_recent_charge_is_open(
    valkey_url: str, changed: str
) -> None:
    subject = {"its own": "a/email/s", "its channel's": "*/email"}[changed]
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits(subject, (60, 9))])
        await b.queue.enqueue([job(f"job-{n}", "a/email/s") for n in range(9)])
        assert len(ids(await b.queue.claim(0, 3))) == 3
        assert (await b.stored("a/email/s"))[0] == (T0, T0, 3)
        b.clock.forward(milliseconds=1)
        await b.queue.configure(0, [limits(subject, (60, 4))])
        lowered = await b.queue.claim(0, 9)
        assert (len(ids(lowered)), lowered.wake_ms) == (1, T0 + 60_000)
        assert (await b.stored("a/email/s"))[0] == (T0 + 1, T0 + 1, 1)


async def test_a_refund_comes_from_the_oldest_bin_while_a_recent_charge_is_open(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", (60, 3))])
        await b.queue.enqueue([job(f"job-{n}") for n in range(9)])
        await b.queue.claim(0, 1)
        b.clock.forward(seconds=5)
        await b.queue.claim(0, 1)
        b.clock.forward(milliseconds=100)
        (last,) = (await b.queue.claim(0, 1)).jobs
        assert (await b.stored("a"))[0] == (T0 + 5_000, T0 + 5_100, 2)
        await b.queue.settle(0, [Settlement(last, Verdict.SKIPPED)])
        assert (await b.state())["windows:18000"]["a"] == {60_000: [(T0 + 5_100, 2)]}
        assert len(ids(await b.queue.claim(0, 9))) == 1


async def test_a_refund_of_a_recent_charge_takes_nothing_from_a_window_that_came_after_it(
    valkey_url: str,
) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", (60, 3))])
        await b.queue.enqueue([job(f"job-{n}") for n in range(9)])
        (first,) = (await b.queue.claim(0, 1)).jobs
        await b.queue.configure(0, [limits("a", (60, 3), (3600, 2))])
        await b.queue.claim(0, 1)
        await b.queue.settle(0, [Settlement(first, Verdict.SKIPPED)])
        assert (await b.state())["windows:18000"]["a"] == {60_000: [(T0, 1)], HOUR: [(T0, 1)]}
        assert len(ids(await b.queue.claim(0, 9))) == 1


async def test_a_recent_charge_stays_open_over_the_change_of_generations(valkey_url: str) -> None:
    generation = 90_000_000
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", (86_400, 3))])
        await b.queue.enqueue([job(f"job-{n}") for n in range(9)])
        start = b.clock.now = (T0 // generation + 1) * generation - 1
        await b.queue.claim(0, 1)
        b.clock.forward(milliseconds=1)
        await b.queue.claim(0, 1)
        assert (await b.stored("a"))[0] == (start, start + 1, 2)
        assert len(ids(await b.queue.claim(0, 9))) == 1
        b.clock.now = start + 86_400_000
        refused = await b.queue.claim(0, 9)
        assert (ids(refused), refused.wake_ms) == ([], start + 1 + 86_400_000)
