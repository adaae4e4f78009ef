"""The overview: the queues at a glance, and what needs attention."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from services.admin.attention import State, attention
from services.admin.charts import Chart, chart
from services.admin.queues import QueueView
from services.admin.watch import View, Watch
from shared.redis.presence import Present
from shared.store.looking import Glance

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Card:
    """One queue on the page."""

    queue: QueueView
    workers: int | None
    throughput: Chart
    waits: Chart


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything the page shows. `cards` None: the queues were never seen since the start."""

    cards: list[Card] | None
    workers: list[Present] | None
    glance: Glance | None
    attention: list[str]
    away: dict[str, timedelta]


@dataclass(frozen=True, slots=True)
class Watches:
    """What is looked at."""

    queues: Watch[list[QueueView]]
    workers: Watch[list[Present] | None]
    rows: Watch[Glance]
    partitions: int

    def overview(self) -> Overview:
        """How everything stands, as it was last seen: asks nobody."""
        queues, workers, rows = self.queues.view, self.workers.view, self.rows.view
        away = _away(queues, "Redis") | _away(rows, "Postgres")
        state = State(queues.seen, workers.seen, rows.seen, away, self.partitions)
        cards = [_card(queue, workers.seen) for queue in queues.seen] if queues.seen is not None else None
        return Overview(cards, workers.seen, rows.seen, attention(state), away)


def _away(view: View[T], server: str) -> dict[str, timedelta]:
    return {server: view.away_for} if view.away_for is not None else {}


def _card(queue: QueueView, workers: list[Present] | None) -> Card:
    samples = queue.samples
    return Card(
        queue,
        None if workers is None else sum(worker.queue == queue.name for worker in workers),
        chart([each.ended for each in samples], "Jobs ended", "a second"),
        chart([each.wait.total_seconds() for each in samples], "Wait of the next in line", "s"),
    )
