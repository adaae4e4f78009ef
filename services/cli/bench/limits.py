"""How exact the limits are, and how much of them is used: under a clock of our own, against an exact log."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from services.cli.bench.load import Load, completed
from services.cli.bench.place import Place
from services.cli.bench.rows import Samples
from services.cli.bench.sizes import Sizes
from shared.limits.config import DEFAULTS
from shared.queue.types import Claimed, SubjectConfig, Window

T0 = 1_800_000_000_000
BATCH = 50
PACES = {1.02: 1, 1.5: 10, 5.0: 10}  # how many jobs a consumer asks for at once, by its pace
MS = timedelta(milliseconds=1)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass
class Clock:
    """The time that a queue sees, ms."""

    now: int = T0

    def __call__(self) -> int:
        """What it is."""
        return self.now


def email(*windows: Window) -> SubjectConfig:
    """Windows for every tenant and every sender of a channel."""
    return SubjectConfig("*/email", windows=windows)


def defaults() -> tuple[Window, Window, Window]:
    """The documented windows of email."""
    limit = DEFAULTS["email"]
    return Window(MINUTE, limit.minute), Window(HOUR, limit.hour), Window(DAY, limit.day)


@dataclass
class Trial:
    """A lane with a backlog, and when each of its jobs was charged, ms from the beginning."""

    load: Load
    clock: Clock
    charged: list[int] = field(default_factory=list)

    async def claim(self, slots: int) -> Claimed:
        """Claim and complete; what was charged is written down."""
        claimed = await self.load.queue.claim(0, slots)
        self.charged += [self.clock.now - T0] * len(claimed.jobs)
        if claimed.jobs:
            await self.load.queue.settle(0, completed(claimed.jobs))
        return claimed

    def over(self, window: Window) -> int:
        """By how many jobs the fullest rolling window exceeds its limit."""
        length = window.length // MS
        most = max(n - bisect_right(self.charged, at - length) for n, at in enumerate(self.charged, start=1))
        return max(0, most - window.limit)

    def used(self, window: Window, windows: int) -> float:
        """The share of the limit that was used in so many windows from the beginning, in percent."""
        return 100 * len(self.charged) / (window.limit * windows)


async def limits(place: Place, sizes: Sizes) -> Samples:
    """Jobs over N, and the share of N used: at three paces, and eagerly under the documented windows."""
    window = Window(MINUTE, sizes.limit)
    over, used = [], {}
    for pace, step in PACES.items():
        trial = await _begun(place, [window], int(sizes.limit * (sizes.windows + 2)))
        await _paced(trial, window, pace, step, sizes.windows)
        over.append(trial.over(window))
        used[pace] = trial.used(window, sizes.windows)
    nested = defaults()
    eager = await _begun(place, nested, nested[-1].limit * (sizes.days + 1))
    await _eager(eager, sizes.days)
    over += [eager.over(each) for each in nested]
    return {
        "limits_over": [max(over)],
        "limits_used": [min(used[1.5], used[5.0], eager.used(nested[-1], sizes.days))],
        "limits_used_barely": [used[1.02]],
    }


async def _begun(place: Place, windows: Sequence[Window], jobs: int) -> Trial:
    await place.empty()
    clock = Clock()
    load = Load(await place.queue("bench:limits", clock), 1)
    await load.queue.configure(0, [email(*windows)])
    await load.enqueue(jobs)
    return Trial(load, clock)


async def _paced(trial: Trial, window: Window, pace: float, step: int, windows: int) -> None:
    """Ask at a steady pace, in multiples of the limit; what is refused at a step is not asked for again."""
    gap_ms = window.length / MS * step / (pace * window.limit)
    for n in range(int(windows * (window.length / MS) / gap_ms)):
        trial.clock.now = T0 + int(n * gap_ms)
        await trial.claim(step)


async def _eager(trial: Trial, days: int) -> None:
    """Ask whenever there may be work, as a worker that follows `wake_ms` does."""
    end = T0 + days * (DAY // MS)
    while trial.clock.now < end:
        claimed = await trial.claim(BATCH)
        if len(claimed.jobs) < BATCH and not claimed.more:
            trial.clock.now = max(claimed.wake_ms or end, trial.clock.now + 1)
