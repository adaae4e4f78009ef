"""The rows of the engine's table, what each aims at, and what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

Samples = Mapping[str, Sequence[float]]
"""What a scenario measured: a figure for each round, by the name of its row."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a row should be: a bound on the figure, or on its ratio to the peer's."""

    bound: Literal["<=", ">="]
    value: float
    of_peer: bool = False

    def met(self, figure: float, peer: float | None) -> bool | None:
        """Whether a figure keeps to it; None: there is no peer to tell by."""
        if self.of_peer:
            if not peer:
                return None
            figure /= peer
        return figure <= self.value if self.bound == "<=" else figure >= self.value

    def __str__(self) -> str:
        return f"{'≤' if self.bound == '<=' else '≥'} {self.value:g}{' × peer' if self.of_peer else ''}"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table; `peer` is the name of the peer's figure for the same."""

    name: str
    what: str
    unit: str
    target: Target
    peer: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured of a row: a figure for each round."""

    row: Row
    figures: tuple[float, ...]

    @property
    def figure(self) -> float:
        """The median of the rounds."""
        return median(self.figures)

    def beside(self, peers: Mapping[str, float]) -> tuple[float | None, float | None, bool | None]:
        """The peer's figure, ours as a multiple of it, and whether the target is met; None: unknown."""
        peer = peers.get(self.row.peer or "")
        return peer, self.figure / peer if peer else None, self.row.target.met(self.figure, peer)

    def as_json(self, peers: Mapping[str, float]) -> dict[str, Any]:
        """The result for machines, beside the peer's figures by their names."""
        peer, ratio, met = self.beside(peers)
        return {
            "row": self.row.name,
            "what": self.row.what,
            "unit": self.row.unit,
            "figure": self.figure,
            "lowest": min(self.figures),
            "highest": max(self.figures),
            "rounds": len(self.figures),
            "peer": peer,
            "ratio": ratio,
            "target": str(self.row.target),
            "met": met,
        }


def at_most(value: float) -> Target:
    """The figure is no higher."""
    return Target("<=", value)


def at_least(value: float) -> Target:
    """The figure is no lower."""
    return Target(">=", value)


def times_peer(value: float) -> Target:
    """The figure is at least so many times the peer's."""
    return Target(">=", value, of_peer=True)


_SERVER = "server_cpu_us_per_job"
_BYTES = "bytes_per_waiting_job_with_41_character_id"
_CPU = "Redis CPU, enqueue to removal"

ROWS = (
    Row("drain_100", "drain, concurrency 100", "jobs/s", times_peer(2.5), "drain_100_per_s"),
    Row("drain_100_limits", "the same, six windows", "jobs/s", times_peer(1.8), "drain_100_per_s"),
    Row("drain_10", "drain, concurrency 10", "jobs/s", times_peer(1.5), "drain_10_per_s"),
    Row("redis_1_50", f"{_CPU}, 1 tenant, batches of 50", "µs/job", at_most(35), _SERVER),
    Row("redis_1_50_limits", "the same, six windows", "µs/job", at_most(45), _SERVER),
    Row("redis_1000_50", f"{_CPU}, 1,000 tenants, batches of 50", "µs/job", at_most(60), _SERVER),
    Row("redis_1000_50_limits", "the same, six windows", "µs/job", at_most(80), _SERVER),
    Row("redis_1000_10", f"{_CPU}, 1,000 tenants, batches of 10", "µs/job", at_most(65), _SERVER),
    Row("redis_1000_10_limits", "the same, six windows", "µs/job", at_most(90), _SERVER),
    Row("redis_1000_1", f"{_CPU}, 1,000 tenants, batches of 1", "µs/job", at_most(180), _SERVER),
    Row("redis_1000_1_limits", "the same, six windows", "µs/job", at_most(200), _SERVER),
    Row("worker_100", "worker CPU, concurrency 100", "µs/job", at_most(50), "worker_cpu_us_per_job_100"),
    Row("worker_10", "worker CPU, concurrency 10", "µs/job", at_most(90), "worker_cpu_us_per_job_10"),
    Row("enqueue_1", "enqueue, awaited one by one", "jobs/s", times_peer(1.0), "add_one_by_one_per_s"),
    Row("enqueue_50", "enqueue, 50 concurrent", "jobs/s", times_peer(1.5), "add_50_concurrent_per_s"),
    Row("enqueue_bulk", "enqueue, bulk", "jobs/s", times_peer(2.5), "add_bulk_per_s"),
    Row("bytes_100", "Redis memory per waiting job, lanes of 100", "B", at_most(420), _BYTES),
    Row("bytes_10", "the same, lanes of 10", "B", at_most(500), _BYTES),
    Row("bytes_2", "the same, lanes of 2", "B", at_most(750), _BYTES),
    Row("bytes_remembered", "Redis memory per remembered id", "B", at_most(32)),
    Row("latency_p50", "latency at 50 jobs/s, p50", "ms", at_most(1.5), "latency_p50_ms"),
    Row("latency_p99", "latency at 50 jobs/s, p99", "ms", at_most(5), "latency_p99_ms"),
    Row("lateness_p50", "delayed job, lateness p50", "ms", at_most(20), "delayed_lateness_p50_ms"),
    Row("lateness_p99", "delayed job, lateness p99", "ms", at_most(100), "delayed_lateness_p99_ms"),
    Row("deep", "cost at 1,000,000 waiting against 1,000", "×", at_most(1.3)),
    Row("deep_limits", "the same, six windows", "×", at_most(1.3)),
    Row("wide", "cost at 100,000 tenants against 1,000", "×", at_most(1.3)),
    Row("wide_limits", "the same, six windows", "×", at_most(1.3)),
    Row("script_enqueue", "longest enqueue of 100, CPU at depth", "ms", at_most(5)),
    Row("script_settle", "longest settle and claim of 50, CPU at depth", "ms", at_most(5)),
    Row("limits_over", "limits: most over N in any rolling window", "jobs", at_most(0)),
    Row("limits_used", "limits: share of N used", "%", at_least(98)),
    Row("limits_used_barely", "the same, consumer at 1.02 × N", "%", at_least(98)),
    Row("parking", "park and unpark, 2,000 limited tenants, against no limit", "×", at_most(2)),
    Row("fairness", "a quiet tenant's place behind 1,000,000 of another", "place", at_most(5)),
    Row("two_processes", "two processes, handlers of 5 ms, against one", "×", at_least(1.9)),
)
