"""Events: what happens in a queue, told once a call."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.errors import SettingsError
from shared.queue.queue import Queue
from shared.queue.types import Settlement, Verdict
from shared.queue.watching import Event, Happened, Place, Places
from tests.integration.queue_state import SPEC, Bench, bench, job

VERDICTS = {
    Verdict.FAILED: Happened.FAILED,
    Verdict.RETRY: Happened.RETRIED,
    Verdict.RELEASED: Happened.RELEASED,
    Verdict.DEFERRED: Happened.DEFERRED,
    Verdict.CANCELLED: Happened.CANCELLED,
}


START = {0: Place("0-0", 0)}


async def told(b: Bench, after: Places) -> list[tuple[Happened, int, tuple[str, ...]]]:
    found = await b.queue.events(after, timedelta(milliseconds=1))
    return sorted((each.what, each.jobs, each.ids) for each in found.events)


async def test_a_settlement_tells_once_how_many_completed_and_which_did_not(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        names = ["one", "two", "held", *VERDICTS]
        await b.queue.enqueue([job(each) for each in names])
        claimed = (await b.queue.claim(0, 9)).jobs
        ends = [Verdict.COMPLETED, Verdict.COMPLETED, Verdict.HELD, *VERDICTS]
        start = await b.queue.now()
        assert start == START
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
    events = (await b.queue.events(START, timedelta(milliseconds=1))).events
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
        first = await waiting
        more = await b.queue.events(first.after)
        found = [*first.events, *more.events]
        assert [(each.partition, each.what, each.ids) for each in found] == [
            (n, Happened.CANCELLED, (f"job-{n}",)) for n in range(3)
        ]
        assert more.after == await b.queue.now()


async def test_the_stream_is_bounded(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        for n in range(2_300):
            await b.queue.enqueue([job(f"job-{n}")])
            await b.queue.cancel(0, [f"job-{n}"])
        assert 2_000 <= await b.redis.xlen(b.queue._key(0, "events")) <= 2_100


async def read_on(b: Bench, after: Places) -> tuple[list[str], list[int | None], Places]:
    """Whom events name from there to the end of the stream, and what is said to have been missed."""
    ids: list[str] = []
    missed: list[int | None] = []
    while True:
        found = await b.queue.events(after, timedelta(milliseconds=1))
        ids += [each for event in found.events for each in event.ids]
        missed += found.missed.values()
        after = found.after
        if not after[0].behind:
            return ids, missed, after


async def cancelled(b: Bench, names: list[str]) -> None:
    for name in names:
        await b.queue.enqueue([job(name)])
        await b.queue.cancel(0, [name])


async def test_who_reads_too_late_is_told_how_many_were_dropped(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        names = [f"job-{n}" for n in range(2_300)]
        await cancelled(b, names[:5])
        start = await b.queue.now()
        await cancelled(b, names[5:])
        ids, missed, after = await read_on(b, start)
        kept: int = await b.redis.xlen(b.queue._key(0, "events"))
        assert (ids, missed) == (names[-kept:], [2_300 - 5 - kept])
        assert after == await b.queue.now()
        await cancelled(b, ["late"])
        assert (await read_on(b, after))[:2] == (["late"], [])


async def test_who_comes_back_after_a_flush_is_told_that_nobody_knows_what_was_missed(
    valkey_url: str,
) -> None:
    async with bench(valkey_url) as b:
        await cancelled(b, ["one", "two"])
        after = await b.queue.now()
        await b.redis.delete(b.queue._key(0, "events"))
        found = await b.queue.events({0: replace(after[0], behind=True)}, timedelta(milliseconds=1))
        assert (found.events, found.missed, found.after[0].behind) == ([], {}, True)
        await cancelled(b, ["new"])
        ids, missed, last = await read_on(b, found.after)
        assert (ids, missed, last) == (["new"], [None], await b.queue.now())


async def test_events_need_a_connection_to_wait_on(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        queue = Queue(b.redis, SPEC, prefix="test")
        with pytest.raises(SettingsError, match="waiting"):
            await queue.events(START)
