"""Presence: a worker says now and then that it works, and how long a job takes it."""

import os
import socket
from uuid import uuid4

from shared.loop import Loop
from shared.metrics import Metrics
from shared.queue.queue import Queue
from shared.queue.standing import BEAT


def presence(queue: Queue, slots: int, metrics: Metrics) -> Loop:
    """The loop that does it, every 5 s. What a job takes is the average since the beat before."""
    # A pod's host name is its own. Where pods share their host's, each may have the same number in it.
    process = f"{socket.gethostname()}.{os.getpid()}.{uuid4().hex[:4]}"
    length = _Length(queue.name, metrics)

    async def step() -> None:
        await queue.beat(process, slots, length.lately())

    return Loop("worker.presence", step, every=BEAT)


class _Length:
    """The average run time of jobs, from what the histogram gained since it was last asked."""

    def __init__(self, queue: str, metrics: Metrics) -> None:
        self._run = metrics.run.labels(queue)
        self._seconds = self._times = self._average = 0.0

    def lately(self) -> float:
        """Seconds a job; 0: none ended yet."""
        seconds, times = self._totals()
        if times > self._times:
            self._average = (seconds - self._seconds) / (times - self._times)
        self._seconds, self._times = seconds, times
        return self._average

    def _totals(self) -> tuple[float, float]:
        samples = {sample.name: sample.value for family in self._run.collect() for sample in family.samples}
        return samples["outreach_job_run_seconds_sum"], samples["outreach_job_run_seconds_count"]
