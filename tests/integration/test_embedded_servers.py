"""Both embedded servers, by what they promise alike; what is Postgres's own is in test_embedded_postgres."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from shared import child
from shared.child import EmbeddedServer
from shared.errors import SettingsError
from shared.redis.embedded import EmbeddedValkey
from shared.store.embedded import EmbeddedPostgres
from tests.servers import as_nobody, chosen_path, query


@dataclass(frozen=True)
class Kind:
    """A server and a way to see whether it kept what it was told."""

    make: Callable[..., EmbeddedServer]
    add: Callable[[EmbeddedServer], Coroutine[Any, Any, int]]


def make_postgres(folder: Path, port: int | None = None) -> EmbeddedServer:
    return EmbeddedPostgres(folder, port, bin_dir=chosen_path("OUTREACH_TEST_POSTGRES_BIN"))


def make_valkey(folder: Path, port: int | None = None) -> EmbeddedServer:
    binary = chosen_path("OUTREACH_TEST_REDIS_BINARY")
    return EmbeddedValkey(folder, port, binary=binary, persistent=True, settings={"appendfsync": "always"})


async def add_row(server: EmbeddedServer) -> int:
    assert isinstance(server, EmbeddedPostgres)
    await query(server.dsn, "CREATE TABLE IF NOT EXISTS kept (at int)")
    await query(server.dsn, "INSERT INTO kept VALUES (1)")
    return int(await query(server.dsn, "SELECT count(*) FROM kept"))


async def add_key(server: EmbeddedServer) -> int:
    assert isinstance(server, EmbeddedValkey)
    async with Redis.from_url(server.url, socket_timeout=10) as client:
        return int(await client.incr("kept"))


KINDS = {"postgres": Kind(make_postgres, add_row), "valkey": Kind(make_valkey, add_key)}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


async def live_thrice(kind: Kind, folder: Path) -> None:
    server = kind.make(folder)
    try:
        await server.start()
        port = server.port
        assert await kind.add(server) == 1
        await server.stop()
        assert not server.running
        await server.start()
        assert (await kind.add(server), server.port) == (2, port)
        await server.kill()
        assert not server.running
        await server.start()
        assert (await kind.add(server), server.port) == (3, port)
    finally:
        await server.stop()


async def test_a_stop_and_a_kill_lose_neither_data_nor_port(kind: Kind, reachable_path: Path) -> None:
    await live_thrice(kind, reachable_path / "server")


@pytest.mark.parametrize("name", KINDS)
def test_an_ordinary_user_runs_it_as_root_does(name: str, reachable_path: Path) -> None:
    as_nobody(
        "from tests.integration.test_embedded_servers import *",
        f"asyncio.run(live_thrice(KINDS[{name!r}], folder))",
        owned=reachable_path,
    )


def test_a_handle_outlives_the_loop_that_started_it(kind: Kind, reachable_path: Path) -> None:
    server = kind.make(reachable_path / "server")
    asyncio.run(server.start())
    pid = server.pid
    assert asyncio.run(kind.add(server)) == 1
    assert server.pid == pid
    asyncio.run(server.stop())
    assert not server.running


async def test_a_second_server_on_the_folder_is_refused(kind: Kind, reachable_path: Path) -> None:
    async with kind.make(reachable_path / "server") as first:
        second = kind.make(reachable_path / "server")
        with pytest.raises(
            SettingsError, match=rf"in use by \w+ process {first.pid}: stop it or use another"
        ):
            await second.start()
        assert (first.running, second.running) == (True, False)
        assert await kind.add(first) == 1


def test_a_folder_with_other_files_is_refused_and_left_alone(kind: Kind, reachable_path: Path) -> None:
    (reachable_path / "thesis.txt").write_text("years of work")
    before = reachable_path.stat().st_mode
    with pytest.raises(SettingsError, match="holds other files"):
        asyncio.run(kind.make(reachable_path).start())
    assert [path.name for path in reachable_path.iterdir()] == ["thesis.txt"]
    assert reachable_path.stat().st_mode == before


async def test_a_taken_port_is_refused_though_its_server_answers(kind: Kind, reachable_path: Path) -> None:
    async with kind.make(reachable_path / "first") as first:
        second = kind.make(reachable_path / "second", first.port)
        with pytest.raises(SettingsError, match="ddress already in use"):
            await second.start()
        assert (first.running, second.running) == (True, False)


async def test_a_port_taken_before_it_is_bound_is_chosen_anew(
    kind: Kind, reachable_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = child.free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        chosen = iter([taken.getsockname()[1], free])
        monkeypatch.setattr(child, "free_port", lambda: next(chosen))
        async with kind.make(reachable_path / "server") as server:
            assert server.port == free


async def test_no_parent_folder_changes_its_permissions(kind: Kind, reachable_path: Path) -> None:
    folder = reachable_path / "closed" / "server"
    folder.parent.mkdir(mode=0o711)
    before = {parent: parent.stat().st_mode for parent in folder.parents}
    async with kind.make(folder):
        pass
    assert {parent: parent.stat().st_mode for parent in folder.parents} == before


async def test_servers_of_others_are_left_alone(kind: Kind, reachable_path: Path) -> None:
    async with kind.make(reachable_path / "theirs") as theirs:
        pid = theirs.pid
        ours = kind.make(reachable_path / "ours")
        await ours.start()
        await ours.kill()
        await ours.start()
        await ours.stop()
        assert theirs.pid == pid
        assert await kind.add(theirs) == 1


@pytest.mark.skipif(not Path("/usr/bin/setpriv").exists(), reason="util-linux is not installed")
@pytest.mark.parametrize("name", KINDS)
def test_a_server_ends_when_its_parent_is_killed(name: str, reachable_path: Path) -> None:
    script = (
        "from tests.integration.test_embedded_servers import *\n"
        f"server = KINDS[{name!r}].make(Path({str(reachable_path)!r}) / 'server')\n"
        "asyncio.run(server.start()); print(server.pid, file=sys.stderr); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=-1, stderr=-1) as parent:
        assert parent.stderr is not None
        orphan = int(parent.stderr.readline())
        parent.kill()
    try:
        asyncio.run(inherit(KINDS[name], reachable_path / "server"))
    finally:
        with suppress(ProcessLookupError):
            os.kill(orphan, signal.SIGKILL)


async def inherit(kind: Kind, folder: Path) -> None:
    """Start another server once the folder is free."""
    server = kind.make(folder)
    async with asyncio.timeout(30):
        while not server.running:
            with suppress(SettingsError):
                await server.start()
    async with server:
        assert await kind.add(server) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda reachable_path: EmbeddedPostgres(reachable_path, bin_dir=reachable_path),
        lambda reachable_path: EmbeddedValkey(reachable_path, binary=reachable_path),
    ],
)
def test_a_missing_binary_is_named(make: Callable[[Path], EmbeddedServer], reachable_path: Path) -> None:
    with pytest.raises(SettingsError, match=str(reachable_path)):
        make(reachable_path)
