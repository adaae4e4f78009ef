"""Clients: one long-lived connection per role, that comes back by itself and knows which server it found.

A script call may carry `RUN_ID` among its arguments: it is replaced, at the moment of sending, by the run id
of the server that the sending connection reached. So a command that is retried over a new connection, to a
server that came back without its memory, says so.
"""

import asyncio
import socket
from collections.abc import Iterable
from typing import Any, Final

import hiredis
from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.utils import str_if_bytes

from shared.errors import ForeignInstallation, SettingsError
from shared.settings import RedisSettings

RUN_ID: Final = "\0run_id"
"""Stands for the run id of the server that a connection reached."""


class _Session(AbstractConnection):
    """Learns its server's run id and its own when it connects, and puts the former where `RUN_ID` stands."""

    run_id: str = ""
    client_id: int = 0

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        await super().on_connect_check_health(check_health)
        for command in (("INFO", "server"), ("CLIENT", "ID")):
            await super().send_command(*command, check_health=False)
        info: bytes = await self.read_response()
        self.run_id = info.decode().partition("run_id:")[2].partition("\r\n")[0]
        self.client_id = await self.read_response()

    async def send_command(self, *args: Any, **kwargs: Any) -> None:
        """Connect first where needed, since the arguments may name what the connection finds."""
        if not self.is_connected:
            # The command's own retries cover this: a retry inside each would multiply them.
            await self.connect_check_health(check_health=False, retry_socket_connect=False)
        if RUN_ID in args:
            args = tuple(self.run_id if arg is RUN_ID else arg for arg in args)
        await super().send_command(*args, **kwargs)

    def pack_command(self, *args: Any) -> list[bytes]:
        """In C: the parent's Python was a quarter of a call with many arguments."""
        command, *rest = args
        return [hiredis.pack_command((*str_if_bytes(command).split(), *rest))]

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        """As the parent's, without its task for every command."""
        if self._writer is None or isinstance(command, str | bytes):
            return await super().send_packed_command(command, check_health)
        try:
            self._writer.writelines(command)
            async with asyncio.timeout(self.socket_timeout):
                await self._writer.drain()
        except TimeoutError:
            await self.disconnect(nowait=True)
            raise RedisTimeoutError("Timeout writing to the socket.") from None
        except OSError as error:
            await self.disconnect(nowait=True)
            raise RedisConnectionError(f"Error writing to the socket: {error}") from error
        except asyncio.CancelledError:
            await self.disconnect(nowait=True)
            raise
        return None


class Session(_Session, Connection):
    """Over TCP."""


class SecureSession(_Session, SSLConnection):
    """Over TLS."""


def connect(settings: RedisSettings, *, role: str, connections: int = 1) -> Redis:
    """A client for one role of a process; it connects when first used, and answers in bytes.

    With one connection, concurrent calls wait in line for it: give what blocks, and what must not wait, a
    client of its own. A command is tried again at most `settings.retries` times.

    Raises:
        SettingsError: the URL is not of Redis over TCP or TLS.
    """
    options = _options(settings)
    secure = options.pop("connection_class", None) is not None
    pool = BlockingConnectionPool(
        connection_class=SecureSession if secure else Session,
        max_connections=connections + 1,  # a pipeline takes one beside a client's only one
        timeout=settings.command_timeout.total_seconds(),
        client_name=f"{settings.prefix}-{role}",
        protocol=2,
        socket_timeout=settings.command_timeout.total_seconds(),
        socket_connect_timeout=settings.connect_timeout.total_seconds(),
        socket_keepalive=True,
        socket_keepalive_options=_keepalive(settings),
        retry=Retry(ExponentialWithJitterBackoff(cap=1, base=0.05), settings.retries),
        **options,
    )
    client = Redis(connection_pool=pool, single_connection_client=connections == 1)
    client.auto_close_connection_pool = True  # nobody else has this pool
    return client


async def claim_prefix(redis: Redis, prefix: str, installation: str) -> None:
    """Write the installation's id under the prefix, or find it there.

    Raises:
        ForeignInstallation: another installation's id stands there.
    """
    found = await redis.set(f"{prefix}:installation", installation, nx=True, get=True)
    if found is not None and found != installation.encode():
        raise ForeignInstallation


async def holder(redis: Redis, prefix: str) -> str | None:
    """The id of the installation that the prefix belongs to; None: nobody has claimed it."""
    found = await redis.get(f"{prefix}:installation")
    return str_if_bytes(found) if found is not None else None


def _options(settings: RedisSettings) -> dict[str, Any]:
    """What the URL says, as a pool takes it."""
    try:
        options: dict[str, Any] = dict(parse_url(settings.dsn))
    except ValueError:
        options = {"path": None}
    if "path" in options:
        # Out here: the error itself may quote the URL and its password.
        raise SettingsError("REDIS_URL must be as redis://:password@host:port/0, or begin with rediss://.")
    return options


def _keepalive(settings: RedisSettings) -> dict[int, int]:
    seconds = int(settings.keepalive.total_seconds())
    names = ("TCP_KEEPIDLE", "TCP_KEEPALIVE")  # Linux's, macOS's
    return {getattr(socket, name): seconds for name in names if hasattr(socket, name)}
