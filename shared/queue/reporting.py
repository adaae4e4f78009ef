"""What workers tell of their jobs while they have them: how far they are, and the last lines of a log.

Kept with the job and gone with it; bounded, so a talkative handler costs a known sum. It is for eyes: what
must not be lost is a row.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from shared.errors import OutOfRange
from shared.queue.engine import Engine
from shared.queue.types import ClaimedJob
from shared.redis.scripts import Argument

MOST_LINES = 50
"""Of log that are kept of a job, the last ones."""

LONGEST_LINE = 500
"""Bytes of a line that are kept."""

LONGEST_PROGRESS = 1000
"""Bytes that a progress may have as JSON."""

_AT_ONCE = 20  # 500 KiB at most
_PROGRESS = f"A progress is a number from 0 to 1, or an object of at most {LONGEST_PROGRESS:,} bytes as JSON."


class LogLine(NamedTuple):
    """What a handler said, and when, in ms of the server's clock as far as the worker can tell."""

    at_ms: int
    text: str


class Report(NamedTuple):
    """What is to be kept of a job: its progress, packed (empty: as it was), and lines to add to its log."""

    job: ClaimedJob
    progress: bytes = b""
    lines: Sequence[LogLine] = ()


class Reported(NamedTuple):
    """What was told of a job: its progress (None: nothing), and its log, the oldest line first."""

    progress: Any = None
    lines: tuple[LogLine, ...] = ()


class Reporting(Engine):
    """Reports, written by who holds a job and read by anybody."""

    async def report(self, partition: int, reports: Sequence[Report]) -> list[str]:
        """Keep what is told of claimed jobs, at most one report a job; the ids of those that were lost.

        Of a job that the caller holds no more nothing is kept.
        """
        lost: list[str] = []
        for at in range(0, len(reports), _AT_ONCE):
            rest = [each for report in reports[at : at + _AT_ONCE] for each in _packed(report)]
            lost += [
                each.decode() for each in await self._run("report", partition, {"lines": MOST_LINES}, rest)
            ]
        return lost

    async def reported(self, partition: int, job_id: str) -> Reported:
        """What was told of a job; nothing where there is no such job."""
        raw: Any = await self._redis.hget(self._key(partition, "reports"), job_id)
        return Reported() if raw is None else _unpacked(raw)


def packed_progress(value: Any) -> bytes:
    """A progress as it is stored.

    Raises:
        OutOfRange: it is neither a number from 0 to 1 nor a JSON object of at most 1,000 bytes.
    """
    try:
        packed = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise OutOfRange(_PROGRESS) from error
    fits = 0 <= value <= 1 if isinstance(value, int | float) else isinstance(value, dict)
    if not fits or len(packed) > LONGEST_PROGRESS:
        raise OutOfRange(_PROGRESS)
    return packed


def _packed(report: Report) -> tuple[Argument, ...]:
    epoch, _, seq = report.job.token.partition("-")
    lines = [(line.at_ms, line.text.encode(errors="replace")[:LONGEST_LINE]) for line in report.lines]
    log = b"".join(at.to_bytes(6) + len(text).to_bytes(2) + text for at, text in lines[-MOST_LINES:])
    return report.job.id, epoch, seq, report.progress, log


def _unpacked(raw: bytes) -> Reported:
    at = 2 + int.from_bytes(raw[:2])
    progress, lines = raw[2:at], []
    while at < len(raw):
        end = at + 8 + int.from_bytes(raw[at + 6 : at + 8])
        lines.append(LogLine(int.from_bytes(raw[at : at + 6]), raw[at + 8 : end].decode(errors="ignore")))
        at = end
    return Reported(json.loads(progress) if progress else None, tuple(lines))
