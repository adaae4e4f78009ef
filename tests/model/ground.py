"""What every rule of the model test stands on: a queue on a real server, and its books."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from hypothesis.stateful import RuleBasedStateMachine
from redis.asyncio import Redis

from shared.queue.queue import Queue
from shared.queue.types import ClaimedJob
from shared.redis.client import connect
from shared.settings import RedisSettings
from tests.model.agreement import differences, shares, whole
from tests.model.books import Books
from tests.model.drafts import SPEC

T = TypeVar("T")


class Ground(RuleBasedStateMachine):
    """One queue of `partitions` partitions; subclasses name the server."""

    url: str
    partitions = 1

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 1_800_000_000_000
        self.redis: Redis = connect(RedisSettings(url=self.url), role="model")
        self.queue = Queue(
            self.redis, SPEC, prefix="model", partitions=self.partitions, clock=lambda: self.now
        )
        self.books = [Books() for _ in range(self.partitions)]
        self.old: list[tuple[int, ClaimedJob]] = []
        self.used: set[str] = set()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.redis.aclose())
        self.run(self.redis.connection_pool.disconnect())
        self.loop.close()

    def agrees(self, partition: int, got: Iterable[ClaimedJob] = (), *, full: bool = False) -> None:
        """Lanes, caps, windows and the fair queue are as the model says, after a claim got these jobs."""
        books = self.books[partition]
        now = self.server_now(partition)
        found = self.run(whole(self.redis, self.queue._key(partition, ""), now))
        served = Counter(job.lane.partition("/")[0] for job in got)
        wrong = [*shares(books, found, served, full=full), *differences(books, found, now)]
        assert wrong == [], "\n".join(wrong)

    def places(self, subject: str) -> list[int]:
        """Where a subject is in force: a channel's in every partition."""
        return list(range(self.partitions)) if subject.startswith("*") else [self.at(subject)[0]]

    def at(self, lane: str) -> tuple[int, Books]:
        partition = self.queue.partition_of(lane.partition("/")[0])
        return partition, self.books[partition]

    def core(self, partition: int) -> tuple[int, int] | None:
        """Epoch and latest time of the partition; None where it knows of none."""
        raw = self.run(self.redis.hget(self.queue._key(partition, "meta"), "core"))  # type: ignore[arg-type]  # redis-py's union
        if raw is None:
            return None
        epoch, last = int.from_bytes(raw[:6]), int.from_bytes(raw[12:18])
        return epoch, last

    def server_now(self, partition: int) -> int:
        """The engine's clock: ours, but never backwards."""
        books, core = self.books[partition], self.core(partition)
        if core is not None:
            assert core[1] >= books.last, "the clock ran backwards"
            books.last = core[1]
        return max(self.now, books.last)
