"""enqueue: nothing -> waiting, or delayed."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.errors import InvalidJob, JobIdRequired, PayloadTooLarge
from shared.idempotency.digest import digests
from shared.queue.types import Enqueued, NewJob, Settlement, Verdict
from tests.integration.queue_state import SPEC, T0, bench, changed, job

CREATED, DUPLICATE, CONFLICT = Enqueued.CREATED, Enqueued.DUPLICATE, Enqueued.CONFLICT


async def test_a_job_waits_at_the_tail_of_its_lane(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        before = await b.state()
        words = await b.queue.enqueue([job("one"), job("two", "b/email/s", priority=3, cost=2), job("three")])
        assert words == [CREATED] * 3
        assert changed(before, await b.state()) == {
            "jobs": {
                "one": ("a", 1, 1, b'{"job":"one"}'),
                "two": ("b/email/s", 3, 2, b'{"job":"two"}'),
                "three": ("a", 1, 1, b'{"job":"three"}'),
            },
            "lane:a:1": ["one", "three"],
            "lane:b/email/s:3": ["two"],
            "ring:a": ["a"],
            "ring:b": ["b/email/s"],
            "ready": {"a": 0, "b": 0},
        }


async def test_a_delayed_job_waits_for_its_time_apart(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        before = await b.state()
        assert await b.queue.enqueue([job("one", delay=timedelta(seconds=5))]) == [CREATED]
        assert changed(before, await b.state()) == {
            "jobs": {"one": ("a", 1, 1, b'{"job":"one"}')},
            "state": {"one": ("d", 0, 0, 0, 0, 0, "")},
            "delayed": {"one": T0 + 5_000},
        }


async def test_a_known_id_is_a_duplicate_with_its_payload_and_a_conflict_with_another(
    valkey_url: str,
) -> None:
    async with bench(valkey_url) as b:
        first = job("one", annotations=b"trace 1")
        assert await b.queue.enqueue([first, first, job("one", payload=b"else")]) == [
            CREATED,
            DUPLICATE,
            CONFLICT,
        ]
        before = await b.state()
        again = [first._replace(annotations=b"trace 2", cost=7), job("one", payload=b'1{"job":"one"}')]
        assert await b.queue.enqueue(again) == [DUPLICATE, CONFLICT]
        assert await b.state() == before


async def test_an_id_is_remembered_after_its_job_is_gone(valkey_url: str) -> None:
    spec = replace(SPEC, keep_completed=0, remember_for=timedelta(hours=1))
    async with bench(valkey_url, spec) as b:
        await b.queue.enqueue([job("one")])
        claimed = await b.queue.claim(0, 1)
        await b.queue.settle(0, [Settlement(claimed.jobs[0], Verdict.COMPLETED)])
        first, second = digests("one", b'{"job":"one"}')
        state = await b.state()
        assert "jobs" not in state
        assert state[f"ids:{T0 // 3_600_000}:{str(first)[-4:]}"] == sorted([first, second])
        assert await b.queue.enqueue([job("one"), job("one", payload=b"else")]) == [DUPLICATE, CONFLICT]
        b.clock.forward(hours=1)
        assert await b.queue.enqueue([job("one"), job("one", payload=b"else")]) == [DUPLICATE, CONFLICT]
        assert await b.state() == state
        b.clock.forward(hours=1)
        assert await b.queue.enqueue([job("one")]) == [CREATED]


async def test_a_closed_partition_takes_jobs_in(valkey_url: str) -> None:
    async with bench(valkey_url, opened=False) as b:
        assert await b.queue.enqueue([job("one")]) == [CREATED]
        assert (await b.queue.counts(0)).waiting == 1


async def test_jobs_of_many_tenants_go_where_their_tenants_live(valkey_url: str) -> None:
    async with bench(valkey_url, partitions=3) as b:
        jobs = [job(f"job-{n}", f"tenant-{n}") for n in range(250)]
        assert await b.queue.enqueue(jobs) == [CREATED] * 250
        for partition in range(3):
            waiting = (await b.state(partition))["jobs"]
            assert set(waiting) == {
                each.id for each in jobs if b.queue.partition_of(each.tenant) == partition
            }


async def test_jobs_that_are_enqueued_at_the_same_time_travel_together(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.redis.config_resetstat()
        words = await asyncio.gather(*(b.queue.enqueue([job(f"job-{n}")]) for n in range(50)))
        assert words == [[CREATED]] * 50
        calls = await b.redis.info("commandstats")
        assert calls["cmdstat_rpush"]["calls"] <= 3


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (job(""), JobIdRequired),
        (job("x", payload=b"x" * (1024 * 1024 + 1)), PayloadTooLarge),
        (job("x", annotations=b"x" * (1024 * 1024 + 1)), PayloadTooLarge),
        (job("x" * 513), InvalidJob),
        (job("x", delay=timedelta(days=401)), InvalidJob),
        (job("x", delay=timedelta(seconds=-1)), InvalidJob),
        (job("x", cost=-1), InvalidJob),
        (job("x", cost=65_536), InvalidJob),
        (job("x", priority=-1), InvalidJob),
        (job("x", priority=4), InvalidJob),
        (job("x", max_attempts=0), InvalidJob),
        (job("x", version=0), InvalidJob),
        (job("x", timeout=timedelta(days=31)), InvalidJob),
        (job("x", expires_at_ms=-1), InvalidJob),
        (job("x", lane=""), InvalidJob),
        (job("x", lane="a/email"), InvalidJob),
        (job("x", lane="a//s"), InvalidJob),
        (job("x", lane="*/email/s"), InvalidJob),
        (job("x", lane="a/email/" + "s" * 250), InvalidJob),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
async def test_a_job_that_makes_no_sense_is_refused_with_all_that_came_with_it(
    valkey_url: str, wrong: NewJob, error: type[InvalidJob]
) -> None:
    async with bench(valkey_url) as b:
        before = await b.state()
        with pytest.raises(error):
            await b.queue.enqueue([job("good"), wrong])
        assert await b.state() == before
