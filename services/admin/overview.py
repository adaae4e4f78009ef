"""The overview: the queues at a glance, and what needs attention."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from services.admin.attention import Notice, State, attention
from services.admin.charts import Chart, chart
from services.admin.queues import QueueView
from services.admin.watch import View, Watch
from shared.queue.standing import WorkerSeen
from shared.store.failing import Failing
from shared.store.looking import Glance, Paused

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Card:
    """One queue on the page."""

    queue: QueueView
    throughput: Chart
    waits: Chart


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything the page shows. `cards` None: the queues were never seen since the start.

    `workers`: each with its queue's name.
    """

    cards: list[Card] | None
    workers: list[tuple[str, WorkerSeen]]
    glance: Glance | None
    attention: list[Notice]
    away: dict[str, timedelta]
    pauses: dict[str, Paused]


@dataclass(frozen=True, slots=True)
class QueueNow:
    """How one queue stood last; None for what was never seen. `pauses`: of it ("") or of every queue."""

    card: Card | None
    pauses: dict[str, Paused]


@dataclass(frozen=True, slots=True)
class Watches:
    """What is looked at."""

    queues: Watch[list[QueueView]]
    rows: Watch[Glance]
    failing: Watch[list[Failing]]
    partitions: int

    def overview(self, shown: Callable[[str], str]) -> Overview:
        """How everything stands, as it was last seen: asks nobody. `shown` masks what people wrote."""
        queues, rows = self.queues.view, self.rows.view
        away = _away(queues, "Redis") | _away(rows, "Postgres")
        failing = self.failing.view.seen or ()
        state = State(queues.seen, rows.seen, away, self.partitions, failing, shown)
        cards = [_card(queue) for queue in queues.seen] if queues.seen is not None else None
        workers = [(queue.name, worker) for queue in queues.seen or () for worker in queue.workers]
        return Overview(cards, workers, rows.seen, attention(state), away, self._pauses())

    def queue(self, name: str) -> QueueNow:
        """How a queue stands, as it was last seen: asks nobody."""
        found = [queue for queue in self.queues.view.seen or () if queue.name == name]
        pauses = {of: pause for of, pause in self._pauses().items() if of in ("", name)}
        return QueueNow(_card(found[0]) if found else None, pauses)

    @property
    def rows_answer(self) -> bool:
        """Whether Postgres answered lately."""
        return self.rows.view.seen is not None and self.rows.view.away_for is None

    def _pauses(self) -> dict[str, Paused]:
        """What stands still for every tenant, by queue; "" is every queue."""
        paused = self.rows.view.seen.paused if self.rows.view.seen is not None else ()
        return {pause.queue or "": pause for pause in paused if pause.tenant is None}


def _away(view: View[T], server: str) -> dict[str, timedelta]:
    return {server: view.away_for} if view.away_for is not None else {}


def _card(queue: QueueView) -> Card:
    samples = queue.samples
    return Card(
        queue,
        chart([each.ended for each in samples], "Jobs ended", "a second"),
        chart([each.wait.total_seconds() for each in samples], "Wait of the next in line", "s"),
    )
