"""Metrics: every name in one place, with bounded labels (queue, state, outcome, scope, answer), never an id.

A process makes one `Metrics` and passes it on; there is no global registry, so two applications in one
process, or two tests, do not see each other's figures.
"""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a process measures, and the registry it is read from."""

    registry: CollectorRegistry
    depth: Gauge
    outcomes: Counter
    wait: Histogram
    run: Histogram
    refusals: Counter
    unknown: Gauge
    posts: Counter
    unannounced: Counter
    watermark_expired: Counter

    @classmethod
    def create(cls) -> Self:
        """Metrics of their own registry, beside those of the process itself (CPU, memory, descriptors)."""
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        return cls(
            registry=registry,
            depth=Gauge("outreach_queue_depth", "Jobs in a queue.", ["queue", "state"], registry=registry),
            outcomes=Counter(
                "outreach_jobs", "Claimed jobs by how they ended.", ["queue", "outcome"], registry=registry
            ),
            wait=Histogram(
                "outreach_job_wait_seconds",
                "From enqueued to claimed, delays and retries included.",
                ["queue"],
                buckets=_LONG,
                registry=registry,
            ),
            run=Histogram(
                "outreach_job_run_seconds",
                "From claimed to handled.",
                ["queue"],
                buckets=_SECONDS,
                registry=registry,
            ),
            refusals=Counter(
                "outreach_limit_refusals",
                "Jobs left waiting by a rate limit or a cap.",
                ["queue", "scope"],
                registry=registry,
            ),
            unknown=Gauge(
                "outreach_sends_unknown", "Sends whose outcome nobody knows yet.", registry=registry
            ),
            posts=Counter(
                "outreach_webhook_posts",
                "Webhook posts by answer.",
                ["provider", "answer"],
                registry=registry,
            ),
            unannounced=Counter(
                "outreach_webhook_unannounced",
                "Stored posts that the queue was not told of; the sweeper finds them.",
                registry=registry,
            ),
            watermark_expired=Counter(
                "outreach_timeouts_watermark_expired",
                "Timeouts that fired although deliveries of their time were not processed.",
                registry=registry,
            ),
        )
