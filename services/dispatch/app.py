"""Dispatch, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from redis.asyncio import Redis

from services.dispatch.configuration import Configuration, Place
from services.dispatch.gauges import QueueGauges, RowGauges
from services.dispatch.housekeeping import housekeeping
from services.dispatch.in_force import usually_ahead
from services.dispatch.openings import Openings
from services.dispatch.rounds import Rounds
from services.dispatch.scaling import Scaling
from services.dispatch.settings import DispatcherSettings
from services.dispatch.sweeper import JobSweeper, RowSweeper
from shared.broker.registration import Registration
from shared.campaigns.transitions import Transitions
from shared.jobs import SENDS, TIMEOUTS, WEBHOOKS
from shared.loop import Loop
from shared.metrics import Metrics
from shared.process import App, Part
from shared.queue.queue import Queue
from shared.redis.client import connect
from shared.store.database import Database
from shared.store.notices import Notices
from shared.store.visits import DUE_CHANNEL

_LOOK_FOR_CLOSED = timedelta(seconds=1)
_BELIEVE = 6  # times the pace of measuring: autoscalers are told nothing older

Queues = tuple[Queue, Queue, Queue]
"""Of sends, timeouts and webhooks."""


class Dispatcher:
    """The loops of dispatch, and what they share."""

    def __init__(self, settings: DispatcherSettings) -> None:
        self.metrics = Metrics.create()
        self._settings = settings
        self._database = Database(settings.database)
        self._transitions = Transitions(settings.timeouts)
        self._submission = settings.send.provider_timeout + settings.engine.lease
        self._redis: list[Redis] = []
        queues = self._queues("openings")
        self._registration = Registration(self._database, self._redis[0], settings.redis.prefix, queues)
        self.configuration = Configuration(
            self._database,
            queues,
            settings.limits,
            settings.dispatch,
            settings.send.ambiguous_limit,
            self._ask,
        )
        self._openings = self._open()
        self._opening = Loop("dispatch.openings", self._openings.step, every=_LOOK_FOR_CLOSED)
        self.scaling = Scaling(
            self._queues("gauges"),
            self.configuration,
            settings.limits,
            settings.scaling,
            believe=_BELIEVE * settings.dispatch.measure_every,
        )
        self._due = self._rounds()
        self._sweeps = self._sweepers()

    @property
    def parts(self) -> tuple[Part, ...]:
        """What starts, in order."""
        settings = self._settings
        return (
            self._connections(),
            self._registration,
            self._opening,
            Loop("dispatch.configuration", self.configuration.refresh, every=settings.limits.refresh),
            *self._due,
            *self._sweeps,
            *self._gauges(),
            housekeeping(self._database, settings.dispatch),
            Notices(settings.database, DUE_CHANNEL, self._on_due),
        )

    def _queues(self, role: str) -> Queues:
        """The queues over a connection of their own, so that no loop waits for another's."""
        redis = connect(self._settings.redis, role=f"dispatch-{role}")
        self._redis.append(redis)
        prefix, partitions = self._settings.redis.prefix, self._settings.engine.partitions
        sends, timeouts, webhooks = (
            Queue(redis, spec, prefix=prefix, partitions=partitions) for spec in (SENDS, TIMEOUTS, WEBHOOKS)
        )
        return sends, timeouts, webhooks

    def _open(self) -> Openings:
        lengths = self._settings.limits
        return Openings(
            self._database,
            self.configuration,
            (lengths.minute, lengths.hour, lengths.day),
            self._submission,
            self._registration.claim,
            self._on_opened,
        )

    def _rounds(self) -> tuple[Loop, ...]:
        settings = self._settings
        sends, timeouts, _ = self._queues("rounds")
        rounds = Rounds(
            self._database,
            sends,
            timeouts,
            self._transitions,
            settings.dispatch,
            settings.send.max_lateness,
            usually_ahead(settings.limits, settings.dispatch),
            self.configuration.ahead,
        )
        return (
            Loop("dispatch.sends", rounds.send, every=settings.dispatch.poll),
            Loop("dispatch.timeouts", rounds.time_out, every=settings.dispatch.poll),
        )

    def _sweepers(self) -> tuple[Loop, ...]:
        settings = self._settings
        rows = RowSweeper(self._database, self._transitions, self._submission, settings.send.unknown_window)
        jobs = JobSweeper(
            self._database,
            self._queues("sweeper"),
            self._transitions,
            settings.dispatch,
            settings.engine.lease,
        )
        return (
            Loop("dispatch.rows", rows.step, every=settings.dispatch.sweep_every),
            Loop("dispatch.jobs", jobs.step, every=settings.dispatch.sweep_every),
        )

    def _gauges(self) -> tuple[Loop, ...]:
        settings = self._settings.dispatch
        queues, rows = QueueGauges(self.scaling, self.metrics), RowGauges(self._database, self.metrics)
        return (
            Loop("dispatch.gauges", queues.step, every=settings.measure_every),
            Loop("dispatch.counts", rows.step, every=settings.count_every),
        )

    def _on_due(self) -> None:
        for loop in self._due:
            loop.wake()

    def _on_opened(self) -> None:
        for loop in (*self._due, *self._sweeps):
            loop.wake()

    def _ask(self, place: Place) -> None:
        self._openings.ask(place)
        self._opening.wake()

    @asynccontextmanager
    async def _connections(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            for redis in self._redis:
                await redis.aclose()
            await self._database.close()


def build(settings: DispatcherSettings) -> App:
    """The service."""
    dispatcher = Dispatcher(settings)
    return App(
        "dispatch",
        parts=dispatcher.parts,
        metrics=dispatcher.metrics,
        ready=lambda: dispatcher.configuration.current(settings.private.ready_within),
        guarded={
            f"scaling/{queue.name}": partial(dispatcher.scaling.answer, queue.name)
            for queue in dispatcher.scaling.queues
        },
    )
