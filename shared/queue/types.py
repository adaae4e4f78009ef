"""What goes into the engine and what comes out of it.

What is made for every job is a named tuple: it costs less than half of a frozen dataclass.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from shared.jobs import JobState


class Enqueued(StrEnum):
    """What became of an enqueue."""

    CREATED = "created"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


class Verdict(StrEnum):
    """How a claimed job ends; only `RETRY` uses up an attempt and leaves the job alive.

    Released goes back to the head of its lane, deferred is delayed to a time, held and skipped complete
    (the row says why). A cancelled job completes too: its handler was stopped. Released, deferred, held,
    skipped and cancelled give their charge back.
    """

    COMPLETED = "completed"
    FAILED = "failed"
    RETRY = "retry"
    RELEASED = "released"
    DEFERRED = "deferred"
    HELD = "held"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class Settled(StrEnum):
    """What became of one settlement.

    `CANCELLED`: the job had been cancelled meanwhile, so it completed, reason `cancelled`, whatever was said.
    """

    OK = "ok"
    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"


class NewJob(NamedTuple):
    """A job to enqueue.

    `lane` is `tenant`, or `tenant/channel/sender`: then limits are charged to `tenant/channel` and to the
    whole lane. `payload` is canonical JSON and is compared when the id is known; `annotations` (labels, trace
    context) travel with the job and are not. A lower `priority` (0 to 3; None: the queue's) runs first in its
    lane. `expires_at_ms` is by the server's clock: a job not claimed by then fails, reason `expired`.
    """

    id: str
    lane: str
    payload: bytes
    annotations: bytes = b""
    priority: int | None = None
    cost: int = 1
    delay: timedelta = timedelta(0)
    expires_at_ms: int | None = None
    timeout: timedelta | None = None
    max_attempts: int | None = None
    version: int = 1

    @property
    def tenant(self) -> str:
        """The first part of the lane."""
        return self.lane.partition("/")[0]


class ClaimedJob(NamedTuple):
    """A job under a lease. `attempt` counts from 1; `token` fences every later word about the job."""

    id: str
    lane: str
    token: str
    attempt: int
    max_attempts: int
    payload: bytes
    annotations: bytes
    cost: int
    priority: int
    enqueued_ms: int
    claimed_ms: int
    timeout_ms: int


class Extended(NamedTuple):
    """Of the jobs that were to be held on to: whose lease was lost, and who is held and was cancelled."""

    lost: list[str]
    cancelled: list[str]


class Settlement(NamedTuple):
    """How one claimed job ends.

    It carries the job as it was claimed, since its id and payload are remembered at its end. `at_ms`, by the
    server's clock, is when a retry or a deferred job runs again. `refund` gives the charge back (None: as the
    verdict says). `close` is `(subject, until_ms)`: the subject admits nothing until then.
    """

    job: ClaimedJob
    verdict: Verdict
    at_ms: int = 0
    reason: str = ""
    result: bytes = b""
    refund: bool | None = None
    close: tuple[str, int] | None = None


class ClaimStatus(StrEnum):
    """Whether a claim could look for work at all."""

    OK = "ok"
    CLOSED = "closed"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Claimed:
    """The answer to a claim.

    `more`: the budget of work ran out before the search did, so call again at once. `wake_ms` is the server
    time at which the next delayed job or parked lane is due, if any, and `now_ms` the server time of the
    call. `doomed` are the jobs that this call ended without giving them to anybody, with the reason in
    `Seen`.
    """

    status: ClaimStatus
    jobs: tuple[ClaimedJob, ...] = ()
    more: bool = False
    wake_ms: int | None = None
    now_ms: int = 0
    doomed: tuple["Seen", ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` units of cost in any `length`."""

    length: timedelta
    limit: int


@dataclass(frozen=True, slots=True)
class SubjectConfig:
    """What is in force for a subject; it replaces what was.

    A subject is a tenant, a `tenant/channel`, a lane, `*/channel` (whose windows hold for every tenant and
    every sender of the channel without windows of their own), or `""`, the whole queue, of which only
    `paused` counts. `windows` None leaves the channel's defaults, () lifts them; `cap` is the most jobs that
    run at once; `weight` counts for tenants. `closed_until_ms` 0 is open; `paused` is a closure without an
    end.
    """

    subject: str
    windows: tuple[Window, ...] | None = None
    cap: int | None = None
    weight: int = 1
    paused: bool = False
    closed_until_ms: int = 0


@dataclass(frozen=True, slots=True)
class Charge:
    """An attempt recorded in Postgres, to seed windows from."""

    subject: str
    charged_ms: int
    cost: int


@dataclass(frozen=True, slots=True)
class Slot:
    """A job that runs outside the engine's sight, and ends by itself: it counts under its subject's cap."""

    subject: str
    id: str
    ends_ms: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Jobs by state."""

    delayed: int = 0
    waiting: int = 0
    active: int = 0
    completed: int = 0
    failed: int = 0

    @classmethod
    def total(cls, counts: Iterable["Counts"]) -> "Counts":
        """Of several partitions together."""
        return cls(*map(sum, zip(astuple(cls()), *map(astuple, counts), strict=True)))


@dataclass(frozen=True, slots=True)
class Measures:
    """How a partition stands, at `now_ms` of the server's clock.

    `parked`: lanes that wait for their own limit, and subjects that several lanes wait for. `due`: those of
    them, and delayed jobs, whose time has come; a claim looks at them, so they stay where no worker is.
    `oldest_ms`: when the longest waiting of the 20 tenants next in line was enqueued, or the first of what is
    due came due. `refusals` since Redis remembers, by
    scope: tenant, sender, cost (more than fits now), cap, closed.
    """

    counts: Counts
    parked: int
    due: int
    now_ms: int
    oldest_ms: int | None
    refusals: dict[str, int]


def longest_wait(measured: Iterable[Measures]) -> timedelta | None:
    """How long the longest waiting of those next in line of these partitions has waited; None: none waits."""
    waits = [max(each.now_ms - each.oldest_ms, 0) for each in measured if each.oldest_ms is not None]
    return timedelta(milliseconds=max(waits)) if waits else None


@dataclass(frozen=True, slots=True)
class Running:
    """How many of a tenant's jobs are active; `more`: at least, since not all active jobs were looked at."""

    count: int
    more: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """When the last jobs of a partition ended, in ms of the server's clock, the latest last."""

    now_ms: int
    completed: tuple[int, ...]
    failed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the engine knows of an id: `state` None means the id is absent. `reason` says why it ended so.

    `cancelling`: it is active, and however it ends, it never runs again.
    """

    id: str
    state: JobState | None
    reason: str = ""
    attempt: int = 0
    cancelling: bool = False
