"""Openings: epochs fence, windows are replaced, and what was before is lost."""

import pytest

from shared.errors import OpeningSuperseded
from shared.queue.types import (
    Charge,
    ClaimStatus,
    Settled,
    Settlement,
    Slot,
    SubjectConfig,
    Verdict,
)
from tests.integration.queue_state import T0, Bench, bench, changed, job, limits


async def reopen(b: Bench, epoch: int, *configs: SubjectConfig, charges: tuple[Charge, ...] = ()) -> None:
    await b.queue.begin_opening(0, epoch)
    await b.queue.seed_configs(0, epoch, configs)
    await b.queue.seed_charges(0, epoch, charges)
    await b.queue.open(0, epoch)


async def test_a_beginning_closes_and_drops_what_it_will_seed(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", (60, 5)), SubjectConfig("", paused=True)])
        await b.queue.resume(0)
        await b.queue.enqueue([job("one"), job("two")])
        await b.queue.claim(0, 1)
        before = await b.state()
        await b.queue.begin_opening(0, 7)
        assert changed(before, await b.state()) == {
            "config": None,
            "meta": before["meta"] | {"epoch": 7, "open": False, "rules": False},
            "windows:18000": None,
        }
        assert (await b.queue.claim(0, 1)).status is ClaimStatus.CLOSED


async def test_a_token_from_before_an_opening_holds_nothing(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a", (60, 5))])
        await b.queue.enqueue([job("one")])
        (old,) = (await b.queue.claim(0, 1)).jobs
        for _ in range(2):
            await b.queue.begin_opening(0, 2)
            before = await b.state()
            for verdict in Verdict:
                words, _ = await b.queue.settle(0, [Settlement(old, verdict, at_ms=T0, refund=True)])
                assert words == [Settled.LEASE_LOST]
            assert await b.queue.extend(0, [old]) == (["one"], [])
            assert await b.state() == before
        await b.queue.open(0, 2)
        assert (await b.queue.settle(0, [Settlement(old, Verdict.COMPLETED)]))[0] == [Settled.LEASE_LOST]
        b.clock.forward(seconds=30)
        await b.queue.reap(0)
        (new,) = (await b.queue.claim(0, 1)).jobs
        assert new.token.startswith("2-") and new.token != old.token


async def test_a_token_from_before_a_flush_holds_nothing_although_numbers_begin_again(
    valkey_url: str,
) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one")])
        (old,) = (await b.queue.claim(0, 1)).jobs
        await b.redis.flushall()
        assert (await b.queue.claim(0, 1)).status is ClaimStatus.CLOSED
        await reopen(b, 2)
        await b.queue.enqueue([job("one")])
        (new,) = (await b.queue.claim(0, 1)).jobs
        assert (old.token, new.token) == ("1-1", "2-1")
        assert (await b.queue.settle(0, [Settlement(old, Verdict.COMPLETED)]))[0] == [Settled.LEASE_LOST]
        assert (await b.queue.settle(0, [Settlement(new, Verdict.COMPLETED)]))[0] == [Settled.OK]


async def test_windows_are_replaced_by_the_charges_that_are_seeded(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        rules = limits("*/email", (60, 3), (3600, 9))
        await b.queue.configure(0, [rules])
        await b.queue.enqueue([job(f"job-{n}", "a/email/s") for n in range(9)])
        await b.queue.claim(0, 3)
        past = (Charge("a/email", T0 - 3_000_000, 2), Charge("a/email", T0 - 20_000, 1))
        past += (Charge("a/email/s", T0 - 20_000, 1), Charge("a/email", T0 - 3_600_000, 5))
        await reopen(b, 2, rules, charges=tuple(sorted(past, key=lambda each: each.charged_ms)))
        assert (await b.state())["windows:18000"] == {
            "a/email": {60_000: [(T0 - 20_000, 1)], 3_600_000: [(T0 - 3_000_000, 2), (T0 - 20_000, 1)]},
            "a/email/s": {60_000: [(T0 - 20_000, 1)], 3_600_000: [(T0 - 20_000, 1)]},
        }
        assert len((await b.queue.claim(0, 9)).jobs) == 2


async def test_a_flush_at_a_full_window_admits_no_more(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        rules = limits("*/email", (60, 5))
        await b.queue.configure(0, [rules])
        await b.queue.enqueue([job(f"job-{n}", "a/email/s") for n in range(9)])
        assert len((await b.queue.claim(0, 9)).jobs) == 5
        await b.redis.flushall()
        charges = tuple(Charge(subject, T0, 1) for _ in range(5) for subject in ("a/email", "a/email/s"))
        await reopen(b, 2, rules, charges=charges)
        await b.queue.enqueue([job(f"job-{n}", "a/email/s") for n in range(9)])
        refused = await b.queue.claim(0, 9)
        assert (refused.jobs, refused.wake_ms) == ((), T0 + 60_000)
        b.clock.forward(minutes=1)
        assert len((await b.queue.claim(0, 9)).jobs) == 5


async def test_a_pause_is_seeded_and_holds_when_the_partition_opens(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one", "a"), job("two", "b")])
        await reopen(b, 2, SubjectConfig("a", paused=True))
        assert [each.id for each in (await b.queue.claim(0, 9)).jobs] == ["two"]
        await reopen(b, 3, SubjectConfig("", paused=True))
        assert (await b.queue.claim(0, 9)).status is ClaimStatus.PAUSED


async def test_what_runs_elsewhere_counts_under_its_cap_until_it_ends_by_itself(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job(f"job-{n}", "a/email/s") for n in range(3)])
        await b.queue.begin_opening(0, 2)
        await b.queue.seed_configs(0, 2, [SubjectConfig("a/email", cap=1)])
        await b.queue.seed_slots(0, 2, [Slot("a/email", "row", T0 + 9_000)])
        await b.queue.open(0, 2)
        refused = await b.queue.claim(0, 9)
        assert (refused.jobs, refused.wake_ms) == ((), T0 + 9_000)
        b.clock.forward(seconds=9)
        assert len((await b.queue.claim(0, 9)).jobs) == 1


async def test_only_the_opening_that_holds_the_partition_writes(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.begin_opening(0, 2)
        await b.queue.begin_opening(0, 2)  # again, since its answer may have been lost
        await b.queue.begin_opening(0, 3)
        before = await b.state()
        for step in (
            lambda: b.queue.begin_opening(0, 2),
            lambda: b.queue.seed_configs(0, 2, [SubjectConfig("a", weight=2)]),
            lambda: b.queue.seed_charges(0, 2, [Charge("a", T0, 1)]),
            lambda: b.queue.seed_slots(0, 2, [Slot("a", "x", T0 + 1)]),
            lambda: b.queue.open(0, 2),
        ):
            with pytest.raises(OpeningSuperseded):
                await step()
        assert await b.state() == before
        await b.queue.open(0, 3)
        with pytest.raises(OpeningSuperseded):
            await b.queue.begin_opening(0, 3)


async def test_a_flush_or_another_server_run_between_two_steps_supersedes(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.begin_opening(0, 2)
        await b.redis.flushall()
        with pytest.raises(OpeningSuperseded):
            await b.queue.seed_configs(0, 2, [SubjectConfig("a", weight=2)])
        assert await b.state() == {}
        await b.queue.begin_opening(0, 3)
        await b.redis.hset(b.queue._key(0, "meta"), "opening", "another run")
        with pytest.raises(OpeningSuperseded):
            await b.queue.open(0, 3)


async def test_a_plain_queue_opens_by_itself_once_and_its_tokens_never_come_again(valkey_url: str) -> None:
    async with bench(valkey_url, opened=False) as b:
        tokens = []
        for _ in range(2):
            await b.queue.open_plain(0)
            before = await b.state()
            await b.queue.open_plain(0)
            assert await b.state() == before
            await b.queue.enqueue([job("one")])
            tokens += [each.token for each in (await b.queue.claim(0, 1)).jobs]
            b.clock.forward(milliseconds=1)
            await b.redis.flushall()
        assert len(set(tokens)) == 2


async def test_an_opened_partition_wakes_a_worker(valkey_url: str) -> None:
    async with bench(valkey_url, opened=False) as b:
        await b.queue.begin_opening(0, 1)
        await b.queue.open(0, 1)
        assert await b.queue.wait([0]) == 0
