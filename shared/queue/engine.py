"""What every part of a queue is built on: where its partitions are, and how a script of theirs is run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from redis.asyncio import Redis

from shared.jobs import QueueSpec
from shared.queue.keys import partition_of, tag
from shared.redis.scripts import Argument, load, run


class Engine:
    """A queue's place in Redis.

    `prefix` is the installation's, `partitions` the queue's for as long as it lives. `clock` gives the time
    in ms to tests; without it the server's is used. With a client `beside` the first, two settlements can be
    under way at once: the server works on one while this process is busy with the other.
    """

    def __init__(
        self,
        redis: Redis,
        spec: QueueSpec,
        *,
        prefix: str,
        partitions: int = 1,
        beside: Redis | None = None,
        waiting: Redis | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self.spec = spec
        self.partitions = partitions
        self._redis = redis
        self._idle = [redis] if beside is None else [beside, redis]
        self._waiting = waiting
        self._clock = clock
        self._tags = [tag(prefix, spec.name, partition) for partition in range(partitions)]

    @property
    def name(self) -> str:
        """The queue's name."""
        return self.spec.name

    def partition_of(self, tenant: str) -> int:
        """Where a tenant's jobs are."""
        return partition_of(tenant, self.partitions)

    def _key(self, partition: int, name: str) -> str:
        return self._tags[partition] + name

    def _now(self) -> int | str:
        return self._clock() if self._clock is not None else ""

    @contextmanager
    def _connection(self) -> Iterator[Redis]:
        """A client that nobody uses, else the first, whose connection its callers wait for in line."""
        if not self._idle:
            yield self._redis
            return
        client = self._idle.pop()
        try:
            yield client
        finally:
            self._idle.append(client)

    async def _run(
        self,
        script: str,
        partition: int,
        argv: Mapping[str, Argument] | None = None,
        rest: Sequence[Argument] = (),
        client: Redis | None = None,
    ) -> Any:
        keys = {"meta": self._key(partition, "meta")}
        named = {"now": self._now(), **(argv or {})}
        return await run(client or self._redis, load("queue", script), keys, named, rest)
