"""What the environment says, and what holds where it says nothing."""

import pytest
from redis.asyncio.connection import parse_url

from shared.settings import DatabaseSettings, PublicSettings, RedisSettings


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "HOST", "PORT", "PASSWORD", "DB", "PREFIX"):
        monkeypatch.delenv(f"REDIS_{name}", raising=False)


def test_redis_is_found_by_host_port_password_and_db(monkeypatch: pytest.MonkeyPatch) -> None:
    assert RedisSettings().dsn == "redis://localhost:6379/0"
    for name, value in (("HOST", "redis.internal"), ("PORT", "6380"), ("PASSWORD", "s"), ("DB", "2")):
        monkeypatch.setenv(f"REDIS_{name}", value)
    assert RedisSettings().dsn == "redis://:s@redis.internal:6380/2"


def test_a_redis_url_goes_before_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_HOST", "redis.internal")
    monkeypatch.setenv("REDIS_URL", "rediss://elsewhere:6390/1")
    assert RedisSettings().dsn == "rediss://elsewhere:6390/1"


def test_the_prefix_is_outreach_unless_another_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert RedisSettings().prefix == "outreach"
    monkeypatch.setenv("REDIS_PREFIX", "staging")
    assert RedisSettings().prefix == "staging"


def test_listening_goes_where_all_else_goes_unless_another_way_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DATABASE_DIRECT_URL", raising=False)
    monkeypatch.setenv("DATABASE_URL", "postgresql://pooler/outreach")
    assert DatabaseSettings().dsn == DatabaseSettings().direct_dsn == "postgresql+asyncpg://pooler/outreach"
    monkeypatch.setenv("DATABASE_DIRECT_URL", "postgresql://primary/outreach")
    assert DatabaseSettings().direct_dsn == "postgresql+asyncpg://primary/outreach"


def test_the_public_url_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTREACH_SECRET_KEY", "k" * 32)
    monkeypatch.setenv("OUTREACH_PUBLIC_URL", "https://mail.example")
    assert PublicSettings().public_url == "https://mail.example"


@pytest.mark.parametrize("password", ["p@ss", "a/b", "50%", "%41", "#1", "a?b"])
def test_a_password_may_have_any_sign(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", password)
    assert parse_url(RedisSettings().dsn)["password"] == password
