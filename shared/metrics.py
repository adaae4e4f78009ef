"""Metrics: every name in one place, with bounded labels (queue, state, outcome, scope, answer), never an id.

A process makes one `Metrics` and passes it on; there is no global registry, so two applications in one
process, or two tests, do not see each other's figures.

What concerns whole queues and tables is measured by dispatch, at its own pace and not by who scrapes; every
replica of it says the same, so queries take `max by (queue)`, never `sum`. What cannot be measured, because
a server is away, is not shown.
"""

import math
from functools import partial
from typing import Self

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_LONG = (*_SECONDS, 7200, 21600, 86400)


class Metrics:
    """What a process measures, and the registry it is read from."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._gauge = partial(Gauge, registry=self.registry)
        self._counter = partial(Counter, registry=self.registry)
        self._of_jobs()
        self._of_queues()
        self._of_rows()
        self._of_webhooks()

    @classmethod
    def create(cls) -> Self:
        """Metrics of their own registry, beside those of the process itself (CPU, memory, descriptors)."""
        metrics = cls()
        ProcessCollector(registry=metrics.registry)
        PlatformCollector(registry=metrics.registry)
        return metrics

    def _of_jobs(self) -> None:
        """What a worker counts."""
        histogram = partial(Histogram, registry=self.registry)
        self.outcomes = self._counter(
            "outreach_jobs",
            "Claimed jobs by how they ended; stalled: a lease ran out.",
            ["queue", "outcome"],
        )
        self.wait = histogram(
            "outreach_job_wait_seconds",
            "From enqueued to claimed, delays and retries included.",
            ["queue"],
            buckets=_LONG,
        )
        self.run = histogram(
            "outreach_job_run_seconds", "From claimed to handled.", ["queue"], buckets=_SECONDS
        )
        self.sends = self._counter(
            "outreach_sends",
            "Sends that were begun, by what came of it and what the row then is; pending: tried again.",
            ["outcome", "status"],
        )
        self.watermark_expired = self._counter(
            "outreach_timeouts_watermark_expired",
            "Timeouts that fired although deliveries of their time were not processed.",
        )

    def _of_queues(self) -> None:
        """What dispatch measures in Redis."""
        gauge, of_queue = self._gauge, ["queue"]
        self.depth = gauge("outreach_queue_depth", "Jobs in a queue.", ["queue", "state"])
        self.runnable = gauge(
            "outreach_queue_runnable",
            "Jobs that no limit, pause or closure holds back; a lane whose limit freed unseen counts as one.",
            of_queue,
        )
        self.oldest = gauge(
            "outreach_queue_oldest_runnable_seconds",
            "How long the longest waiting of those next in line has been in the queue; 0: none is.",
            of_queue,
        )
        self.parked = gauge(
            "outreach_queue_parked",
            "Lanes that wait for a limit of their own, and limits that several lanes wait for.",
            of_queue,
        )
        self.workers = gauge("outreach_workers", "Worker processes seen in the last 15 s.", of_queue)
        self.slots = gauge("outreach_worker_slots", "Jobs that the workers seen can run at once.", of_queue)
        self.desired_workers = gauge(
            "outreach_desired_workers", "Worker processes that the work in sight is worth.", of_queue
        )
        self.refusals = self._counter(
            "outreach_limit_refusals", "Jobs left waiting by a rate limit or a cap.", ["queue", "scope"]
        )
        self.server_up = gauge(
            "outreach_server_up", "Whether dispatch could measure there: 1 or 0.", ["server"]
        )

    def _of_rows(self) -> None:
        """What dispatch measures in Postgres."""
        gauge = self._gauge
        self.unknown = gauge("outreach_sends_unknown", "Sends whose outcome nobody knows yet.")
        self.unknown.set(math.nan)  # who does not count them must not say that there are none
        self.overdue = gauge(
            "outreach_actions_overdue",
            "Rows due for a minute that nothing holds back and dispatch did not take (10,000 at most).",
            ["kind"],
        )
        self.overdue_seconds = gauge(
            "outreach_actions_overdue_seconds", "For how long the first of them has been due.", ["kind"]
        )
        self.unprocessed = gauge(
            "outreach_deliveries_unprocessed", "Stored posts by state (10,000 at most).", ["state"]
        )
        self.unprocessed_seconds = gauge(
            "outreach_deliveries_unprocessed_seconds", "How long ago the first of them came.", ["state"]
        )
        self.senders_closed = gauge(
            "outreach_senders_closed", "Senders that admit nothing now, by reason.", ["reason"]
        )
        self.partitions_ahead = gauge(
            "outreach_table_partitions_ahead",
            "For how many days after today a table has its partition.",
            ["table"],
        )

    def _of_webhooks(self) -> None:
        """What a gateway counts."""
        self.posts = self._counter(
            "outreach_webhook_posts", "Webhook posts by answer.", ["provider", "answer"]
        )
        self.unannounced = self._counter(
            "outreach_webhook_unannounced",
            "Stored posts that the queue was not told of; the sweeper finds them.",
        )
