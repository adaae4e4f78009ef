"""Looking at a queue changes nothing."""

from datetime import timedelta

import pytest

from shared.jobs import JobState
from shared.queue import reading
from shared.queue.reading import Placed, Timing
from shared.queue.types import (
    Counts,
    Ended,
    Measures,
    Running,
    Seen,
    Settlement,
    SubjectConfig,
    Verdict,
    longest_wait,
)
from tests.integration.queue_state import T0, Bench, bench, job


async def filled(b: Bench) -> None:
    """Two jobs in each state, and a parked tenant's."""
    await b.queue.configure(0, [SubjectConfig("shut", paused=True)])
    await b.queue.enqueue(
        [job(f"{state}-{n}") for state in ("completed", "failed", "active") for n in (1, 2)]
    )
    claimed = {each.id: each for each in (await b.queue.claim(0, 6)).jobs}
    b.clock.forward(seconds=1)
    await b.queue.enqueue([job("shut-1", "shut")])
    await b.queue.claim(0, 1)
    for n in (1, 2):
        await b.queue.settle(
            0,
            [
                Settlement(claimed[f"completed-{n}"], Verdict.COMPLETED),
                Settlement(claimed[f"failed-{n}"], Verdict.FAILED, reason="why"),
            ],
        )
    await b.queue.enqueue([job(f"delayed-{n}", delay=timedelta(seconds=n)) for n in (2, 1)])
    await b.queue.enqueue([job(f"waiting-{n}") for n in (1, 2)])


async def test_a_partition_is_measured_and_stays_as_it_is(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        assert await b.queue.measure(0) == Measures(Counts(), 0, 0, T0, None, {})
        await filled(b)
        before = await b.state()
        assert await b.queue.measure(0) == Measures(
            Counts(delayed=2, waiting=3, active=2, completed=2, failed=2),
            parked=1,
            due=0,
            now_ms=T0 + 1_000,
            oldest_ms=T0 + 1_000,
            refusals={"closed": 1},
        )
        assert await b.queue.lane_counts(0, ["a", "shut", "none"]) == [2, 1, 0]
        assert await b.state() == before


async def test_what_came_due_and_no_worker_has_looked_at_is_seen(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [SubjectConfig("shut", closed_until_ms=T0 + 5_000)])
        await b.queue.enqueue([job("parked", "shut")])
        await b.queue.claim(0, 1)
        await b.queue.enqueue([job("delayed", delay=timedelta(seconds=3))])
        found = []
        for seconds in (0, 3, 3):
            b.clock.forward(seconds=seconds)
            measures = await b.queue.measure(0)
            found.append((measures.due, longest_wait([measures])))
        assert found == [(0, None), (1, timedelta(0)), (2, timedelta(seconds=3))]


async def test_the_oldest_wait_is_that_of_the_partition_whose_next_in_line_waited_longest(
    valkey_url: str,
) -> None:
    async with bench(valkey_url, partitions=3) as b:

        async def waited() -> timedelta | None:
            return longest_wait([await b.queue.measure(partition) for partition in range(3)])

        assert await waited() is None
        await b.queue.enqueue([job("late", "a")])
        b.clock.forward(seconds=2)
        tenants = {b.queue.partition_of(tenant): tenant for tenant in "abcdefgh"}
        await b.queue.enqueue([job(tenant, tenant) for tenant in tenants.values()])
        b.clock.forward(seconds=3)
        assert await waited() == timedelta(seconds=5)
        await b.queue.claim(b.queue.partition_of("a"), 1)
        assert await waited() == timedelta(seconds=3)


async def test_the_last_jobs_that_ended_tell_when_and_stay_as_they_are(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        assert await b.queue.ended(0) == Ended(T0, (), ())
        await filled(b)
        b.clock.forward(seconds=2)
        before = await b.state()
        ended = (T0 + 1_000, T0 + 1_000)
        assert await b.queue.ended(0) == Ended(T0 + 3_000, ended, ended)
        assert await b.queue.ended(0, 1) == Ended(T0 + 3_000, ended[:1], ended[:1])
        assert await b.state() == before


async def test_ids_are_looked_up(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await filled(b)
        ids = ["completed-1", "failed-1", "active-1", "delayed-1", "waiting-1", "shut-1", "absent"]
        assert await b.queue.look_up(0, ids) == [
            Seen("completed-1", JobState.COMPLETED, "", 1),
            Seen("failed-1", JobState.FAILED, "why", 1),
            Seen("active-1", JobState.ACTIVE, "", 1),
            Seen("delayed-1", JobState.DELAYED),
            Seen("waiting-1", JobState.WAITING),
            Seen("shut-1", JobState.WAITING),
            Seen("absent", None),
        ]
        assert len(await b.queue.look_up(0, [f"none-{n}" for n in range(1_001)])) == 1_001


async def test_jobs_are_paged_through_by_state(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await filled(b)
        expected = {
            JobState.COMPLETED: ["completed-1", "completed-2"],
            JobState.FAILED: ["failed-1", "failed-2"],
            JobState.ACTIVE: ["active-1", "active-2"],
            JobState.DELAYED: ["delayed-1", "delayed-2"],
        }
        for state, ids in expected.items():
            assert await pages(b, state, limit=1) == ids
        assert sorted(await pages(b, JobState.WAITING, limit=1)) == ["shut-1", "waiting-1", "waiting-2"]


async def pages(b: Bench, state: JobState, limit: int) -> list[str]:
    cursor, ids = await b.queue.page(0, state, limit=limit)
    found = [each.id for each in ids]
    while cursor != "0":
        cursor, ids = await b.queue.page(0, state, cursor, limit)
        found += [each.id for each in ids]
    return found


async def test_a_page_tells_whose_each_job_is_and_since_or_until_when(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await filled(b)
        before, now = await b.state(), T0 + 1_000
        seen = {state: (await b.queue.page(0, state))[1] for state in JobState}
        assert {state: jobs[0] for state, jobs in seen.items() if state is not JobState.WAITING} == {
            JobState.DELAYED: Placed("delayed-1", JobState.DELAYED, "a", 0, "", now + 1_000),
            JobState.ACTIVE: Placed("active-1", JobState.ACTIVE, "a", 1, "", T0 + 30_000),
            JobState.COMPLETED: Placed("completed-1", JobState.COMPLETED, "a", 1, "", now),
            JobState.FAILED: Placed("failed-1", JobState.FAILED, "a", 1, "why", now),
        }
        shut = Placed("shut-1", JobState.WAITING, "shut", 0, "", now)
        assert shut in seen[JobState.WAITING]
        assert await b.queue.page(0, JobState.WAITING, whose="shut") == ("0", [shut])
        assert await b.queue.page(0, JobState.FAILED, whose="shut") == ("0", [])
        assert await b.state() == before


async def test_the_jobs_of_a_tenant_or_a_lane_are_told_from_those_of_others(valkey_url: str) -> None:
    lanes = ("a/email/x", "a/sms/y", "ab/email/x")
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(lane, lane, delay=timedelta(seconds=1)) for lane in lanes])
        for whose, ids in (("a", ["a/email/x", "a/sms/y"]), ("a/sms/y", ["a/sms/y"]), ("a/email", [])):
            _, found = await b.queue.page(0, JobState.DELAYED, whose=whose)
            assert [each.id for each in found] == ids


async def test_a_lanes_line_is_paged_through_in_the_order_its_jobs_start_in(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(f"late-{n}", priority=3) for n in range(3)])
        await b.queue.enqueue([job(f"{n}") for n in range(4)] + [job("other", "b")])
        await b.queue.remove(0, ["1", "late-1"])
        await b.queue.enqueue([job("1"), job("late-1", priority=1)])  # their old entries are still there
        before, found, first, looks = await b.state(), list[Placed](), 0, 0
        while looks == 0 or first:
            first, some = await b.queue.line(0, "a", first, 4)
            found, looks = found + some, looks + 1
        assert looks == 3 and await b.state() == before
        line = ["0", "1", "2", "3", "late-1", "late-0", "late-2"]
        assert [each.id for each in found] == [*line[:4], "1", *line[4:]], "a page knows no other"
        assert found[0] == Placed("0", JobState.WAITING, "a", 0, "", T0)
        assert [each.id for each in (await b.queue.line(0, "a"))[1]] == line
        assert (await b.queue.line(0, "none"), await b.queue.line(0, "a", 99)) == ((0, []), (0, []))
        served = [(await b.queue.claim(0, 1)).jobs[0] for _ in range(8)]
        assert [each.id for each in served if each.lane == "a"] == line


async def test_a_jobs_timing_tells_since_or_until_when_and_under_which_token(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await filled(b)
        now = b.clock.forward(seconds=1)
        before = await b.state()
        timings = {
            name: await b.queue.timing(0, name)
            for name in ("waiting-1", "delayed-1", "active-1", "completed-1", "failed-1", "none")
        }
        assert await b.state() == before
        assert timings == {
            "waiting-1": Timing(now, T0 + 1_000, 0, 0, ""),
            "delayed-1": Timing(now, T0 + 2_000, 0, 0, ""),
            "active-1": Timing(now, T0 + 30_000, T0, 0, "1-1"),
            "completed-1": Timing(now, T0 + 1_000, 0, 0, ""),
            "failed-1": Timing(now, T0 + 1_000, 0, 0, ""),
            "none": None,
        }


async def test_one_job_is_shown_with_what_it_carries(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one", "a/email/s", priority=2, annotations=b"labels", max_attempts=9)])
        found = await b.queue.job(0, "one")
        assert found is not None
        seen, carried = found
        assert seen == Seen("one", JobState.WAITING)
        assert (carried.lane, carried.priority, carried.max_attempts) == ("a/email/s", 2, 9)
        assert (carried.payload, carried.annotations, carried.enqueued_ms) == (
            b'{"job":"one"}',
            b"labels",
            T0,
        )
        assert await b.queue.job(0, "none") is None


async def test_a_tenants_running_jobs_are_counted_in_whichever_of_its_lanes(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        lanes = ("a", "a/email/s", "a/sms/s", "ab", "b/email/a")
        await b.queue.enqueue([job(f"{lane}-{n}", lane) for lane in lanes for n in (1, 2)])
        before = await b.queue.running(0, "a")
        claimed = await b.queue.claim(0, 50)
        assert (before, len(claimed.jobs)) == (Running(0, False), 10)
        state = await b.state()
        found = {tenant: await b.queue.running(0, tenant) for tenant in ("a", "ab", "b", "c")}
        counts = {"a": 6, "ab": 2, "b": 2, "c": 0}
        assert found == {tenant: Running(count, False) for tenant, count in counts.items()}
        assert await b.state() == state


async def test_of_more_running_jobs_than_are_looked_at_the_count_says_that_it_may_be_more(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_AT_ONCE", 3)
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(f"{n}", "a") for n in range(5)])
        await b.queue.claim(0, 3)
        assert await b.queue.running(0, "a") == Running(3, False)
        await b.queue.claim(0, 1)
        assert await b.queue.running(0, "a") == Running(3, True)
