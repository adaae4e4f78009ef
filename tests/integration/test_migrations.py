from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from shared.store.migrate import is_current, ours, upgrade
from shared.store.tables import metadata


async def test_the_migrated_schema_is_the_one_the_tables_define(database_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection, opts={"include_object": ours, "compare_server_default": False}
        )
        return list(compare_metadata(context, metadata))

    engine = create_async_engine(database_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_an_up_to_date_schema_says_so_and_stays_as_it_is_when_upgraded_again(database_url: str) -> None:
    assert await is_current(database_url)
    await upgrade(database_url)
    assert await is_current(database_url)


async def test_a_schema_newer_than_this_release_still_serves_it(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(text("update alembic_version set version_num = '9999'"))
    await engine.dispose()
    assert await is_current(database_url)
