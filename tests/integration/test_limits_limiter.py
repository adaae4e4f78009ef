"""RateLimiter: the windows outside of a queue."""

from datetime import timedelta

import pytest

from shared.limits.limiter import Decision, RateLimiter
from tests.integration.queue_state import T0, bench

MINUTE = timedelta(minutes=1)


async def test_a_check_is_charged_while_there_is_room_and_a_refused_one_costs_nothing(
    valkey_url: str,
) -> None:
    async with bench(valkey_url) as b:
        limiter = RateLimiter(b.redis, prefix="test", clock=b.clock)
        assert await limiter.check("k", 3, MINUTE) == Decision(True, 2, T0 + 60_000)
        b.clock.forward(seconds=10)
        assert await limiter.check("k", 3, MINUTE, cost=2) == Decision(True, 0, T0 + 60_000)
        for cost, reset in ((1, T0 + 60_000), (2, T0 + 70_000), (4, T0 + 70_000)):
            before = await b.redis.get("test:limit:60000:k")
            found = await limiter.check("k", 3, MINUTE, cost=cost)
            assert (found.allowed, found.remaining, found.reset_at_ms) == (
                False,
                0,
                reset if cost < 4 else T0 + 70_000,
            )
            assert await b.redis.get("test:limit:60000:k") == before
        assert (await limiter.check("other", 3, MINUTE)).allowed
        b.clock.now = T0 + 60_000
        assert await limiter.check("k", 3, MINUTE) == Decision(True, 0, T0 + 70_000)


async def test_a_key_that_says_nothing_any_more_is_gone_by_itself(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await RateLimiter(b.redis, prefix="test").check("k", 3, MINUTE)
        assert 60_000 < await b.redis.pttl("test:limit:60000:k") <= 120_000


async def test_the_servers_clock_may_step_back(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        limiter = RateLimiter(b.redis, prefix="test", clock=b.clock)
        await limiter.check("k", 2, MINUTE)
        b.clock.forward(seconds=-30)
        await limiter.check("k", 2, MINUTE)
        b.clock.now = T0 + 59_999
        assert not (await limiter.check("k", 2, MINUTE)).allowed
        b.clock.now = T0 + 60_000
        assert (await limiter.check("k", 2, MINUTE)).allowed


async def test_a_key_may_have_several_windows_and_each_knows_all_its_charges(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        limiter = RateLimiter(b.redis, prefix="test", clock=b.clock)
        windows = ((4, MINUTE), (6, 60 * MINUTE), (9, timedelta(days=49)))
        allowed = []
        for _ in range(12):
            allowed.append([(await limiter.check("k", *window)).allowed for window in windows])
        assert [sum(column) for column in zip(*allowed, strict=True)] == [4, 6, 9]


@pytest.mark.parametrize(
    ("limit", "length", "cost"),
    [(-1, 60, 1), (1, 60, -1), (1, 0.05, 1), (1, 60 * 86_400, 1), (1 << 32, 60, 1)],
)
async def test_nonsense_is_refused(valkey_url: str, limit: int, length: float, cost: int) -> None:
    async with bench(valkey_url) as b:
        with pytest.raises(ValueError, match="at least"):
            await RateLimiter(b.redis, prefix="test").check("k", limit, timedelta(seconds=length), cost)
