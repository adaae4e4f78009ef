"""What a handler knows of its own job, and what it tells the receiver about it."""

import time
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta

from shared.jobs import parse_job_id
from shared.queue.types import ClaimedJob


@dataclass(slots=True)
class JobContext:
    """A claimed job in work.

    `claimed_at` is this process's monotonic clock, in seconds, when the claim was *sent*: a charge is never
    older than `age()` says. `committed` is set by `commit()`. `requeued` says that the job was sent again
    while it ran; `error` is what Taskiq caught from its handler.
    """

    job: ClaimedJob
    claimed_at: float
    committed: bool = False
    requeued: bool = False
    error: BaseException | None = None

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
