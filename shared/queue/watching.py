"""What happens in a queue, as it happens: a bounded stream a partition, an entry a script call, none a job.

Nobody need read it, and who reads too late misses what was dropped: it is for eyes, not for bookkeeping.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from shared.errors import SettingsError
from shared.queue.codec import milliseconds
from shared.queue.engine import Engine

_LONGEST = timedelta(seconds=1)


class Happened(StrEnum):
    """What happened to jobs. `REQUEUED` by hand, after they failed; `CANCELLING` while a worker has them."""

    COMPLETED = "completed"
    FAILED = "failed"
    RETRIED = "retried"
    RELEASED = "released"
    DEFERRED = "deferred"
    STALLED = "stalled"
    CANCELLED = "cancelled"
    CANCELLING = "cancelling"
    REMOVED = "removed"
    REQUEUED = "requeued"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to some jobs of a partition in one call, by the server's clock; ids are not kept of those
    that simply completed.
    """

    partition: int
    at_ms: int
    what: Happened
    jobs: int
    ids: tuple[str, ...] = ()


class Watching(Engine):
    """Events, as they happen."""

    async def now(self) -> dict[int, str]:
        """Where each partition's stream ends: give it to `events` to read what comes after."""
        ends = {}
        for partition in range(self.partitions):
            last: Any = await self._redis.xrevrange(self._key(partition, "events"), count=1)
            ends[partition] = last[0][0].decode() if last else "0"
        return ends

    async def events(
        self, after: Mapping[int, str], timeout: timedelta = _LONGEST, limit: int = 100
    ) -> tuple[list[Event], dict[int, str]]:
        """What happened in the partitions of `after` since then, and where to read on.

        Waits up to `timeout`, at most 1 s, on the connection for waiting, which `wait` must not use
        meanwhile. At most `limit` calls' events a partition.

        Raises:
            SettingsError: this queue was made without a client for waiting.
        """
        if self._waiting is None:
            raise SettingsError("Give Queue(waiting=...) a connection of its own to wait on.")
        keys = {self._key(partition, "events").encode(): partition for partition in after}
        block = max(1, milliseconds(min(timeout, _LONGEST)))  # 0 would wait for ever
        starts = {key: after[partition] for key, partition in keys.items()}
        found: Any = await self._waiting.xread(starts, count=limit, block=block)  # type: ignore[arg-type]  # redis-py's invariant dict
        events: list[Event] = []
        following = dict(after)
        for key, entries in found or ():
            for raw_id, fields in entries:
                following[keys[key]] = raw_id.decode()
                events += _events(keys[key], raw_id, fields)
        return sorted(events, key=lambda event: event.at_ms), following


def _events(partition: int, raw_id: bytes, fields: Mapping[bytes, bytes]) -> list[Event]:
    at_ms = int(raw_id.partition(b"-")[0])
    found = []
    for word, value in fields.items():
        what = Happened(word.decode())
        ids = () if what is Happened.COMPLETED else tuple(json.loads(value))
        found.append(Event(partition, at_ms, what, len(ids) or int(value), ids))
    return found
