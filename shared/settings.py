"""Settings: frozen, read from the environment once, in a service's `__main__`.

Each part reads its own variables; a service's settings are the parts it needs. Durations are given in
seconds or ISO 8601 (`PT30S`). `docs/settings.md` lists every variable. What is wrong with one is a
SettingsError that names it, and not what it holds: that may be a secret.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self
from urllib.parse import quote

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import SettingsError
from shared.jobs import QUEUES
from shared.scaling import Bounds


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            said = "; ".join(self._sentence(each["loc"], each["msg"]) for each in error.errors())
        else:
            return
        # Out here: the error itself, which quotes the values, is then no context of ours.
        raise SettingsError(f"{said} (see docs/settings.md)")

    @field_validator("*", mode="before")
    @classmethod
    def _in_seconds(cls, value: Any, info: ValidationInfo) -> Any:
        """A duration that is spelled as a number: the environment knows only text."""
        field = cls.model_fields[info.field_name] if info.field_name else None
        if field is None or field.annotation is not timedelta or not isinstance(value, str):
            return value
        try:
            return float(value)
        except ValueError:
            return value

    @classmethod
    def _sentence(cls, where: tuple[int | str, ...], what: str) -> str:
        """What is wrong with a variable, or with several together."""
        if not where:
            return what.removeprefix("Value error, ")
        field = cls.model_fields.get(str(where[0]))
        alias = where[0] if field is None else field.validation_alias
        name = alias or f"{cls.model_config.get('env_prefix', '')}{where[0]}".upper()
        return f"{name}: {what.lower()}"


class Part(_Settings):
    """Settings that belong together; a service has those that it needs as its fields."""

    model_config = SettingsConfigDict(populate_by_name=True)


class RedisSettings(Part):
    """`REDIS_URL`, or `REDIS_HOST`, `REDIS_PORT`, `REDIS_PASSWORD` and `REDIS_DB`; and `REDIS_PREFIX`."""

    model_config = SettingsConfigDict(env_prefix="REDIS_")

    url: SecretStr | None = None
    host: str = "localhost"
    port: int = 6379
    password: SecretStr | None = None
    db: int = 0
    prefix: str = Field(default="outreach", pattern=r"^[A-Za-z0-9_.-]+$")
    retries: int = 3
    connect_timeout: timedelta = timedelta(seconds=10)
    command_timeout: timedelta = timedelta(seconds=5)
    keepalive: timedelta = timedelta(seconds=30)

    @property
    def dsn(self) -> str:
        """The URL in force, password included: never log it."""
        if self.url is not None:
            return self.url.get_secret_value()
        secret = f":{quote(self.password.get_secret_value(), safe='')}@" if self.password else ""
        return f"redis://{secret}{self.host}:{self.port}/{self.db}"


class DatabaseSettings(Part):
    """`DATABASE_URL` and how it is used; `DATABASE_DIRECT_URL` is for what needs a session, past a pooler."""

    model_config = SettingsConfigDict(env_prefix="DATABASE_")

    url: SecretStr
    direct_url: SecretStr | None = None
    pool_size: int = 10
    connect_timeout: timedelta = timedelta(seconds=10)
    statement_timeout: timedelta = timedelta(seconds=15)
    prepared_statements: bool = True

    @property
    def dsn(self) -> str:
        """The URL in force, as SQLAlchemy's asyncpg dialect wants it: never log it."""
        return _asyncpg(self.url.get_secret_value())

    @property
    def direct_dsn(self) -> str:
        """The URL for LISTEN and for migrations."""
        return _asyncpg((self.direct_url or self.url).get_secret_value())


def _asyncpg(url: str) -> str:
    _, separator, rest = url.partition("://")
    return f"postgresql+asyncpg{separator}{rest}"


class LimitSettings(Part):
    """The lengths of the windows; the limits themselves are rows of Postgres over documented defaults."""

    model_config = SettingsConfigDict(env_prefix="LIMIT_")

    minute: timedelta = timedelta(minutes=1)
    hour: timedelta = timedelta(hours=1)
    day: timedelta = timedelta(days=1)
    refresh: timedelta = timedelta(seconds=1)


class EngineSettings(Part):
    """What every user of the queue engine shares; a queue's own defaults are in `shared.jobs`."""

    model_config = SettingsConfigDict(env_prefix="QUEUE_")

    partitions: int = Field(default=1, ge=1, le=256)
    lease: timedelta = timedelta(seconds=30)
    renew: timedelta = timedelta(seconds=10)
    reap_every: timedelta = timedelta(seconds=2)
    concurrency: int | None = None

    @model_validator(mode="after")
    def _renewed_in_time(self) -> Self:
        if self.renew * 2 > self.lease:
            raise ValueError(
                "QUEUE_RENEW must be at most half of QUEUE_LEASE, or a lease could lapse unrenewed."
            )
        return self


class SendSettings(Part):
    """How a send is tried."""

    model_config = SettingsConfigDict(env_prefix="SEND_")

    provider_timeout: timedelta = timedelta(seconds=20)
    charge_slack: timedelta = timedelta(seconds=1)
    attempts: int = 3
    backoff: timedelta = timedelta(seconds=2)
    backoff_cap: timedelta = timedelta(minutes=5)
    unknown_window: timedelta = timedelta(hours=24)
    ambiguous_limit: int = 5
    ambiguous_pause: timedelta = timedelta(seconds=30)
    ambiguous_pause_cap: timedelta = timedelta(minutes=10)
    max_lateness: timedelta = timedelta(hours=24)


class TimeoutSettings(Part):
    """When a timeout may fire (design §9)."""

    model_config = SettingsConfigDict(env_prefix="TIMEOUT_")

    grace: timedelta = timedelta(seconds=120)
    insert_timeout: timedelta = timedelta(seconds=5)
    watermark_expires: timedelta = timedelta(hours=1)
    recheck: timedelta = timedelta(seconds=5)
    gateway_silence: timedelta = timedelta(seconds=30)
    gateway_recovery: timedelta = timedelta(minutes=15)


class WebhookSettings(Part):
    """How stored webhook bodies are worked on."""

    model_config = SettingsConfigDict(env_prefix="WEBHOOK_")

    max_bytes: int = 1024 * 1024
    match_window: timedelta = timedelta(days=7)
    park_for: timedelta = timedelta(seconds=30)
    park_attempts: int = 5


class DispatchSettings(Part):
    """How due rows reach the queues, and how stuck ones are found."""

    model_config = SettingsConfigDict(env_prefix="DISPATCH_")

    page: int = 500
    per_tenant: int = 100
    poll: timedelta = timedelta(seconds=1)
    ahead: timedelta = timedelta(minutes=10)
    ahead_min: int = 100
    ahead_max: int = 10_000
    sweep_every: timedelta = timedelta(seconds=5)
    measure_every: timedelta = timedelta(seconds=5)
    count_every: timedelta = timedelta(seconds=15)
    enqueued_stale: timedelta = timedelta(minutes=5)
    received_stale: timedelta = timedelta(seconds=10)
    partitions_ahead: int = 7
    keep_deliveries: timedelta = timedelta(days=30)


class ScalingSettings(Part):
    """How many workers a queue is worth: enough to do what is runnable within `SCALING_DRAIN`.

    Between `SCALING_LEAST` and `SCALING_MOST`, or between the two that `SCALING_BOUNDS` gives a queue, as in
    `{"outreach:send": [2, 40]}`.
    """

    model_config = SettingsConfigDict(env_prefix="SCALING_")

    least: int = Field(default=1, ge=0)
    most: int = Field(default=10, ge=1)
    bounds: Mapping[str, tuple[int, int]] = Field(default={})
    drain: timedelta = Field(default=timedelta(minutes=1), gt=timedelta(0))
    patience: timedelta = timedelta(seconds=30)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name in self.bounds:
            if name not in QUEUES:
                raise ValueError(
                    f"SCALING_BOUNDS: there is no queue {name!r}: there are {', '.join(QUEUES)}."
                )
        for least, most in (*self.bounds.values(), (self.least, self.most)):
            if not 0 <= least <= most:
                raise ValueError(
                    f"At least {least} and at most {most} workers cannot be: see SCALING_BOUNDS."
                )
        return self

    def of(self, queue: str) -> Bounds:
        """What holds for a queue."""
        least, most = self.bounds.get(queue, (self.least, self.most))
        return Bounds(least, most, self.drain, self.patience)


class PublicSettings(Part):
    """What the outside sees, and the key that seals credentials and unsubscribe tokens."""

    model_config = SettingsConfigDict(env_prefix="OUTREACH_")

    public_url: str = "http://localhost:8080"
    secret_key: SecretStr = Field(min_length=32)


class ActorSettings(Part):
    """Who acts by the command line, as the audit names them; None: the system's user."""

    model_config = SettingsConfigDict(env_prefix="OUTREACH_")

    actor: str | None = None


class PrivateSettings(Part):
    """The private port: health, readiness, metrics and /internal; `PRIVATE_TOKEN` opens what is guarded."""

    model_config = SettingsConfigDict(env_prefix="PRIVATE_")

    host: str = "127.0.0.1"
    port: int = 9090
    token: SecretStr | None = Field(default=None, min_length=16)
    ready_within: timedelta = timedelta(seconds=15)
    shutdown_grace: timedelta = timedelta(seconds=30)


class LogSettings(Part):
    """How much is logged, and in which shape; `colours` unset: where a terminal looks on."""

    model_config = SettingsConfigDict(env_prefix="LOG_")

    level: str = "INFO"
    json_lines: bool = Field(default=True, validation_alias="LOG_JSON")
    colours: bool | None = None


class ServiceSettings(_Settings):
    """What every service reads; its own class adds the parts that it needs besides."""

    redis: RedisSettings = Field(default_factory=RedisSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    engine: EngineSettings = Field(default_factory=EngineSettings)
    private: PrivateSettings = Field(default_factory=PrivateSettings)
    log: LogSettings = Field(default_factory=LogSettings)
