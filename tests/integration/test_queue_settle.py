"""settle: active -> completed, failed, delayed or waiting; and the next claim in the same call."""

from dataclasses import replace

import pytest

from shared.idempotency.digest import digests
from shared.queue.types import ClaimedJob, Settled, Settlement, Verdict
from tests.integration.queue_state import SPEC, T0, Bench, bench, changed, job, limits

OK, LOST = Settled.OK, Settled.LEASE_LOST


async def claimed(b: Bench, *names: str, lane: str = "a", **fields: int) -> list[ClaimedJob]:
    await b.queue.enqueue([job(each, lane, **fields) for each in names])
    return list((await b.queue.claim(0, len(names))).jobs)


def remembered(*jobs: ClaimedJob) -> dict[str, list[int]]:
    """The key that remembers each, when it ended on the test's day."""
    pairs = [digests(each.id, each.payload) for each in jobs]
    return {f"ids:{T0 // 86_400_000}:{str(first)[-4:]}": sorted([first, second]) for first, second in pairs}


@pytest.mark.parametrize("verdict", [Verdict.COMPLETED, Verdict.HELD, Verdict.SKIPPED])
async def test_a_completed_job_is_kept_and_its_id_remembered(valkey_url: str, verdict: Verdict) -> None:
    async with bench(valkey_url) as b:
        (one,) = await claimed(b, "one")
        before = await b.state()
        b.clock.forward(seconds=1)
        settlement = Settlement(one, verdict, reason="why", result=b"result")
        assert await b.queue.settle(0, [settlement]) == ([OK], None)
        assert changed(before, await b.state()) == {
            "active": None,
            "completed": ["one"],
            "meta": before["meta"] | {"last": T0 + 1_000},
            "state": {"one": ("c", 1, 0, 0, T0 + 1_000, 0, "why")},
            **remembered(one),
        }


async def test_a_failed_job_is_kept_with_its_reason(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        (one,) = await claimed(b, "one")
        before = await b.state()
        assert await b.queue.settle(0, [Settlement(one, Verdict.FAILED, reason="é" * 900)]) == ([OK], None)
        after = changed(before, await b.state())
        reason = after.pop("state")["one"][-1]
        assert reason == "é" * 500
        assert after == {"active": None, "failed": {"one": T0}, **remembered(one)}


async def test_a_failed_attempt_is_delayed_and_counted(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        (one,) = await claimed(b, "one")
        before = await b.state()
        assert await b.queue.settle(0, [Settlement(one, Verdict.RETRY, at_ms=T0 + 2_000)]) == ([OK], None)
        assert changed(before, await b.state()) == {
            "active": None,
            "delayed": {"one": T0 + 2_000},
            "state": {"one": ("d", 1, 0, 0, 0, 0, "")},
        }
        b.clock.forward(seconds=2)
        assert (await b.queue.claim(0, 1)).jobs[0].attempt == 2


async def test_a_deferred_job_is_delayed_and_its_attempt_not_counted(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        (one,) = await claimed(b, "one")
        before = await b.state()
        assert await b.queue.settle(0, [Settlement(one, Verdict.DEFERRED, at_ms=T0 + 2_000)]) == ([OK], None)
        assert changed(before, await b.state()) == {
            "active": None,
            "delayed": {"one": T0 + 2_000},
            "state": {"one": ("d", 0, 0, 0, 0, 0, "")},
        }
        b.clock.forward(seconds=2)
        assert (await b.queue.claim(0, 1)).jobs[0].attempt == 1


async def test_released_jobs_go_back_to_the_head_of_their_lane_in_order(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(f"job-{n}") for n in range(4)])
        before = await b.state()
        jobs = (await b.queue.claim(0, 3)).jobs
        words, _ = await b.queue.settle(0, [Settlement(each, Verdict.RELEASED) for each in jobs])
        assert words == [OK] * 3
        assert changed(before, await b.state()) == {
            "meta": before["meta"] | {"seq": 1},
            "ready": {"a": 3},
        }


async def test_only_the_holder_of_the_token_settles(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        one, two = await claimed(b, "one", "two")
        before = await b.state()
        wrong = [
            one._replace(token="1-2"),
            one._replace(token="2-1"),
            one._replace(id="unknown"),
        ]
        for verdict in Verdict:
            settlements = [Settlement(each, verdict, at_ms=T0, close=("a", T0 + 9_000)) for each in wrong]
            assert await b.queue.settle(0, settlements) == ([LOST] * 3, None)
        assert await b.state() == before
        ends = [
            Settlement(one, Verdict.COMPLETED),
            Settlement(one, Verdict.FAILED),
            Settlement(two, Verdict.FAILED),
        ]
        assert await b.queue.settle(0, ends) == ([OK, LOST, OK], None)
        assert await b.queue.settle(0, ends) == ([LOST, LOST, LOST], None)


async def test_the_next_jobs_come_in_the_same_call(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(f"job-{n}") for n in range(5)])
        first = await b.queue.claim(0, 2)
        await b.redis.config_resetstat()
        ends = [Settlement(each, Verdict.COMPLETED) for each in first.jobs]
        words, following = await b.queue.settle(0, ends, 2)
        assert words == [OK, OK] and following is not None
        assert [(each.id, each.token) for each in following.jobs] == [("job-2", "1-2"), ("job-3", "1-2")]
        stats = await b.redis.info("commandstats")
        assert sum(stats[each]["calls"] for each in ("cmdstat_evalsha", "cmdstat_eval") if each in stats) <= 2


async def test_more_settlements_than_a_script_takes_go_in_several(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(f"job-{n}") for n in range(101)])
        jobs = [each for _ in range(2) for each in (await b.queue.claim(0, 50)).jobs]
        words, following = await b.queue.settle(0, [Settlement(each, Verdict.COMPLETED) for each in jobs], 5)
        assert words == [OK] * 100 and following is not None
        assert [each.id for each in following.jobs] == ["job-100"]


async def test_the_last_finished_jobs_are_kept_and_the_others_forgotten(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        for n in range(4):
            done, failed = await claimed(b, f"done-{n}", f"failed-{n}")
            b.clock.forward(seconds=1)
            await b.queue.settle(0, [Settlement(done, Verdict.COMPLETED), Settlement(failed, Verdict.FAILED)])
        state = await b.state()
        assert state["completed"] == ["done-2", "done-3"]
        assert state["failed"] == {"failed-2": T0 + 3_000, "failed-3": T0 + 4_000}
        assert set(state["jobs"]) == set(state["state"]) == {"done-2", "done-3", "failed-2", "failed-3"}


@pytest.mark.parametrize(
    ("verdict", "refund", "given_back"),
    [
        (Verdict.COMPLETED, None, False),
        (Verdict.COMPLETED, True, True),
        (Verdict.FAILED, None, False),
        (Verdict.RETRY, None, False),
        (Verdict.RETRY, True, True),
        (Verdict.RELEASED, None, True),
        (Verdict.RELEASED, False, False),
        (Verdict.DEFERRED, None, True),
        (Verdict.HELD, None, True),
        (Verdict.SKIPPED, None, True),
    ],
)
async def test_what_ends_before_the_provider_gives_its_charge_back(
    valkey_url: str, verdict: Verdict, refund: bool | None, given_back: bool
) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", (60, 5), (3600, 9))])
        (one,) = await claimed(b, "one", cost=2)
        await b.queue.settle(0, [Settlement(one, verdict, at_ms=T0 + 9_000, refund=refund)])
        logs = (await b.state())["windows:18000"]["a"]
        kept = [] if given_back else [(T0, 2)]
        assert logs == {60_000: kept, 3_600_000: kept}


async def test_a_refund_comes_from_the_oldest_bin_and_only_in_windows_longer_than_the_charges_age(
    valkey_url: str,
) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", (60, 5), (3600, 9))])
        await claimed(b, "one")
        b.clock.forward(seconds=20)
        (two,) = await claimed(b, "two")
        b.clock.forward(seconds=59)
        await b.queue.settle(0, [Settlement(two, Verdict.SKIPPED)])
        assert (await b.state())["windows:18000"]["a"] == {60_000: [], 3_600_000: [(T0 + 20_000, 1)]}
        (three,) = await claimed(b, "three")
        b.clock.forward(seconds=30)
        await claimed(b, "four")
        b.clock.forward(seconds=30)
        await b.queue.settle(0, [Settlement(three, Verdict.SKIPPED)])
        logs = (await b.state())["windows:18000"]["a"]
        assert logs == {60_000: [(T0 + 109_000, 1)], 3_600_000: [(T0 + 109_000, 2)]}


async def test_room_that_a_refund_makes_is_used_at_once(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a/email", (3600, 2))])
        first = await claimed(b, "one", "two", lane="a/email/s")
        await b.queue.enqueue([job("three", "a/email/s"), job("four", "a/email/t")])
        assert (await b.queue.claim(0, 9)).jobs == ()
        ends = [Settlement(first[0], Verdict.RELEASED), Settlement(first[1], Verdict.COMPLETED)]
        _, following = await b.queue.settle(0, ends, 9)
        assert following is not None and [each.id for each in following.jobs] == ["one"]


async def test_a_closed_subject_admits_nothing_until_then(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one", "a/email/s"), job("two", "a/email/s"), job("three", "a/sms/s")])
        one = next(each for each in (await b.queue.claim(0, 1)).jobs)
        close = ("a/email/s", T0 + 30_000)
        _, following = await b.queue.settle(0, [Settlement(one, Verdict.RELEASED, close=close)], 9)
        assert following is not None and [each.id for each in following.jobs] == ["three"]
        assert following.wake_ms == T0 + 30_000
        shorter = Settlement(following.jobs[0], Verdict.COMPLETED, close=("a/email/s", T0 + 1_000))
        await b.queue.settle(0, [shorter])
        b.clock.forward(seconds=29)
        await b.queue.enqueue([job("first", "a/email/s", priority=0)])  # so that the lane is looked at
        assert (await b.queue.claim(0, 9)).jobs == ()
        b.clock.forward(seconds=1)
        assert [each.id for each in (await b.queue.claim(0, 9)).jobs] == ["first", "one", "two"]


async def test_nothing_is_kept_where_nothing_is_to_be(valkey_url: str) -> None:
    async with bench(valkey_url, replace(SPEC, keep_completed=0, keep_failed=0)) as b:
        one, two = await claimed(b, "one", "two")
        await b.queue.settle(0, [Settlement(one, Verdict.COMPLETED), Settlement(two, Verdict.FAILED)])
        assert set(await b.state()) == {"meta", "ready", *remembered(one, two)}
