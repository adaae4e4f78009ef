"""What the embedded Postgres promises beyond what both embedded servers do."""

import os
import shutil
import stat
from pathlib import Path

import asyncpg
import pytest

from shared.store import embedded
from shared.store.embedded import EmbeddedPostgres
from tests.servers import chosen_path, postgres_in, query

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives Postgres another account")


def mode(path: Path) -> str:
    return stat.filemode(path.stat().st_mode)


async def test_what_it_keeps_is_for_the_owner_alone(postgres: EmbeddedPostgres) -> None:
    folder = postgres.folder
    assert {path.name: mode(path) for path in folder.iterdir()} == {
        "data": "drwx------",
        "socket": "drwx------",
        "password": "-rw-------",
        "postgres.lock": "-rw-------",
        "postgres.log": "-rw-------",
    }
    assert mode(folder) == ("drwx--x--x" if os.geteuid() == 0 else "drwx------")


@pytest.mark.parametrize("host", ["127.0.0.1", "socket"])
async def test_nobody_enters_without_the_password(postgres: EmbeddedPostgres, host: str) -> None:
    place = str(postgres.folder / host) if host == "socket" else host
    dsn = f"postgresql://outreach@/outreach?host={place}&port={postgres.port}&password="
    assert await query(dsn + (postgres.folder / "password").read_text(), "SHOW server_encoding") == "UTF8"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await query(dsn + "guess", "SHOW server_encoding")


async def test_it_is_durable_unless_told_otherwise(postgres: EmbeddedPostgres, reachable_path: Path) -> None:
    assert await query(postgres.dsn, "SHOW fsync") == "off"
    bin_dir = chosen_path("OUTREACH_TEST_POSTGRES_BIN")
    async with EmbeddedPostgres(reachable_path / "server", bin_dir=bin_dir) as server:
        assert await query(server.dsn, "SHOW fsync") == "on"


async def test_a_first_start_that_was_cut_begins_anew(reachable_path: Path) -> None:
    server = postgres_in(reachable_path)
    half = reachable_path / "data.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("1")
    (reachable_path / "postgres.lock").touch()
    async with server:
        assert await query(server.dsn, "SELECT 1") == 1
    assert not half.exists()


async def test_a_path_too_long_for_a_socket_leaves_tcp(reachable_path: Path) -> None:
    async with postgres_in(reachable_path / ("long" * 25)) as server:
        assert await query(server.dsn, "SHOW unix_socket_directories") == ""


@only_root
async def test_roots_server_goes_where_its_account_can_reach(
    tmp_path: Path, reachable_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "ROOTS_PLACE", reachable_path)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before = {parent: mode(parent) for parent in (closed, *closed.parents)}
    server = postgres_in(closed / "server")
    again = postgres_in(closed / "server")
    async with server:
        assert await query(server.dsn, "SELECT 1") == 1
    assert server.folder.parent == reachable_path
    assert again.folder == server.folder
    assert {parent: mode(parent) for parent in (closed, *closed.parents)} == before
    assert list(closed.iterdir()) == []


@only_root
async def test_a_strict_umask_does_not_shut_its_account_out(reachable_path: Path) -> None:
    before = os.umask(0o077)
    try:
        async with postgres_in(reachable_path / "new" / "server") as server:
            assert await query(server.dsn, "SELECT 1") == 1
    finally:
        os.umask(before)


@only_root
async def test_binaries_that_only_root_reaches_are_copied(
    postgres: EmbeddedPostgres, tmp_path: Path, reachable_path: Path
) -> None:
    install = Path(await query(postgres.dsn, "SELECT setting FROM pg_config WHERE name = 'BINDIR'")).parent
    closed = tmp_path / "closed"
    shutil.copytree(install, closed / install.parent.name / install.name)
    for libraries in install.parent.parent.glob(f"{install.parent.name}.libs"):
        shutil.copytree(libraries, closed / libraries.name)
    closed.chmod(0o700)
    bin_dir = closed / install.parent.name / install.name / "bin"
    async with EmbeddedPostgres(reachable_path / "server", bin_dir=bin_dir, durable=False) as server:
        used = await query(server.dsn, "SELECT setting FROM pg_config WHERE name = 'BINDIR'")
    assert Path(used).is_relative_to(reachable_path)
    assert mode(closed) == "drwx------"
