"""URLs that make no sense: refused when a client is made of them, without what they hold."""

import pytest

from shared.errors import SettingsError
from shared.redis.client import connect
from shared.settings import DatabaseSettings, RedisSettings
from shared.store.database import Database
from shared.store.migrate import upgrade

NONSENSE = ["hunter2", "u:hunter2@h/d", "sql://u:hunter2@h:port/d"]


@pytest.mark.parametrize("url", NONSENSE)
async def test_what_is_no_url_of_postgres_is_refused_without_its_password(url: str) -> None:
    settings = DatabaseSettings(url=url)  # type: ignore[arg-type]  # pydantic wraps it
    with pytest.raises(SettingsError, match="DATABASE_URL is not as postgresql://") as made:
        Database(settings)
    with pytest.raises(SettingsError, match="DATABASE_URL is not as postgresql://") as migrated:
        await upgrade(settings.dsn)
    assert (made.value.__context__, migrated.value.__context__) == (None, None)


@pytest.mark.parametrize("url", [*NONSENSE, "unix:///hunter2", "redis://:hunter2@h:port/0"])
async def test_what_is_no_url_of_redis_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL must be as redis://") as refused:
        connect(RedisSettings(url=url), role="test")  # type: ignore[arg-type]  # pydantic wraps it
    assert refused.value.__context__ is None
