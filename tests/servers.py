"""The servers that tests start for themselves, and whether a test without them is skipped or fails."""

import asyncio
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from uuid import uuid4

import asyncpg
import pytest

from shared.child import EmbeddedServer
from shared.errors import SettingsError
from shared.redis.embedded import EmbeddedValkey
from shared.store.embedded import EmbeddedPostgres

S = TypeVar("S", bound=EmbeddedServer)
TEMPLATE = "migrated"
SCRATCH = "outreach-test-"  # then the pid of the run


def setting(name: str) -> str | None:
    """A variable of the environment."""
    return os.environ.get(name)  # noqa: TID251  tests have no __main__ to read settings in


def chosen_path(name: str) -> Path | None:
    """The path that a variable names, or None for the wheel's own."""
    value = setting(name)
    return Path(value) if value else None


def without(reason: str) -> NoReturn:
    """Skip the test on a machine that lacks something; in CI nothing may be lacking."""
    if setting("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for servers' files: in memory where there is enough, ten times faster than a disk."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= 2 * 2**30
    # Root's Postgres may have to run from here.
    usable = usable and not os.statvfs(memory).f_flag & os.ST_NOEXEC
    place = memory if usable else Path(tempfile.gettempdir())
    for left in place.glob(f"{SCRATCH}*"):  # by a run that was killed, and its servers with it
        if not _alive(int(left.name.split("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.TemporaryDirectory(
        prefix=f"{SCRATCH}{os.getpid()}-", dir=place, ignore_cleanup_errors=True
    )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def valkey_in(folder: Path) -> EmbeddedValkey:
    """A Valkey that loses everything when it stops."""
    return EmbeddedValkey(
        folder,
        binary=chosen_path("OUTREACH_TEST_REDIS_BINARY"),
        settings={"enable-debug-command": "local"},
    )


def postgres_in(folder: Path) -> EmbeddedPostgres:
    """A Postgres in a hurry."""
    return EmbeddedPostgres(
        folder,
        bin_dir=chosen_path("OUTREACH_TEST_POSTGRES_BIN"),
        durable=False,
        settings={"max_wal_size": "128MB"},
    )


@contextmanager
def serving(make: Callable[[Path], S]) -> Iterator[S]:
    """Run a server in a folder of its own for as long as the block; skip or fail without its binary."""
    with scratch_folder() as folder:
        try:
            server = make(Path(folder))
        except SettingsError as error:
            without(str(error))
        try:
            asyncio.run(server.start())
            yield server
        finally:
            asyncio.run(server.stop())


async def query(dsn: str, statement: str) -> Any:
    """Run one statement on a connection of its own; its first value, if it has one."""
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=60)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close(timeout=5)


@contextmanager
def fresh_database(server: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a new database with every migration applied; it is dropped afterwards."""
    name = f"test_{uuid4().hex}"
    asyncio.run(query(server.dsn, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy"))
    try:
        yield server.url_of(name)
    finally:
        asyncio.run(query(server.dsn, f"DROP DATABASE {name} WITH (FORCE)"))


def as_nobody(imports: str, work: str, *, owned: Path) -> None:
    """Run a line of Python as an ordinary user who owns a folder; only root can, and others are one already.

    The line runs as root first, in a folder of its own, to load what Python loads late: the interpreter may
    be root's alone. It finds its folder in `folder`.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can become another user, and this user is an ordinary one")
    if not all(parent.stat().st_mode & 1 for parent in Path(__file__).parents):
        pytest.skip("only root can reach the repository")
    nobody = pwd.getpwnam("nobody")
    os.chown(owned, nobody.pw_uid, nobody.pw_gid)
    script = f"""import os; from pathlib import Path; {imports}
folder = Path({str(owned)!r}) / "by-root"
{work}
os.setgroups([]); os.setgid({nobody.pw_gid}); os.setuid({nobody.pw_uid})
folder = Path({str(owned)!r}) / "by-nobody"
{work}
assert folder.stat().st_uid == {nobody.pw_uid}"""
    command = [sys.executable, "-c", script]
    home = os.environ | {"HOME": str(owned)}  # noqa: TID251  the rest is for the child to read
    done = subprocess.run(command, env=home, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
