"""Everything on one machine: embedded Postgres and Valkey, and every service as a process of its own."""

import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from services.cli.fleet import Fleet, Say
from shared.child import free_port
from shared.redis.embedded import EmbeddedValkey
from shared.store.embedded import EmbeddedPostgres
from shared.store.migrate import upgrade

SERVICES = ("gateway", "dispatch", "send", "timeout", "webhook", "admin")


@dataclass(frozen=True)
class Stack:
    """A running installation: its servers, its services, and the environment they were started with."""

    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    fleet: Fleet
    environment: Mapping[str, str]
    public_url: str
    admin_url: str
    private_ports: Mapping[str, int]


@asynccontextmanager
async def running(
    folder: Path,
    say: Say,
    settings: Mapping[str, str],
    public_port: int | None = None,
    admin_port: int | None = None,
    replicas: Mapping[str, int] = MappingProxyType({}),
    commands: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> AsyncIterator[Stack]:
    """Start servers and services on data kept in `folder`, and stop them in order.

    `settings` are environment variables for every service. `replicas` is how many of a service run, where it
    is not one; `commands` is what runs it, where it is not its module. The folder must exist.

    Raises SettingsError when a server's folder is in use or a binary is missing.
    """
    async with (
        EmbeddedPostgres(folder / "postgres") as postgres,
        EmbeddedValkey(folder / "valkey", persistent=True) as valkey,
    ):
        await upgrade(postgres.url)
        ports = (public_port or free_port(), admin_port or free_port())
        servers = {"DATABASE_URL": postgres.url, "REDIS_URL": valkey.url}
        environment = {**servers, **_own(folder, *ports), **settings}
        urls = (environment["OUTREACH_PUBLIC_URL"], f"http://127.0.0.1:{environment['ADMIN_PORT']}")
        stack = Stack(postgres, valkey, Fleet(say), environment, *urls, {})
        try:
            yield await _started(stack, replicas, commands)
        finally:
            await stack.fleet.stop()


def _own(folder: Path, port: int, admin_port: int) -> Mapping[str, str]:
    return {
        "OUTREACH_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "OUTREACH_SECRET_KEY": _secret_key(folder),
        "GATEWAY_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "GATEWAY_DEVELOPMENT": "true",  # mailboxes, and providers on this machine
        "ADMIN_HOST": "127.0.0.1",
        "ADMIN_PORT": str(admin_port),
        "ADMIN_DEVELOPMENT": "true",  # whoever is on this machine
        "ADMIN_SECURE_COOKIES": "false",
    }


async def _started(
    stack: Stack, replicas: Mapping[str, int], commands: Mapping[str, tuple[str, ...]]
) -> Stack:
    ports: dict[str, int] = {}
    for service in SERVICES:
        command = commands.get(service, (sys.executable, "-m", f"services.{service}"))
        for number in range(replicas.get(service, 1)):
            name = service if not number else f"{service}-{number + 1}"
            ports[name] = free_port()
            environment = {**stack.environment, "PRIVATE_PORT": str(ports[name])}
            await stack.fleet.start(name, command, environment)
    return replace(stack, private_ports=ports)


def _secret_key(folder: Path) -> str:
    """The installation's key: made once, kept beside the data it seals, readable by its owner alone."""
    kept = folder / "secret_key"
    if not kept.exists():
        kept.touch(mode=0o600)
        kept.write_text(secrets.token_urlsafe(32))
    return kept.read_text()
