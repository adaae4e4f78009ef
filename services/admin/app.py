"""The admin pages, put together."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from redis.asyncio import Redis

from services.admin import users
from services.admin.acting import Acting
from services.admin.browsing import Browsing
from services.admin.cookies import Cookies
from services.admin.guard import Rules
from services.admin.http import Parts, application
from services.admin.journeys import Journeys
from services.admin.login import Door
from services.admin.overview import Watches
from services.admin.queues import Looker
from services.admin.sessions import Sessions
from services.admin.settings import AdminSettings
from services.admin.throttle import Throttle
from services.admin.watch import Watch
from shared.campaigns.transitions import Transitions
from shared.listener import Listener
from shared.metrics import Metrics
from shared.process import App
from shared.redis.client import connect
from shared.store import looking
from shared.store.database import Database
from shared.store.failing import Failing
from shared.store.failing import failing as failing_now

_A_PLACE = timedelta(milliseconds=20)  # many partitions are looked at less often
_CONNECTIONS = 4


@dataclass(frozen=True)
class Admin:
    """The pages' parts, in the order they start."""

    redis: Redis
    database: Database
    watches: Watches
    listener: Listener

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve for as long as the block. Neither Redis nor Postgres has to be there: the pages say so."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.redis.aclose)
            stack.push_async_callback(self.database.close)
            for part in (self.watches.queues, self.watches.rows, self.watches.failing, self.listener):
                await stack.enter_async_context(part)
            yield


def build(settings: AdminSettings) -> App:
    """The service. Raises SettingsError: a user is not spelled as one."""
    admin = assemble(settings)
    return App("admin", parts=[admin.running()], metrics=Metrics.create(), ready=lambda: True)


def assemble(settings: AdminSettings) -> Admin:
    """The parts. Raises SettingsError: a user is not spelled as one."""
    secret_key = settings.public.secret_key.get_secret_value()
    known = users.read(settings.accounts, secret_key)
    sessions = Sessions(secret_key, known, settings.session)
    lasts = int(settings.session.total_seconds())
    redis = connect(settings.redis, role="admin", connections=_CONNECTIONS)
    database = Database(settings.database)
    looker = Looker.of(redis, settings.redis, settings.engine)
    watches = _watches(settings, looker, database)
    listener = Listener(
        application(
            Rules(sessions, settings.read_timeout, open_here=settings.development and not known),
            Parts(
                Door(known, sessions, Throttle(), lasts, Cookies(settings.secure_cookies)),
                watches,
                Browsing(looker.queues),
                Acting(database, looker.named, Transitions(settings.timeouts)),
                Journeys(database),
                settings,
            ),
        ),
        (settings.host, settings.port),
        settings.connections,
        settings.read_timeout,
        settings.private.shutdown_grace,
    )
    return Admin(redis, database, watches, listener)


def _watches(settings: AdminSettings, looker: Looker, database: Database) -> Watches:
    often = max(settings.look_every, looker.places * _A_PLACE)

    async def rows() -> looking.Glance:
        return await database.run(looking.glance)

    async def failing() -> list[Failing]:
        return await database.run(failing_now)

    return Watches(
        Watch("queues", looker.look, often),
        Watch("rows", rows, often * 2),
        Watch("failing", failing, often * 10),
        settings.engine.partitions,
    )
