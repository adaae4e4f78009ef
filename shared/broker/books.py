"""What the worker tells of its jobs: figures, and a line for each that did not simply complete."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import structlog

from shared.broker.context import JobContext
from shared.errors import JobSignal
from shared.jobs import JobState
from shared.metrics import Metrics
from shared.queue.types import ClaimedJob, Seen, Settled, Settlement, Verdict

log = structlog.get_logger()

STALLED = "stalled"
OUTCOMES = (*(verdict.value for verdict in Verdict), Settled.LEASE_LOST.value, STALLED)
"""What the figures tell jobs apart by."""


class Books:
    """The figures and events of one queue's worker."""

    def __init__(self, queue: str, metrics: Metrics) -> None:
        self._queue = queue
        # All are there before the first of a kind, or Prometheus would see no increase in it.
        self._outcomes = {outcome: metrics.outcomes.labels(queue, outcome) for outcome in OUTCOMES}
        self._wait = metrics.wait.labels(queue)
        self._run = metrics.run.labels(queue)

    def claimed(self, job: ClaimedJob) -> None:
        """A job was leased to us."""
        self._wait.observe((job.claimed_ms - job.enqueued_ms) / 1000)

    def handled(self, context: JobContext) -> None:
        """Its handler ended, however."""
        self._run.observe(time.monotonic() - context.claimed_at)

    def raised(self, context: JobContext, error: Exception) -> None:
        """Its handler raised. The message stays with the job: it may hold what a log must not."""
        if not isinstance(error, JobSignal):
            log.warning(
                "job.raised",
                queue=self._queue,
                job_id=context.id,
                attempt=context.attempt,
                error=type(error).__name__,
                where=_where(error),
            )

    def settled(self, settlements: Sequence[Settlement], words: Sequence[Settled]) -> None:
        """Jobs were settled, or turned out not to be ours any more."""
        completed = 0
        for settlement, word in zip(settlements, words, strict=True):
            if word is Settled.OK and settlement.verdict is Verdict.COMPLETED:
                completed += 1
                continue
            outcome = settlement.verdict.value if word is Settled.OK else word.value
            self._outcomes[outcome].inc()
            log.info(
                "job.settled",
                queue=self._queue,
                job_id=settlement.job.id,
                attempt=settlement.job.attempt,
                outcome=outcome,
            )
        self._outcomes[Verdict.COMPLETED].inc(completed)

    def ended(self, jobs: Iterable[Seen]) -> None:
        """The engine ended jobs without giving them to a handler: stalled, expired, cancelled and stalled."""
        for seen in jobs:
            failed = seen.state is JobState.FAILED
            event = "job.failed" if failed else "job.cancelled"
            log.warning(event, queue=self._queue, job_id=seen.id, reason=seen.reason)
            outcome = Verdict.FAILED if failed else Verdict.CANCELLED
            self._outcomes[outcome].inc()

    def stalled(self, job_ids: Iterable[str]) -> None:
        """Leases ran out; the jobs wait again."""
        for job_id in job_ids:
            log.warning("job.stalled", queue=self._queue, job_id=job_id)
            self._outcomes[STALLED].inc()


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else ""
