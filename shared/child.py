"""A server that runs as a child of this process: one to a folder, started and ended by its handle.

The embedded Postgres and Valkey are this with a command and a way to ask whether they answer.
"""

import asyncio
import fcntl
import os
import shutil
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from pwd import struct_passwd
from typing import Any, BinaryIO, ClassVar, Self

import structlog

from shared.errors import SettingsError

START = timedelta(seconds=60)
STOP = timedelta(seconds=10)  # for each signal
LOCK_GRACE = timedelta(seconds=2)  # a killed server's own children may outlive it by a moment
POLL = timedelta(milliseconds=20)
PORT_ATTEMPTS = 3
# Nothing of ours reaches the server: PG* variables would change it, another language its messages.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}

log = structlog.get_logger()


class EmbeddedServer(ABC):
    """A server on a loopback port, with its data in a folder of its own.

    The handle belongs to no event loop: it may be started in one and stopped in another. The port is
    chosen by the kernel when none is given, and kept across restarts. Where util-linux is installed the
    server also ends with the thread that started it, however that ends: start it from the main thread.
    """

    name: ClassVar[str]
    stop_signals: ClassVar[tuple[signal.Signals, ...]]

    def __init__(self, folder: Path, port: int | None, account: struct_passwd | None = None) -> None:
        self.folder = folder.resolve()
        self.port = port or 0
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """What runs the server in the foreground on `self.port`."""

    @abstractmethod
    async def _prepare(self) -> None:
        """Make the folder ready for the first start; does nothing on a later one."""

    @abstractmethod
    async def _answers(self) -> bool:
        """Whether the server on `self.port` is this one and serves; bounded in time."""

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the server that was started last.

        Raises:
            SettingsError: none was.
        """
        if self._process is None:
            raise SettingsError(f"The embedded {self.name} was never started: start it first.")
        return self._process.pid

    async def start(self) -> None:
        """Start the server and wait until it serves; does nothing when it runs.

        Raises:
            SettingsError: the folder is in use or not the server's, or the server did not start.
        """
        if self.running:
            return
        self._make_folder()
        try:
            async with asyncio.timeout(START.total_seconds()), self._claimed_folder() as lock:
                await self._prepare()
                await self._bring_up(lock)
        except TimeoutError as error:
            raise self._not_started() from error
        log.info("embedded.started", server=self.name, pid=self.pid, port=self.port)

    async def stop(self) -> None:
        """End the server in order, then less and less politely; does nothing when it does not run."""
        for number in self.stop_signals:
            if await self._ended_by(number):
                return

    async def kill(self) -> None:
        """End the server as a crash would."""
        await self._ended_by(signal.SIGKILL)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _run(self, *command: str) -> None:
        """Run a command to its end as the server's account, its output to the log."""
        with self._open_log() as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=ENVIRONMENT,
                **self._identity,
            )
        try:
            if await process.wait():
                raise self._not_started()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise

    @property
    def _identity(self) -> dict[str, Any]:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    @property
    def _log_path(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def _lock_path(self) -> Path:
        return self.folder / f"{self.name}.lock"

    def _open_log(self) -> BinaryIO:
        """The log for the next process."""
        output = self._log_path.open("ab")
        self._log_start = output.tell()
        return output

    def _make_folder(self) -> None:
        # Another account passes through to what is its own, and reads nothing here: a log may hold data.
        mode = 0o711 if self._account else 0o700
        for path in (*reversed(self.folder.parents), self.folder):
            if not path.exists():
                path.mkdir()
                path.chmod(mode)  # whatever the umask
        if not self._lock_path.exists() and any(self.folder.iterdir()):
            raise SettingsError(f"{self.folder} holds other files: give {self.name} a folder of its own.")
        self.folder.chmod(mode)
        self._lock_path.touch(mode=0o600)
        self._log_path.touch(mode=0o600)

    @asynccontextmanager
    async def _claimed_folder(self) -> AsyncIterator[int]:
        """Hold the folder's lock; a server that inherits the descriptor holds it for as long as it lives."""
        lock = os.open(self._lock_path, os.O_RDWR)
        try:
            for _ in range(LOCK_GRACE // POLL):
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(POLL.total_seconds())
            else:
                holder = os.pread(lock, 20, 0).decode() or "of another start"
                raise SettingsError(
                    f"{self.folder} is in use by {self.name} process {holder}: stop it or use another folder."
                )
            yield lock
        finally:
            os.close(lock)

    async def _bring_up(self, lock: int) -> None:
        """Spawn until the server serves; between choosing a port and binding it another may take it."""
        kept = self.port
        for _ in range(PORT_ATTEMPTS):
            self._spawn(lock, kept or free_port())
            try:
                if await self._came_up():
                    return
            except BaseException:
                await self.kill()
                raise
            if "ddress already in use" not in self._log_tail():
                break
            await asyncio.sleep(POLL.total_seconds() * 10)
        self.port = kept
        raise self._not_started()

    def _spawn(self, lock: int, port: int) -> None:
        # Popen, not asyncio's: a child of asyncio's dies with the loop that started it.
        self.port = port
        with self._open_log() as output:
            self._process = subprocess.Popen(
                [*_ends_with_its_parent(), *self._command()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=ENVIRONMENT,
                start_new_session=True,  # Ctrl-C is for us: we end the server after those who use it
                pass_fds=(lock,),
                **self._identity,
            )
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(self._process.pid).encode(), 0)

    async def _came_up(self) -> bool:
        while self.running:
            if await self._answers():
                return True
            await asyncio.sleep(POLL.total_seconds())
        return False

    async def _ended_by(self, number: signal.Signals) -> bool:
        if self._process is None:
            return True
        self._process.send_signal(number)
        for _ in range(STOP // POLL):
            if not self.running:
                return True
            await asyncio.sleep(POLL.total_seconds())
        return False

    def _log_tail(self) -> str:
        """The last words of the newest process."""
        return self._log_path.read_bytes()[self._log_start :][-1000:].decode(errors="replace").strip()

    def _not_started(self) -> SettingsError:
        return SettingsError(
            f"The embedded {self.name} did not start; {self._log_path} ends: {self._log_tail()}"
        )


def free_port() -> int:
    """A loopback port that was free a moment ago; another may take it before the caller does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _ends_with_its_parent() -> list[str]:
    """The command that ties a server's life to ours, where util-linux (not busybox) has it."""
    setpriv = shutil.which("setpriv", path=os.defpath)
    if setpriv is None or Path(setpriv).resolve().name == "busybox":
        return []
    return [setpriv, "--pdeathsig", "INT", "--"]
