"""Migrations: what they make, and that they are run beside work, broken off, and at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from shared.store.embedded import EmbeddedPostgres
from shared.store.migrate import _config, is_current, ours, upgrade
from shared.store.partitions import ensure_partitions
from shared.store.tables import metadata
from tests.brokers import until
from tests.servers import query

WRITES = {
    "scheduled_actions": "insert into scheduled_actions (tenant_id, id, kind, status, due_at, scheduled_at,"
    " enrollment_id, visit_id, campaign_id, contact_id, node_id) select t, t, 'timeout', 'fired', now(),"
    " now(), t, t, t, t, 'hello' from (select gen_random_uuid() as t) one",
    "deliveries": "insert into deliveries (tenant_id, id, endpoint_id, provider, headers, body)"
    " select t, t, t, 'mailbox', '{}', '' from (select gen_random_uuid() as t) one",
}
BREAK_OFF = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and query like 'create index concurrently%'
"""
CONNECTIONS = "select count(*) from pg_stat_activity where datname = current_database()"
INDEXES = """
select c.relname, i.indisvalid from pg_index i join pg_class c on c.oid = i.indexrelid
where c.relname ~ '^ix_(actions_failed|actions_held_why|deliveries_failed)'
"""


def differences(connection: Connection) -> list[object]:
    """What the schema is not like in the tables' definition."""
    context = MigrationContext.configure(
        connection, opts={"include_object": ours, "compare_server_default": False}
    )
    return list(compare_metadata(context, metadata))


@pytest.fixture
async def older(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of a database of the first schema, with partitions."""
    name = f"older_{uuid4().hex}"
    await query(postgres.dsn, f"create database {name}")
    engine = create_async_engine(postgres.url_of(name))
    async with engine.connect() as connection:
        await connection.run_sync(lambda sync: command.upgrade(_config(sync), "0001"))
        await connection.commit()
        await ensure_partitions(connection, 1)
        await connection.commit()
    await engine.dispose()
    yield postgres.url_of(name)
    await query(postgres.dsn, f"drop database {name} with (force)")


@asynccontextmanager
async def writing(url: str, table: str) -> AsyncIterator[asyncpg.Connection]:
    """A transaction that has written to a table and does not end before the block; it ends with it."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        async with connection.transaction():
            await connection.execute("set local session_replication_role = replica")
            await connection.execute(WRITES[table])
            yield connection
    finally:
        await connection.close()


async def built(url: str) -> dict[str, bool]:
    """The new indexes that there are, and whether each is valid."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return {row["relname"]: row["indisvalid"] for row in await connection.fetch(INDEXES)}
    finally:
        await connection.close()


async def comes_to_wait(url: str, index: str) -> None:
    """Until an index is being built, and is not valid."""

    async def broken() -> bool:
        return any(name.startswith(index) and not valid for name, valid in (await built(url)).items())

    await until(broken)


async def whole(url: str) -> None:
    """The schema is as the tables define it, and every index is valid."""
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()
    assert await is_current(url)
    found = await built(url)
    # Of deliveries: of the table, the default partition, yesterday, today and tomorrow.
    assert (len(found), set(found.values())) == (2 + 1 + 4, {True})


async def test_the_migrated_schema_is_the_one_the_tables_define(database_url: str) -> None:
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


@pytest.mark.parametrize(
    ("table", "index"), [("scheduled_actions", "ix_actions_failed"), ("deliveries", "ix_deliveries_failed")]
)
async def test_an_index_is_built_while_others_write(older: str, table: str, index: str) -> None:
    async with writing(older, table):
        upgrading = asyncio.create_task(upgrade(older, 1))
        await comes_to_wait(older, index)
        async with writing(older, table) as other:
            assert await other.fetchval(f"select count(*) from {table}") == 1, "it did not wait"
        assert not upgrading.done()
    await upgrading
    await whole(older)


@pytest.mark.parametrize(
    ("table", "index"), [("scheduled_actions", "ix_actions_failed"), ("deliveries", "ix_deliveries_failed")]
)
async def test_a_migration_that_was_broken_off_is_run_again(older: str, table: str, index: str) -> None:
    async with writing(older, table) as other:
        upgrading = asyncio.create_task(upgrade(older, 1))
        await comes_to_wait(older, index)
        await other.execute(BREAK_OFF)
        with pytest.raises(SQLAlchemyError):
            await upgrading
    assert not await is_current(older)
    assert False in (await built(older)).values(), "a broken build leaves an index that nobody may use"
    await upgrade(older, 1)
    await whole(older)


async def test_two_migrations_at_once_take_turns(older: str) -> None:
    async with writing(older, "scheduled_actions") as other:

        async def all_there() -> bool:
            return bool(await other.fetchval(CONNECTIONS) == 3)

        both = [asyncio.create_task(upgrade(older, 1)) for _ in range(2)]
        await comes_to_wait(older, "ix_actions_failed")
        await until(all_there)
    await asyncio.gather(*both)
    await whole(older)
