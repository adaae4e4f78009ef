"""Who is examined: the settings in force here, and a connection to each server that they name."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pydantic import SecretStr
from pydantic_settings import BaseSettings
from redis.asyncio import Redis

from shared.errors import SettingsError
from shared.jobs import QUEUES
from shared.queue.queue import Queue
from shared.redis.client import connect
from shared.settings import (
    DatabaseSettings,
    DispatchSettings,
    EngineSettings,
    PublicSettings,
    RedisSettings,
    SendSettings,
    TimeoutSettings,
)
from shared.store.database import Database

P = TypeVar("P", bound=BaseSettings)

# Who asks what is wrong does not want to wait for it as long as a service would.
_CONNECT = timedelta(seconds=3)
_ANSWER = timedelta(seconds=5)

_MOMENT = timedelta(seconds=2)  # between a row's end and its job's


@dataclass(frozen=True)
class Settings:
    """The parts that services read, each by itself; `wrong` says what could not be read.

    Without a part that says where something is, nobody can look at it; of the others the defaults serve.
    """

    redis: RedisSettings | None
    database: DatabaseSettings | None
    public: PublicSettings | None
    engine: EngineSettings
    dispatch: DispatchSettings
    send: SendSettings
    timeouts: TimeoutSettings
    wrong: tuple[str, ...] = ()
    secret_wrong: str = ""


def read() -> Settings:
    """Read the environment that the services read."""
    wrong: list[str] = []
    of_secret: list[str] = []
    return Settings(
        redis=_usable(_read(RedisSettings, wrong), lambda part: connect(part, role="doctor"), wrong),
        database=_usable(_read(DatabaseSettings, wrong), Database, wrong),
        public=_read(PublicSettings, of_secret),
        engine=_read(EngineSettings, wrong) or EngineSettings.model_construct(),
        dispatch=_read(DispatchSettings, wrong) or DispatchSettings.model_construct(),
        send=_read(SendSettings, wrong) or SendSettings.model_construct(),
        timeouts=_read(TimeoutSettings, wrong) or TimeoutSettings.model_construct(),
        wrong=tuple(wrong),
        secret_wrong="; ".join(of_secret),
    )


def _read(part: type[P], wrong: list[str]) -> P | None:
    try:
        return part()
    except SettingsError as error:
        wrong.append(str(error))
        return None


def _usable(part: P | None, use: Callable[[P], object], wrong: list[str]) -> P | None:
    """The part, if a client can be made of it; none connects before it is asked."""
    try:
        if part is not None:
            use(part)
    except SettingsError as error:
        wrong.append(str(error))
        return None
    return part


@dataclass(frozen=True)
class Patient:
    """What checks look at. `now` is this machine's clock; `wait` is what a suspect gets to move on."""

    settings: Settings
    redis: Redis
    database: Database
    prefix: str
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    wait: Callable[[], Awaitable[None]] = field(default=lambda: asyncio.sleep(_MOMENT.total_seconds()))

    def queues(self, partitions: Mapping[str, int]) -> list[Queue]:
        """The queues with as many partitions as they were registered with; others are left out."""
        return [
            Queue(self.redis, spec, prefix=self.prefix, partitions=partitions[name])
            for name, spec in QUEUES.items()
            if name in partitions
        ]


@asynccontextmanager
async def clients(settings: Settings) -> AsyncIterator[tuple[Redis, Database]]:
    """A client of each server, which connects when it is first asked, and asks once.

    Where no setting says which server that is, nobody may ask.
    """
    redis_settings = (settings.redis or RedisSettings.model_construct()).model_copy(
        update={"retries": 0, "connect_timeout": _CONNECT, "command_timeout": _ANSWER}
    )
    database_settings = (settings.database or DatabaseSettings(url=SecretStr("postgresql://"))).model_copy(
        update={"pool_size": 1, "connect_timeout": _CONNECT, "statement_timeout": _ANSWER}
    )
    redis = connect(redis_settings, role="doctor")
    database = Database(database_settings)
    try:
        yield redis, database
    finally:
        await redis.aclose()
        await database.close()
