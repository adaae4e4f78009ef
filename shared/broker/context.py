"""What a handler knows of its own job, and what it tells the receiver about it."""

import time
from collections import deque
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from shared.jobs import parse_job_id
from shared.queue.reporting import LONGEST_LINE, MOST_LINES, LogLine, packed_progress
from shared.queue.types import ClaimedJob


@dataclass(slots=True)
class Untold:
    """What a handler reported that is not written down yet: its progress, packed, and lines of its log."""

    progress: bytes = b""
    lines: deque[LogLine] = field(default_factory=lambda: deque(maxlen=MOST_LINES))


@dataclass(slots=True)
class JobContext:
    """A claimed job in work.

    `claimed_at` is this process's monotonic clock, in seconds, when the claim was *sent*: a charge is never
    older than `age()` says. `committed` is set by `commit()`. `requeued` says that the job was sent again
    while it ran; `error` is what Taskiq caught from its handler. `untold` is what the handler reported
    since that was last written down.
    """

    job: ClaimedJob
    claimed_at: float
    committed: bool = False
    requeued: bool = False
    error: BaseException | None = None
    untold: Untold | None = None

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.id

    @property
    def token(self) -> str:
        """The fencing token of this claim."""
        return self.job.token

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self.job.attempt

    @property
    def generation(self) -> int:
        """The generation of the row that the id points at; ValueError for an id of another form."""
        return parse_job_id(self.job.id)[2]

    def age(self) -> timedelta:
        """How long ago the claim was sent: its charge is no older."""
        return timedelta(seconds=time.monotonic() - self.claimed_at)

    def now_ms(self) -> int:
        """The server's clock now, as far as this process can tell: it was `claimed_ms` at the claim."""
        return self.job.claimed_ms + self.age() // timedelta(milliseconds=1)

    def progress(self, value: float | Mapping[str, Any]) -> None:
        """Say how far the job is: a number from 0 to 1, or a small object.

        Whoever looks at the job sees the last one, within about a second, and as long as the job is kept. The
        handler does not wait for it; of a job that was lost to another worker nothing is told.

        Raises:
            OutOfRange: it is neither; an object has at most 1,000 bytes as JSON.
        """
        packed = packed_progress(value)
        self.untold = self.untold or Untold()
        self.untold.progress = packed

    def log(self, line: str) -> None:
        """Say what happened, to whoever looks, as with `progress`: the last 50 lines, 500 bytes of each.

        Operators read it: no addresses, no secrets.
        """
        kept = str(line)[:LONGEST_LINE]  # an error, say: it must not come up when the job is settled
        self.untold = self.untold or Untold()
        self.untold.lines.append(LogLine(self.now_ms(), kept))

    def tell_again(self, untold: Untold) -> None:
        """Take back what could not be written down; what was reported since is newer."""
        newer = self.untold or Untold()
        lines = deque([*untold.lines, *newer.lines], MOST_LINES)
        self.untold = Untold(newer.progress or untold.progress, lines)

    def commit(self) -> None:
        """Pass the point of no return: neither a lost lease nor the job's timeout stops the handler any more.

        What follows must end by itself, as a provider call with its own timeout does.
        """
        self.committed = True


_current: ContextVar[JobContext] = ContextVar("job")


def current_job() -> JobContext:
    """The job that the calling handler works on; LookupError outside a handler.

    Serves as a Taskiq dependency too: `job: Annotated[JobContext, TaskiqDepends(current_job)]`.
    """
    return _current.get()


def working_on(job_id: str) -> JobContext | None:
    """The job of the calling handler, if it has this id."""
    context = _current.get(None)
    return context if context is not None and context.job.id == job_id else None


def enter(context: JobContext) -> None:
    """Make this the job of the running task."""
    _current.set(context)
