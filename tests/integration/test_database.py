"""The database: whose fault a failed statement is, and what is asked of a session behind a pooler."""

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from shared.errors import SchemaMissing, StoreUnavailable
from shared.settings import DatabaseSettings
from shared.store.database import AsyncConnection, Database


async def raising(tx: AsyncConnection, code: str) -> None:
    """Fail as a server does for this reason."""
    await tx.execute(text(f"do $$ begin raise exception 'no' using errcode = '{code}'; end $$"))


@pytest.mark.parametrize("code", ["08006", "57P01", "57P03", "53300", "53100", "53200", "58030", "25006"])
async def test_a_postgres_that_cannot_work_now_is_away(database: Database, code: str) -> None:
    with pytest.raises(StoreUnavailable):
        await database.run(lambda tx: raising(tx, code))


async def test_a_postgres_that_became_a_replica_is_away_and_looked_for_on_a_new_connection(
    database_url: str,
) -> None:
    async def write(tx: AsyncConnection) -> None:
        await tx.execute(text("insert into queues (name, partitions) values ('tests', 1)"))

    async def degrade(tx: AsyncConnection) -> None:
        await tx.execute(text("set session characteristics as transaction read only"))

    async with Database(DatabaseSettings(url=SecretStr(database_url), pool_size=1)) as database:
        await database.run(degrade)
        with pytest.raises(StoreUnavailable):
            await database.run(write)
        await database.run(write)


@pytest.mark.parametrize("code", ["42P01", "42703"])
async def test_a_database_that_is_not_migrated_is_waited_for_and_says_so(
    database: Database, code: str
) -> None:
    with pytest.raises(SchemaMissing, match="outreach migrate"):
        await database.run(lambda tx: raising(tx, code))


@pytest.mark.parametrize("part", ["password", "database"])
async def test_a_postgres_that_lets_nobody_in_is_away_and_says_where_to_look(
    database_url: str, part: str
) -> None:
    url = make_url(database_url).set(**{part: "wrong"}).render_as_string(hide_password=False)
    async with Database(DatabaseSettings(url=SecretStr(url))) as database:
        with pytest.raises(StoreUnavailable, match="DATABASE_URL"):
            await database.run(lambda tx: tx.execute(text("select 1")))


@pytest.mark.parametrize("code", ["22P05", "23505"])
async def test_what_is_wrong_with_a_statement_is_its_own_error(database: Database, code: str) -> None:
    with pytest.raises(DBAPIError):
        await database.run(lambda tx: raising(tx, code))


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
