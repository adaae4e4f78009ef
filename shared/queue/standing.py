"""How a queue stands: who works, what they could do now, and what limits leave of it."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import NamedTuple

from shared.queue.codec import milliseconds
from shared.queue.engine import Engine
from shared.redis.scripts import Argument

BEAT = timedelta(seconds=5)
"""How often a worker says that it works."""

SILENT = 3 * BEAT
"""Who has not said so for longer does not work."""

_MOST_WORKERS = 1_000
_SUBJECTS_AT_ONCE = 100
TENANTS_AT_ONCE = 100
"""How many tenants of the line a page tells of."""


class WorkerSeen(NamedTuple):
    """A worker process: its name, how many jobs it runs at once, the seconds that one took it, when heard.

    `seconds` 0: it ran none yet. `ago` is how long ago it last said that it works.
    """

    process: str
    slots: int
    seconds: float
    ago: timedelta


class Line(NamedTuple):
    """Part of a partition's line: how many tenants it has in all; lanes, and how many jobs wait in each."""

    tenants: int
    lanes: list[tuple[str, int]]


class WindowUsed(NamedTuple):
    """A window in force: `used` of `limit`, the first of which leaves it at `frees_ms`; now where none is."""

    length: timedelta
    limit: int
    used: int
    frees_ms: int


class Usage(NamedTuple):
    """What is in force for a subject at `now_ms`, all times by the server's clock.

    `windows` are its own or its channel's, none where nothing limits it. `running` under `cap`, 0 where there
    is none. `closed_until_ms` 0 is open. `parked`: lanes wait for it, and are looked at again at `retry_ms`;
    None: when a job of it ends, or it is resumed.
    """

    subject: str
    now_ms: int
    windows: tuple[WindowUsed, ...] = ()
    cap: int | None = None
    running: int = 0
    paused: bool = False
    closed_until_ms: int = 0
    parked: bool = False
    retry_ms: int | None = None


class Standing(Engine):
    """Workers, runnable jobs, limits in use."""

    async def beat(self, process: str, slots: int, seconds: float) -> None:
        """Say that a worker process works, at what concurrency, and how long its jobs take."""
        length = round(seconds * 1_000_000)
        argv: dict[str, Argument] = {
            "worker": process,
            "slots": slots,
            "length": length,
            "silent": milliseconds(SILENT),
        }
        await self._run("beat", 0, argv)

    async def workers(self) -> list[WorkerSeen]:
        """The worker processes that said within 15 s that they work, by name; at most 1,000 of them.

        Each visits every partition. After a flush they are seen again with their next beat.
        """
        flat = await self._run("workers", 0, {"silent": milliseconds(SILENT), "limit": _MOST_WORKERS})
        return sorted(
            WorkerSeen(process.decode(), slots, length / 1_000_000, timedelta(milliseconds=ago))
            for process, ago, slots, length in zip(*[iter(flat)] * 4, strict=True)
        )

    async def runnable(self, partition: int) -> AsyncIterator[Line]:
        """The lanes that nothing holds back, 100 tenants at a time, those whose turn is next first.

        Ask for no more than is needed: each page is a script. Removed jobs count until the line has passed
        them; what joins or leaves the line meanwhile may be missed or counted twice.
        """
        first, tenants = 0, 1
        while first < tenants:
            argv: dict[str, Argument] = {"first": first, "tenants": TENANTS_AT_ONCE}
            tenants, *flat = await self._run("runnable", partition, argv)
            pairs = zip(*[iter(flat)] * 2, strict=True)
            yield Line(tenants, [(lane.decode(), count) for lane, count in pairs])
            first += TENANTS_AT_ONCE

    async def usage(self, partition: int, subjects: Sequence[str]) -> list[Usage]:
        """What is in force for each subject (tenant, `tenant/channel` or lane), and what of it is used."""
        found: list[Usage] = []
        for at in range(0, len(subjects), _SUBJECTS_AT_ONCE):
            batch = subjects[at : at + _SUBJECTS_AT_ONCE]
            now, *told = await self._run("usage", partition, rest=batch)
            found += [_usage(subject, now, *each) for subject, each in zip(batch, told, strict=True)]
        return found


def _usage(
    subject: str,
    now: int,
    paused: bytes,
    until: int,
    cap: int | bytes,
    running: int | bytes,
    parked: bytes,
    retry: int | bytes,
    flat: list[int],
) -> Usage:
    windows = tuple(
        WindowUsed(timedelta(milliseconds=length), limit, used, frees)
        for length, limit, used, frees in zip(*[iter(flat)] * 4, strict=True)
    )
    capped = int(cap) if cap != b"" else None
    return Usage(
        subject,
        now,
        windows,
        capped,
        int(running or 0),
        paused=bool(paused),
        closed_until_ms=until,
        parked=bool(parked),
        retry_ms=int(retry) if retry != b"" else None,
    )
