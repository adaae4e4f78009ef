"""The database: what it may ask of a session, and what it may not behind a transaction pooler."""

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from shared.settings import DatabaseSettings
from shared.store.database import Database


@pytest.mark.parametrize("prepared", [True, False])
async def test_without_prepared_statements_nothing_of_a_session_is_asked_for_or_left_there(
    database_url: str, prepared: bool
) -> None:
    settings = DatabaseSettings(url=SecretStr(database_url), pool_size=1, prepared_statements=prepared)
    async with Database(settings) as database:
        for _ in range(2):
            await database.run(lambda tx: tx.execute(text("select cast(:n as int)"), {"n": 1}))
        async with database.begin() as tx:
            named = (await tx.execute(text("select 1 from pg_prepared_statements"))).all()
            jit = (await tx.execute(text("select source from pg_settings where name = 'jit'"))).scalar_one()
    # PgBouncer refuses the connection of who asks for a setting that it does not know.
    assert (bool(named), jit == "client") == (prepared, prepared)
