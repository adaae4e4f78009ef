"""What hurts users of other queues, by the numbers of our survey of the field.

The pains of workers are in the files of the brokers' tests, under their numbers too.
"""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from importlib.resources import files
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.jobs import SENDS, JobState
from shared.queue.engine import Engine
from shared.queue.operating import Removed
from shared.queue.queue import Queue
from shared.queue.reporting import LogLine, Report
from shared.queue.types import Charge, Claimed, Enqueued, Seen, Settlement, Slot, SubjectConfig, Verdict
from shared.redis.client import connect
from tests.brokers import ended, redis_settings, sending, working
from tests.integration.queue_state import Bench, bench, job, limits

LANE = "a/email/s"
KEEP_ALL = replace(SENDS, keep_completed=10**6, keep_failed=10**6)


def ids(claimed: Claimed) -> list[str]:
    return [each.id for each in claimed.jobs]


# --- 2, 3, 4, 10: what a script costs


async def crowded(b: Bench, many: int) -> None:
    """As many completed, failed, stalled, parked, due and waiting jobs, and as many tenants in line."""
    await b.queue.configure(0, [limits("limited/email", (60, 1)), SubjectConfig(LANE, cap=10**6)])
    for verdict in (Verdict.COMPLETED, Verdict.FAILED, None):
        await b.queue.enqueue([job(f"{verdict}-{n}", LANE) for n in range(many)])
        for _ in range(0, many, 50):
            claimed = (await b.queue.claim(0, 50)).jobs
            if verdict is not None:
                await b.queue.settle(0, [Settlement(each, verdict) for each in claimed])
    delay = timedelta(seconds=5)
    await b.queue.enqueue([job(f"due-{n}", LANE, delay=delay) for n in range(many)])
    await b.queue.enqueue([job(f"parked-{n}", f"limited/email/{n}") for n in range(many)])
    while (await b.queue.claim(0, 50)).more:
        pass
    await b.queue.enqueue([job(f"waiting-{n}", LANE) for n in range(many)])
    await b.queue.enqueue([job(f"line-{n}", f"tenant-{n}") for n in range(many)])


async def act_of_every_kind(b: Bench) -> None:
    queue, names = b.queue, [f"waiting-{n}" for n in range(50)]
    b.clock.forward(seconds=31)  # every lease has lapsed, every delay and every parking is over
    await queue.reap(0)
    await queue.enqueue([job(f"new-{n}", LANE) for n in range(50)])
    for slots in (50, 0):
        jobs = (await queue.claim(0, 50)).jobs
        await queue.extend(0, jobs)
        await queue.report(0, [Report(each, b"1", [LogLine(b.clock.now, "line")] * 9) for each in jobs])
        await queue.settle(0, [Settlement(each, Verdict.RELEASED) for each in jobs], slots)
    await queue.promote(0, [f"due-{n}" for n in range(50)])
    await queue.retry_oldest(0)
    await queue.enqueue([job(f"more-{n}", LANE) for n in range(100)])
    await queue.reprioritise(0, [f"more-{n}" for n in range(50)], 2)
    await queue.reschedule(0, [f"more-{n}" for n in range(50, 100)], b.clock.now + 5_000)
    await queue.cancel(0, [f"more-{n}" for n in range(50)])
    for state in (JobState.COMPLETED, JobState.FAILED):
        await queue.clean(0, state, timedelta(0), 50)
    await queue.measure(
        0
    )  # before what takes out jobs as a hash has them: those in line would be others each time
    await queue.drain(0, delayed=True)
    await queue.remove(0, names)
    await queue.pause(0)
    for _ in range(5):
        await queue.obliterate(0, force=True)
    await queue.pause(0, "a")
    await queue.resume(0, "a")
    await queue.resume(0)
    await queue.configure(0, [limits("*/email", (60, 1))])
    await queue.lane_counts(0, [LANE])
    await queue.running(0, "a")
    await queue.look_up(0, names)
    for state in JobState:
        await queue.page(0, state)
    await queue.line(0, LANE)
    await queue.timing(0, names[0])
    await queue.ended(0)
    await queue.now()
    await queue.beat("worker", 4, 0.1)
    await queue.workers()
    await queue.usage(0, [f"tenant-{n}" for n in range(100)])
    async for _ in queue.runnable(0):
        pass
    b.clock.forward(days=2)
    await queue.reap(0)  # forgets what ended
    await queue.is_open(0)
    await queue.begin_opening(0, 2)
    await queue.seed_configs(0, 2, [SubjectConfig("a", weight=2)])
    await queue.seed_charges(0, 2, [Charge("a", b.clock.now, 1)])
    await queue.seed_slots(0, 2, [Slot("a", "x", b.clock.now + 1)])
    await queue.open(0, 2)
    await queue.open_plain(0)


async def commands(redis: Redis) -> int:
    """How many commands the server has run, those that scripts called included."""
    told: dict[str, Any] = await redis.info("commandstats")
    return sum(each["calls"] for name, each in told.items() if not name.startswith("cmdstat_eval"))


async def test_pains_2_3_and_10_no_script_does_more_in_a_queue_of_ten_times_as_many_jobs(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, most = Engine._run, Counter[tuple[int, str]]()

    async def counted(queue: Queue, script: str, *arguments: Any, **named: Any) -> Any:
        before = await commands(b.redis)
        answer = await run(queue, script, *arguments, **named)
        most[many, script] = max(most[many, script], await commands(b.redis) - before)
        return answer

    for many in (1_000, 10_000):
        async with bench(valkey_url, replace(KEEP_ALL, name=f"tests:{many}")) as b:
            await crowded(b, many)
            with monkeypatch.context() as patch:
                patch.setattr(Engine, "_run", counted)
                await act_of_every_kind(b)
    every = {path.name.removesuffix(".lua") for path in files("shared.queue").joinpath("lua").iterdir()}
    assert {script for _, script in most} == every - {"parts"}
    dearer = {
        script: (most[1_000, script], most[10_000, script])
        for script in every
        if most[10_000, script] > most[1_000, script]
    }
    assert dearer == {}


async def test_pain_4_a_removal_leaves_a_long_line_as_it_is(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(f"job-{n}") for n in range(1_000)])
        assert await b.queue.remove(0, ["job-500"]) == [Removed.REMOVED]
        state = await b.state()
        assert len(state["lane:a:1"]) == 1_000 and "job-500" not in state["jobs"]
        served: list[str] = []
        while got := ids(await b.queue.claim(0, 50)):
            served += got
        assert served == [f"job-{n}" for n in range(1_000) if n != 500]


# --- 7: ids


async def end_of_every_kind(b: Bench, name: str) -> None:
    """A job that is gone, or will be, by each way out that there is."""
    queue = b.queue

    async def claimed(**fields: Any) -> Any:
        await queue.enqueue([job(f"{name}-{len(kinds)}", **fields)])
        kinds.append(f"{name}-{len(kinds)}")
        return await queue.claim(0, 1)

    kinds: list[str] = []
    for verdict in Verdict:
        got = await claimed()
        await queue.settle(0, [Settlement(got.jobs[0], verdict, at_ms=b.clock.now + 1)])
    await claimed(expires_at_ms=b.clock.now)
    await claimed(version=9)
    for stays in (timedelta(0), timedelta(days=3)):
        await claimed(delay=stays)
    await queue.remove(0, kinds[-2:])
    await claimed()  # and nobody settles it


async def test_pain_7_no_id_is_blocked_longer_than_it_is_remembered(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await end_of_every_kind(b, "old")
        names = sorted((await b.state())["jobs"])
        remembered = [key for key in await b.state() if key.startswith("ids:")]
        for key in remembered:
            left = await b.redis.pttl(b.queue._key(0, key))
            assert 0 < left <= 2 * SENDS.remember_for / timedelta(milliseconds=1)
        for _ in range(10):  # what waits, is delayed or stalled comes to its end in these days
            b.clock.forward(hours=12)
            await b.queue.reap(0)
            for each in (await b.queue.claim(0, 50)).jobs:
                await b.queue.settle(0, [Settlement(each, Verdict.COMPLETED)])
        b.clock.forward(days=3)
        await b.queue.reap(0)
        state = await b.state()
        assert not {"jobs", "state", "active", "delayed", "completed", "failed"} & state.keys()
        assert await b.queue.enqueue([job(each, payload=b"other") for each in names]) == [
            Enqueued.CREATED for _ in names
        ]


async def test_pain_7_a_removed_jobs_id_is_free_at_once(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one"), job("two", delay=timedelta(days=1))])
        await b.queue.remove(0, ["one", "two"])
        again = [job("one", payload=b"other"), job("two", payload=b"other")]
        assert await b.queue.enqueue(again) == [Enqueued.CREATED] * 2


# --- 8: memory


async def test_pain_8_memory_is_flat_whatever_has_gone_through(valkey_url: str) -> None:
    sizes: list[int] = []
    async with bench(valkey_url, SENDS) as b:
        await b.queue.configure(0, [limits("*/email", (60, 50), (3600, 500), (86_400, 5_000))])
        for turn in range(120):
            b.clock.forward(hours=1)
            await _one_turn(b, turn)
            # The ids of two days are remembered, whatever their number, and the last 2,000 events, fewer of
            # them yet: nothing else grows.
            keys = [key async for key in b.redis.scan_iter(count=1000) if not key.endswith(b":events")]
            keys = [key for key in keys if b":ids:" not in key]
            sizes.append(sum([await b.redis.memory_usage(key, samples=0) or 0 for key in keys]))
    third = len(sizes) // 3
    assert max(sizes[-third:]) <= 1.05 * max(sizes[third:-third]), sizes


async def _one_turn(b: Bench, turn: int) -> None:
    """Jobs of many lanes, of tenants that come and go, with every end."""
    lanes = [f"t{turn % 7}-{n % 5}/email/{n % 3}" for n in range(100)]
    await b.queue.enqueue([job(f"{turn}-{n}", lane) for n, lane in enumerate(lanes)])
    await b.queue.reap(0)
    while jobs := (await b.queue.claim(0, 50)).jobs:
        ends = [list(Verdict)[n % 2] for n in range(len(jobs))]
        await b.queue.settle(0, [Settlement(each, end) for each, end in zip(jobs, ends, strict=True)])


# --- 11: waking


async def test_pain_11_of_many_waiting_workers_one_job_wakes_one(valkey_url: str) -> None:
    async with bench(valkey_url) as b, AsyncExitStack() as stack:
        await b.queue.wait([0])  # the nudge of its opening
        workers: list[Queue] = []
        for _ in range(20):
            waiting = connect(redis_settings(valkey_url), role="wait")
            stack.push_async_callback(waiting.aclose)
            workers.append(Queue(b.redis, SENDS, prefix="test", waiting=waiting))
        waits = [asyncio.create_task(each.wait([0])) for each in workers]
        await asyncio.sleep(0.05)  # they wait by now; if not, the word waits for them
        await b.queue.enqueue([job("one")])
        woken = Counter(await asyncio.gather(*waits, b.queue.wait([0])))
    assert woken == {0: 1, None: 20}


# --- 13: retrying in bulk


@pytest.mark.parametrize("tenant", ["", "a"])
async def test_pain_13_bulk_retry_while_paused_keeps_priority_and_strands_nothing(
    valkey_url: str, tenant: str
) -> None:
    async with bench(valkey_url, KEEP_ALL) as b:
        await b.queue.enqueue([job(f"{p}-{n}", LANE, priority=p) for p in (3, 0, 2) for n in range(2)])
        for each in (await b.queue.claim(0, 9)).jobs:
            await b.queue.settle(0, [Settlement(each, Verdict.FAILED)])
            b.clock.forward(seconds=1)
        await b.queue.pause(0, tenant)
        assert len(await b.queue.retry_oldest(0)) == 6
        assert ids(await b.queue.claim(0, 9)) == []
        await b.queue.resume(0, tenant)
        assert ids(await b.queue.claim(0, 9)) == ["0-0", "0-1", "2-0", "2-1", "3-0", "3-1"]


# --- 14: delayed jobs


async def test_pain_14_a_delayed_job_runs_on_an_idle_queue_whose_workers_hear_of_nothing(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deaf(_queue: Queue, _partitions: list[int], timeout: timedelta = timedelta(seconds=1)) -> None:
        await asyncio.sleep(min(timeout.total_seconds(), 0.1))

    monkeypatch.setattr(Queue, "wait", deaf)
    async with sending(valkey_url) as broker:

        @broker.task("tests:later")
        async def later() -> None: ...

        async with working(broker):
            sent = await later.kicker().with_labels(delay=0.3).kiq()
            assert (await ended(broker, sent.task_id)).state is JobState.COMPLETED


# --- 16, 19, 25, 26: what recovery must not hang on


async def test_pain_16_whoever_reaped_last_is_not_needed_to_reap_again(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one"), job("two")])
        assert ids(await b.queue.claim(0, 1)) == ["one"]
        b.clock.forward(seconds=30)
        async with connect(redis_settings(valkey_url), role="doomed") as redis:
            doomed = Queue(redis, SENDS, prefix="test", clock=b.clock)
            assert await doomed.reap(0) == (["one"], [])
            await b.redis.client_kill_filter(_id=str(await redis.client_id()))
            assert len(ids(await b.queue.claim(0, 9))) == 2
            b.clock.forward(seconds=30)
            back, dead = await b.queue.reap(0)
    assert (back, dead) == (["two"], [Seen("one", JobState.FAILED, "stalled", 1)])


async def test_pain_19_what_was_sent_before_a_worker_ever_ran_or_after_a_flush_runs(valkey_url: str) -> None:
    ran: list[int] = []
    async with sending(valkey_url) as producer, sending(valkey_url) as consumer:
        for broker in (producer, consumer):

            @broker.task("tests:note")
            async def note(n: int) -> None:
                ran.append(n)

        task = producer.find_task("tests:note")
        assert task is not None
        first = await task.kiq(1)
        async with working(consumer):
            await ended(consumer, first.task_id)
            await producer.client.flushall()
            second = await task.kiq(2)
            await ended(consumer, second.task_id)
    assert ran == [1, 2]


async def test_pain_26_a_job_delayed_for_longer_than_any_lease_runs_once(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("far", delay=timedelta(days=3))])
        claimed: list[str] = []
        for _ in range(100):
            b.clock.forward(hours=1)
            assert await b.queue.reap(0) == ([], [])
            for each in (await b.queue.claim(0, 9)).jobs:
                claimed.append(each.id)
                await b.queue.settle(0, [Settlement(each, Verdict.COMPLETED)])
    assert claimed == ["far"]


async def test_pain_26_however_many_jobs_are_due_at_once_each_runs_once(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        names = [f"job-{n}" for n in range(12_000)]  # more than Lua can unpack
        await b.queue.enqueue([job(each, delay=timedelta(seconds=1)) for each in names])
        b.clock.forward(seconds=1)
        served: list[str] = []
        more = True
        while more:
            got = await b.queue.claim(0, 50)
            served += ids(got)
            await b.queue.settle(0, [Settlement(each, Verdict.COMPLETED) for each in got.jobs])
            more = got.more or bool(got.jobs)
        assert sorted(served) == sorted(names)
