"""The documented limits over days, under a clock of our own."""

from datetime import timedelta

import pytest

from shared.limits.config import DEFAULTS, RateLimitConfig
from shared.queue.types import Claimed, ClaimedJob, Settlement, SubjectConfig, Verdict
from tests.integration.queue_state import T0, Bench, bench, job, limits
from tests.integration.test_limits_windows import most_in_any

DAY = timedelta(days=1) // timedelta(milliseconds=1)
SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}


def channel(name: str, config: RateLimitConfig) -> SubjectConfig:
    """The windows of every tenant and sender of a channel."""
    return limits(f"*/{name}", *((seconds, getattr(config, each)) for each, seconds in SECONDS.items()))


class Consumer:
    """Works off a backlog that never ends, and writes down when each job was charged."""

    def __init__(self, b: Bench, lanes: list[str]) -> None:
        self.b = b
        self.lanes = lanes
        self.starts: list[int] = []
        self.enqueued = 0
        self.held: tuple[ClaimedJob, ...] = ()

    async def claim(self, slots: int) -> Claimed:
        """End what was claimed last, and claim the next."""
        while self.enqueued - len(self.starts) < 500:
            first, self.enqueued = self.enqueued, self.enqueued + 100
            places = range(first, self.enqueued)
            await self.b.queue.enqueue([job(f"{n}", self.lanes[n % len(self.lanes)]) for n in places])
        ends = [Settlement(each, Verdict.COMPLETED) for each in self.held]
        _, claimed = await self.b.queue.settle(0, ends, slots)
        assert claimed is not None
        self.held = claimed.jobs
        self.starts += [claimed.now_ms] * len(claimed.jobs)
        return claimed


@pytest.mark.parametrize("name", ["email", "sms"])
async def test_the_documented_limits_are_reached_and_never_passed_over_days(
    valkey_url: str, name: str
) -> None:
    """A worker that follows `wake_ms`, for a tenant with two senders."""
    config, days = DEFAULTS[name], 3
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [channel(name, config)])
        consumer = Consumer(b, [f"a/{name}/s", f"a/{name}/t"])
        while b.clock.now < T0 + days * DAY:
            claimed = await consumer.claim(50)
            if len(claimed.jobs) < 50 and not claimed.more:
                assert claimed.wake_ms is not None
                b.clock.now = max(b.clock.now + 1, claimed.wake_ms)
        for each, seconds in SECONDS.items():
            assert most_in_any(consumer.starts, seconds * 1000) == getattr(config, each)
        assert len([at for at in consumer.starts if at < T0 + days * DAY]) >= 0.98 * config.day * days


async def test_a_consumer_barely_faster_than_a_days_limit_uses_nearly_all_of_it(valkey_url: str) -> None:
    """The hard case of a log of bins: 1.02 × N, what is refused is not asked for again."""
    limit, days = 2_000, 4
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("a/email", (86_400, limit))])
        consumer = Consumer(b, ["a/email/s"])
        for n in range(int(1.02 * limit * days)):
            b.clock.now = T0 + int(n * DAY / (1.02 * limit))
            await consumer.claim(1)
        assert most_in_any(consumer.starts, DAY) == limit
        assert len(consumer.starts) >= 0.98 * limit * days


@pytest.mark.parametrize("pause_ms", [20, 130])
async def test_bursts_beside_a_recent_charge_never_pass_a_limit_and_nearly_use_it_up(
    valkey_url: str, pause_ms: int
) -> None:
    """Three jobs at once, and three more soon: most charges only change the recent part."""
    windows, lengths = ((10.0, 100), (100.0, 700)), 8
    async with bench(valkey_url) as b:
        await b.queue.configure(0, [limits("*/email", *windows)])
        consumer, beside = Consumer(b, ["a/email/s"]), 0
        while b.clock.now < T0 + lengths * 100_000:
            claimed = await consumer.claim(3)
            if claimed.jobs:
                (first, last, _), _ = await b.stored("a/email")
                beside += first < last == b.clock.now
            if len(claimed.jobs) < 3 and not claimed.more:
                assert claimed.wake_ms is not None
                b.clock.now = max(b.clock.now + 1, claimed.wake_ms)
            else:
                b.clock.forward(milliseconds=pause_ms)
        for seconds, limit in windows:
            assert most_in_any(consumer.starts, int(seconds * 1000)) == limit
        used = len([at for at in consumer.starts if at < T0 + lengths * 100_000])
        assert used >= 0.98 * 700 * lengths
        assert beside > used / 3 / 2
