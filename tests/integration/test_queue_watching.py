"""Events: what happens in a queue, told once a call."""

import asyncio
from datetime import timedelta

import pytest

from shared.errors import SettingsError
from shared.queue.queue import Queue
from shared.queue.types import Settlement, Verdict
from shared.queue.watching import Event, Happened
from tests.integration.queue_state import SPEC, Bench, bench, job

VERDICTS = {
    Verdict.FAILED: Happened.FAILED,
    Verdict.RETRY: Happened.RETRIED,
    Verdict.RELEASED: Happened.RELEASED,
    Verdict.DEFERRED: Happened.DEFERRED,
    Verdict.CANCELLED: Happened.CANCELLED,
}


async def told(b: Bench, after: dict[int, str]) -> list[tuple[Happened, int, tuple[str, ...]]]:
    events, _ = await b.queue.events(after, timedelta(milliseconds=1))
    return sorted((each.what, each.jobs, each.ids) for each in events)


async def test_a_settlement_tells_once_how_many_completed_and_which_did_not(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        names = ["one", "two", "held", *VERDICTS]
        await b.queue.enqueue([job(each) for each in names])
        claimed = (await b.queue.claim(0, 9)).jobs
        ends = [Verdict.COMPLETED, Verdict.COMPLETED, Verdict.HELD, *VERDICTS]
        start = await b.queue.now()
        assert start == {0: "0"}
        await b.queue.settle(
            0, [Settlement(each, verdict) for each, verdict in zip(claimed, ends, strict=True)]
        )
        assert await told(b, start) == sorted(
            [(Happened.COMPLETED, 3, ()), *((what, 1, (verdict,)) for verdict, what in VERDICTS.items())]
        )
        assert await b.redis.xlen(b.queue._key(0, "events")) == 1
        assert await told(b, await b.queue.now()) == []


async def test_what_befalls_jobs_beside_their_settlement_is_told(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(each) for each in ("runs", "fails", "waits", "goes")])
        runs, fails = (await b.queue.claim(0, 2)).jobs
        await b.queue.settle(0, [Settlement(fails, Verdict.FAILED)])
        start = await b.queue.now()
        await b.queue.retry(0, ["fails"])
        await b.queue.enqueue([job("waits"), job("goes", payload=b"[]"), job("new")])
        await b.queue.remove(0, ["goes", "absent"])
        await b.queue.cancel(0, ["waits", "runs"])
        b.clock.forward(seconds=31)
        await b.queue.reap(0)  # was cancelled, so it ends
        (claimed,) = (await b.queue.claim(0, 1)).jobs
        b.clock.forward(seconds=31)
        await b.queue.reap(0)
        await b.queue.drain(0, look=True)
        await b.queue.drain(0, tenant="a")
        assert await told(b, start) == sorted(
            [
                (Happened.REQUEUED, 1, ("fails",)),
                (Happened.DUPLICATE, 1, ("waits",)),
                (Happened.CONFLICT, 1, ("goes",)),
                (Happened.REMOVED, 1, ("goes",)),
                (Happened.CANCELLED, 1, ("waits",)),
                (Happened.CANCELLING, 1, (runs.id,)),
                (Happened.CANCELLED, 1, (runs.id,)),
                (Happened.STALLED, 1, (claimed.id,)),
                *[(event.what, event.jobs, event.ids) for event in await last(b)],
            ]
        )


async def last(b: Bench) -> list[Event]:
    """What the drain told: whoever waited then."""
    events, _ = await b.queue.events({0: "0"}, timedelta(milliseconds=1))
    assert (events[-1].what, sorted(events[-1].ids)) == (Happened.REMOVED, ["fails", "new"])
    return events[-1:]


async def test_who_waits_for_events_gets_them_as_they_happen_from_every_partition(valkey_url: str) -> None:
    async with bench(valkey_url, partitions=3) as b:
        tenants = [next(t for t in "abcdefgh" if b.queue.partition_of(t) == n) for n in range(3)]
        waiting = asyncio.create_task(b.queue.events(await b.queue.now(), timedelta(seconds=1)))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        for n, tenant in enumerate(tenants):
            await b.queue.enqueue([job(f"job-{n}", tenant)])
            await b.queue.cancel(n, [f"job-{n}"])
        first, after = await waiting
        more, following = await b.queue.events(after)
        found = [*first, *more]
        assert [(each.partition, each.what, each.ids) for each in found] == [
            (n, Happened.CANCELLED, (f"job-{n}",)) for n in range(3)
        ]
        assert following == await b.queue.now()


async def test_the_stream_is_bounded(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        for n in range(2_300):
            await b.queue.enqueue([job(f"job-{n}")])
            await b.queue.cancel(0, [f"job-{n}"])
        assert 2_000 <= await b.redis.xlen(b.queue._key(0, "events")) <= 2_100


async def test_events_need_a_connection_to_wait_on(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        queue = Queue(b.redis, SPEC, prefix="test")
        with pytest.raises(SettingsError, match="waiting"):
            await queue.events({0: "0"})
