"""How a handler's return or error ends its job."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from taskiq.exceptions import NoResultError, TaskRejectedError

from shared.broker.context import JobContext
from shared.errors import Defer, RateLimited, StoreUnavailable, Unrecoverable
from shared.jobs import QueueSpec
from shared.providers.fields import text
from shared.queue.checks import LAST_MS
from shared.queue.types import ClaimedJob, Settlement, Verdict

_LONGEST_REASON = 500
_AWAY = timedelta(seconds=1)  # until a job asks for Postgres again


@dataclass(frozen=True, slots=True)
class Ended:
    """What a handler returns to say exactly how its job ends; any other value means completed.

    `at` is when a deferred job runs again. `refund` gives the charge back or keeps it (None: as the verdict
    says). `close` is `(subject, until)`: the subject admits nothing until then. To retry, raise.
    """

    verdict: Verdict
    reason: str = ""
    at: datetime | None = None
    refund: bool | None = None
    close: tuple[str, datetime] | None = None


def returned(context: JobContext, value: object) -> Settlement:
    """The end of a job whose handler returned."""
    job = context.job
    if not isinstance(value, Ended):
        return Settlement(job, Verdict.COMPLETED)
    return Settlement(
        job,
        value.verdict,
        at_ms=_ms(value.at) if value.at else 0,
        reason=_readable(value.reason),
        refund=value.refund,
        close=(value.close[0], _ms(value.close[1])) if value.close else None,
    )


def raised(context: JobContext, error: BaseException, spec: QueueSpec) -> Settlement:
    """The end of a job whose handler raised.

    Unrecoverable and a Taskiq rejection fail it. RateLimited, Defer and a store that is away keep it without
    using an attempt. Taskiq's NoResultError completes it; anything else is a failed attempt.
    """
    job, reason = context.job, describe(error)
    match error:
        case Unrecoverable() | TaskRejectedError():
            return Settlement(job, Verdict.FAILED, reason=reason)
        case RateLimited():
            # Kept, not given back: whoever said "limited" was asked, and counts the question.
            close = (_subject(job.lane, error.scope), _ms(error.until))
            return Settlement(job, Verdict.RELEASED, reason=reason, refund=False, close=close)
        case Defer():
            return Settlement(job, Verdict.DEFERRED, at_ms=_ms(error.until), reason=reason)
        case StoreUnavailable():
            # However long Postgres is away, it is no job's fault.
            at_ms = context.now_ms() + _AWAY // timedelta(milliseconds=1)
            return Settlement(job, Verdict.DEFERRED, at_ms=at_ms, reason=reason)
        case NoResultError() if context.requeued:
            # Taskiq's Context.requeue: to the end of the lane.
            return Settlement(job, Verdict.DEFERRED, at_ms=context.now_ms())
        case NoResultError():
            return Settlement(job, Verdict.COMPLETED)
        case _:
            return _failed_attempt(context, reason, spec)


def released(context: JobContext) -> Settlement:
    """Back to the head of its lane: no attempt used, the charge given back."""
    return Settlement(context.job, Verdict.RELEASED)


def describe(error: BaseException) -> str:
    """An error as a reason: its type and message, within bounds."""
    try:
        message = str(error)
    except Exception:  # errors are of any make, and one that cannot say what it is ends its job all the same
        message = "it has no message that can be read"
    return _readable(f"{type(error).__name__}: {message}")


def _readable(reason: str) -> str:
    """What Redis and Postgres can keep: one reason that they refuse would hold up all that travel with it."""
    return text(reason, _LONGEST_REASON) or ""


def _failed_attempt(context: JobContext, reason: str, spec: QueueSpec) -> Settlement:
    job = context.job
    if job.attempt >= job.max_attempts:
        return Settlement(job, Verdict.FAILED, reason=reason)
    at_ms = context.now_ms() + _backoff(job, spec) // timedelta(milliseconds=1)
    return Settlement(job, Verdict.RETRY, at_ms=at_ms, reason=reason)


def _backoff(job: ClaimedJob, spec: QueueSpec) -> timedelta:
    """Full jitter under a ceiling that doubles with each attempt.

    (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.)
    """
    ceiling = min(spec.backoff_cap, spec.backoff * (1 << min(job.attempt - 1, 32)))
    return ceiling * random.random()


def _subject(lane: str, scope: str) -> str:
    return lane if scope == "sender" else "/".join(lane.split("/")[:2])


def _ms(moment: datetime) -> int:
    """A time in ms, within what the engine can hold; a time past is now."""
    return max(0, min(int(moment.timestamp() * 1000), LAST_MS))
