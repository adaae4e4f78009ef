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


@dataclass(frozen=True, slots=True)
class Place:
    """How far a partition's stream was read: its last entry, and how many it had had by then.

    `behind`: there may be more already, or the server was away, so that some may have been dropped unread.
    """

    entry: str
    told: int
    behind: bool = False


Places = Mapping[int, Place]


@dataclass(frozen=True, slots=True)
class Told:
    """What happened, in order of time; where to read on; and what was missed.

    `missed`: by partition, how many calls' events were dropped before they were read. None: the stream began
    anew, as after a flush, and nobody knows.
    """

    events: list[Event]
    after: Places
    missed: Mapping[int, int | None]


class Watching(Engine):
    """Events, as they happen."""

    async def now(self) -> Places:
        """Where each partition's stream ends: give it to `events` to read what comes after."""
        ends = {}
        for partition in range(self.partitions):
            added, last = await self._run("told", partition)
            ends[partition] = Place(last.decode(), added)
        return ends

    async def events(self, after: Places, timeout: timedelta = _LONGEST, limit: int = 100) -> Told:
        """What happened in the partitions of `after` since then.

        Waits up to `timeout`, at most 1 s, on the connection for waiting, which `wait` must not use
        meanwhile. At most `limit` calls' events a partition. What was missed is told once the end is reached.

        Raises:
            SettingsError: this queue was made without a client for waiting.
        """
        events: list[Event] = []
        following, missed = dict(after), dict[int, int | None]()
        for partition, entries in (await self._read(after, timeout, limit)).items():
            told, full = after[partition].told + len(entries), len(entries) == limit
            following[partition] = Place(entries[-1][0].decode(), told, full or after[partition].behind)
            events += [event for entry in entries for event in _events(partition, *entry)]
        for partition, place in following.items():
            if place.behind:
                following[partition], lost = await self._caught_up(partition, place)
                missed.update({partition: lost} if lost != 0 else {})
        return Told(sorted(events, key=lambda event: event.at_ms), following, missed)

    async def _read(self, after: Places, timeout: timedelta, limit: int) -> dict[int, list[Any]]:
        """New entries by partition."""
        if self._waiting is None:
            raise SettingsError("Give Queue(waiting=...) a connection of its own to wait on.")
        keys = {self._key(partition, "events").encode(): partition for partition in after}
        starts = {key: after[partition].entry for key, partition in keys.items()}
        block = max(1, milliseconds(min(timeout, _LONGEST)))  # 0 would wait for ever
        found: Any = await self._waiting.xread(starts, count=limit, block=block)  # type: ignore[arg-type]  # redis-py's invariant dict
        return {keys[key]: entries for key, entries in found or ()}

    async def _caught_up(self, partition: int, place: Place) -> tuple[Place, int | None]:
        """The place, no longer behind if it is the end; and how much was missed on the way there."""
        added, last = await self._run("told", partition)
        if last.decode() != place.entry:
            return place, 0
        return Place(place.entry, added), added - place.told if added >= place.told else None


def _events(partition: int, raw_id: bytes, fields: Mapping[bytes, bytes]) -> list[Event]:
    at_ms = int(raw_id.partition(b"-")[0])
    found = []
    for word, value in fields.items():
        what = Happened(word.decode())
        ids = () if what is Happened.COMPLETED else tuple(json.loads(value))
        found.append(Event(partition, at_ms, what, len(ids) or int(value), ids))
    return found
