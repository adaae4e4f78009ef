"""Dispatch, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from redis.asyncio import Redis

from services.dispatch.configuration import Configuration, Place
from services.dispatch.in_force import usually_ahead
from services.dispatch.openings import Openings
from services.dispatch.registration import Registration
from services.dispatch.rounds import Rounds
from services.dispatch.settings import DispatcherSettings
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


@dataclass(frozen=True)
class Queues:
    """The three queues over one connection."""

    redis: Redis
    sends: Queue
    timeouts: Queue
    webhooks: Queue

    @classmethod
    def connected(cls, settings: DispatcherSettings, role: str) -> "Queues":
        """A connection of their own, so that no loop waits for another's."""
        redis = connect(settings.redis, role=f"dispatch-{role}")
        place = {"prefix": settings.redis.prefix, "partitions": settings.engine.partitions}
        return cls(redis, *(Queue(redis, spec, **place) for spec in (SENDS, TIMEOUTS, WEBHOOKS)))

    @property
    def all(self) -> tuple[Queue, ...]:
        """Each of them."""
        return self.sends, self.timeouts, self.webhooks


class Dispatcher:
    """The loops of dispatch, and what they share."""

    def __init__(self, settings: DispatcherSettings) -> None:
        self.metrics = Metrics.create()
        self._settings = settings
        self._database = Database(settings.database)
        self._queues = {name: Queues.connected(settings, name) for name in ("rounds", "openings")}
        self._transitions = Transitions(settings.timeouts)
        opening = self._queues["openings"]
        registration = Registration(self._database, opening.redis, settings.redis.prefix, opening.all)
        self.configuration = Configuration(
            self._database,
            opening.all,
            settings.limits,
            settings.dispatch,
            settings.send.ambiguous_limit,
            self._ask,
        )
        self._openings = Openings(
            self._database,
            self.configuration,
            max(settings.limits.minute, settings.limits.hour, settings.limits.day),
            settings.send.provider_timeout + settings.engine.lease,
            registration.claim,
            self._wake,
        )
        rounds = self._rounds()
        self._open = Loop("dispatch.openings", self._openings.step, every=_LOOK_FOR_CLOSED)
        self._due = (
            Loop("dispatch.sends", rounds.send, every=settings.dispatch.poll),
            Loop("dispatch.timeouts", rounds.time_out, every=settings.dispatch.poll),
        )
        self.parts: tuple[Part, ...] = (
            self._connections(),
            registration,
            self._open,
            Loop("dispatch.configuration", self.configuration.refresh, every=settings.limits.refresh),
            *self._due,
            Notices(settings.database, DUE_CHANNEL, self._wake),
        )

    def _rounds(self) -> Rounds:
        settings, queues = self._settings, self._queues["rounds"]
        return Rounds(
            self._database,
            queues.sends,
            queues.timeouts,
            self._transitions,
            settings.dispatch,
            settings.send.max_lateness,
            usually_ahead(settings.limits, settings.dispatch),
            self.configuration.ahead,
        )

    def _wake(self) -> None:
        for loop in self._due:
            loop.wake()

    def _ask(self, place: Place) -> None:
        self._openings.ask(place)
        self._open.wake()

    @asynccontextmanager
    async def _connections(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            for queues in self._queues.values():
                await queues.redis.aclose()
            await self._database.close()


def build(settings: DispatcherSettings) -> App:
    """The service."""
    dispatcher = Dispatcher(settings)
    return App(
        "dispatch",
        parts=dispatcher.parts,
        metrics=dispatcher.metrics,
        ready=lambda: dispatcher.configuration.current(settings.private.ready_within),
    )
