"""clean, drain and obliterate: many jobs leave, some a call."""

from datetime import timedelta

import pytest

from shared.jobs import JobState
from shared.queue.clearing import Obliterated
from shared.queue.types import Enqueued, Settled, Settlement, Verdict
from tests.integration.queue_state import SPEC, T0, Bench, bench, changed, job, limits, replace

KEEPS = replace(SPEC, keep_completed=9, keep_failed=9)
COMPLETED, FAILED = JobState.COMPLETED, JobState.FAILED


async def ended(b: Bench, verdict: Verdict) -> None:
    """Four jobs that ended a second apart."""
    names = [f"{verdict}-{n}" for n in range(4)]
    await b.queue.enqueue([job(each) for each in names])
    for each in (await b.queue.claim(0, 4)).jobs:
        await b.queue.settle(0, [Settlement(each, verdict)])
        b.clock.forward(seconds=1)


async def test_what_ended_long_ago_is_cleaned_the_oldest_first_some_a_call(valkey_url: str) -> None:
    async with bench(valkey_url, KEEPS) as b:
        for verdict in (Verdict.COMPLETED, Verdict.FAILED):
            await ended(b, verdict)
        before = await b.state()
        assert await b.queue.clean(0, FAILED, timedelta(seconds=2), 2) == ["failed-0", "failed-1"]
        assert await b.queue.clean(0, FAILED, timedelta(seconds=2), 2) == ["failed-2"]
        assert await b.queue.clean(0, FAILED, timedelta(seconds=2), 2) == []
        assert await b.queue.clean(0, COMPLETED, timedelta(seconds=6)) == [
            "completed-0",
            "completed-1",
            "completed-2",
        ]
        left = {"completed-3", "failed-3"}
        assert changed(before, await b.state()) == {
            "completed": ["completed-3"],
            "failed": {"failed-3": T0 + 7_000},
            "jobs": {key: value for key, value in before["jobs"].items() if key in left},
            "state": {key: value for key, value in before["state"].items() if key in left},
        }
        again = await b.queue.enqueue([job("failed-0"), job("completed-0", payload=b"[]")])
        assert again == [Enqueued.DUPLICATE, Enqueued.CONFLICT]


async def drained(b: Bench, **how: object) -> set[str]:
    """Everything that goes, over as many calls as it takes."""
    cursor, found = await b.queue.drain(0, limit=10, **how)  # type: ignore[arg-type]
    while cursor != "0":
        cursor, more = await b.queue.drain(0, cursor, limit=10, **how)  # type: ignore[arg-type]
        found += more
    assert len(found) == len(set(found))
    return set(found)


async def crowd(b: Bench) -> dict[str, set[str]]:
    """600 jobs of two tenants, of which some are delayed and one is active; by tenant those that wait."""
    await b.queue.enqueue([job("active", "a/email/s", priority=0)])
    await b.queue.claim(0, 1)
    names: dict[str, set[str]] = {"a": set(), "b": set()}
    for n in range(600):
        tenant, late = "ab"[n % 2], timedelta(seconds=9) if n % 5 == 0 else timedelta(0)
        await b.queue.enqueue([job(f"job-{n}", f"{tenant}/email/s{n % 3}", delay=late)])
        if not late:
            names[tenant].add(f"job-{n}")
    return names


async def test_a_tenant_is_drained_and_nobody_else(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        names = await crowd(b)
        before = await b.state()
        assert await drained(b, tenant="a", look=True) == names["a"]
        assert await b.state() == before
        assert await drained(b, tenant="a") == names["a"]
        after = await b.state()
        assert changed(before, after) == {
            "jobs": {key: job for key, job in before["jobs"].items() if key not in names["a"]}
        }
        b.clock.forward(seconds=1)
        got = [each.id async for each in worked_off(b)]
        assert sorted(got) == sorted(names["b"])


async def worked_off(b: Bench):  # type: ignore[no-untyped-def]
    claimed = await b.queue.claim(0, 50)
    while claimed.jobs or claimed.more:
        for each in claimed.jobs:
            yield each
        ends = [Settlement(each, Verdict.COMPLETED) for each in claimed.jobs]
        _, following = await b.queue.settle(0, ends, 50)
        assert following is not None
        claimed = following


async def test_everything_that_no_worker_has_is_drained_delayed_jobs_too(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await crowd(b)
        assert len(await drained(b, delayed=True)) == 600
        state = await b.state()
        assert set(state["jobs"]) == set(state["state"]) == {"active"} and "delayed" not in state
        assert [each.id async for each in worked_off(b)] == []
        assert [key for key in await b.state() if key.startswith(("lane:", "ring:", "ready"))] == []


async def test_a_lane_that_waits_for_the_room_of_a_dear_job_goes_on_when_that_job_is_drained(
    valkey_url: str,
) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", (60, 3))])
        await b.queue.enqueue([job("first"), job("dear", cost=3)])
        assert [each.id for each in (await b.queue.claim(0, 9)).jobs] == ["first"]
        await drained(b)
        await b.queue.enqueue([job("cheap")])
        assert [each.id for each in (await b.queue.claim(0, 9)).jobs] == ["cheap"]


async def test_only_a_paused_queue_without_active_jobs_is_obliterated_unless_forced(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await crowd(b)
        before = await b.state()
        assert await b.queue.obliterate(0, force=True) == (Obliterated.SERVING, [])
        await b.queue.pause(0)
        assert await b.queue.obliterate(0) == (Obliterated.ACTIVE, [])
        assert await b.queue.obliterate(0, force=True, limit=0) == (Obliterated.MORE, [])
        assert changed(before, await b.state()) == {"meta": before["meta"] | {"paused": True}}
        word, gone = await b.queue.obliterate(0, force=True, limit=50)
        assert (word, len(gone)) == (Obliterated.MORE, 50)


async def test_an_obliterated_queue_keeps_what_binds_whatever_comes_next(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a/email", (60, 4), cap=2), limits("shut", paused=True)])
        await b.queue.enqueue([job("ended", "a/email/s"), job("held", "a/email/s"), job("out", "shut")])
        ended, held = (await b.queue.claim(0, 9)).jobs
        await b.queue.settle(0, [Settlement(ended, Verdict.COMPLETED)])
        names = [f"job-{n}" for n in range(30)]
        await b.queue.enqueue([job(each, f"a/email/{each}") for each in names])
        await b.queue.claim(0, 9)
        await b.queue.pause(0)
        before = await b.state()
        gone: list[str] = []
        word = Obliterated.MORE
        while word is Obliterated.MORE:
            word, some = await b.queue.obliterate(0, force=True, limit=7)
            gone += some
        assert (word, sorted(gone)) == (Obliterated.DONE, sorted(["ended", "held", "out", *names]))
        kept = {key: before[key] for key in before if key in ("meta", "config", "refused") or "ids:" in key}
        windows = {key: value for key, value in before.items() if key.startswith("windows:")}
        assert await b.state() == kept | windows
        assert await b.queue.settle(0, [Settlement(held, Verdict.COMPLETED)]) == ([Settled.LEASE_LOST], None)
        await b.queue.resume(0)
        assert await b.queue.enqueue([job("ended", "a/email/s")]) == [Enqueued.DUPLICATE]
        await b.queue.enqueue([job(f"new-{n}", "a/email/s") for n in range(5)])
        assert len((await b.queue.claim(0, 9)).jobs) == 1  # of 4 a minute, 3 were charged before


async def test_a_queue_that_is_resumed_before_all_of_it_is_obliterated_serves_what_is_left_and_what_comes(
    valkey_url: str,
) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("first", "a"), job("second", "b")])
        await b.queue.pause(0)
        assert await b.queue.obliterate(0, limit=1) == (Obliterated.MORE, ["first"])
        state = await b.state()
        assert {key: state[key] for key in state if key.startswith(("lane:", "ring:", "ready"))} == {
            "lane:b:1": ["second"],
            "ring:b": ["b"],
            "ready": {"a": 0.0, "b": 0.0},
        }
        await b.queue.resume(0)
        await b.queue.enqueue([job("third", "a")])
        assert [each.id async for each in worked_off(b)] == ["third", "second"]
        assert await b.queue.enqueue([job("fourth", "a")]) == [Enqueued.CREATED]
        assert [each.id async for each in worked_off(b)] == ["fourth"]


async def test_a_lane_that_waits_for_what_is_obliterated_goes_on(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", cap=1), limits("b", (60, 3))])
        await b.queue.enqueue([job("held", "a"), job("next", "a"), job("first", "b")])
        _, first = (await b.queue.claim(0, 9)).jobs
        await b.queue.settle(0, [Settlement(first, Verdict.RETRY, at_ms=T0 + 90_000)])
        await b.queue.enqueue([job("dear", "b", cost=3), job("cheap", "b")])
        assert (await b.queue.claim(0, 9)).jobs == ()
        await b.queue.pause(0)
        assert await b.queue.obliterate(0, force=True, limit=1) == (Obliterated.MORE, ["held"])
        await b.queue.resume(0)
        assert [each.id for each in (await b.queue.claim(0, 9)).jobs] == ["next"]
        await b.queue.pause(0)
        assert await b.queue.obliterate(0, force=True, limit=3) == (
            Obliterated.MORE,
            ["next", "first", "dear"],
        )
        await b.queue.resume(0)
        assert [each.id for each in (await b.queue.claim(0, 9)).jobs] == ["cheap"]


@pytest.mark.parametrize("slots", [1, 9])
async def test_a_queue_that_is_obliterated_leaves_no_lane_behind(valkey_url: str, slots: int) -> None:
    async with bench(valkey_url) as b:
        await crowd(b)
        await b.queue.configure(0, [limits("a", (60, slots))])
        await b.queue.claim(0, 9)
        await b.queue.pause(0)
        while (await b.queue.obliterate(0, force=True))[0] is Obliterated.MORE:
            pass
        assert {key for key in await b.state() if not key.startswith(("windows:", "ids:"))} <= {
            "meta",
            "config",
            "refused",
        }
