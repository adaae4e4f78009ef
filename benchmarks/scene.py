"""The place that is looked at: servers, a queue with jobs in it, and the services that look, as processes."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
from pydantic import SecretStr
from sqlalchemy import text

from services.cli.bench.load import Load
from services.cli.bench.place import PREFIX, Place, private_place, settings
from services.cli.demo.polling import until
from services.cli.fleet import Fleet
from shared.child import free_port
from shared.jobs import QUEUES, WEBHOOKS
from shared.queue.queue import Queue
from shared.settings import DatabaseSettings
from shared.store.database import Database
from shared.store.embedded import EmbeddedPostgres
from shared.store.migrate import upgrade

REFRESH = 2.0  # seconds: how often the overview asks for itself in a browser

# What the overview counts and lists, beyond where it stops. Nobody is to work on it meanwhile.
_ROWS = """
insert into tenants (id, name) select gen_random_uuid(), 'tenant ' || n from generate_series(1, :tenants) n;
insert into closures (tenant_id, id, channel, reason)
    select id, gen_random_uuid(), 'email', 'unauthorized' from tenants limit 1000;
insert into deliveries (tenant_id, id, endpoint_id, provider, headers, body, state, retry_at)
    select id, gen_random_uuid(), gen_random_uuid(), 'sendgrid', '{}', '', 'parked', now() + interval '1 day'
    from tenants;
set local session_replication_role = replica;
insert into scheduled_actions (
    tenant_id, id, kind, status, due_at, scheduled_at, enrollment_id, visit_id, campaign_id, contact_id,
    node_id, channel, sender_id
) select id, gen_random_uuid(), 'send', 'unknown', now(), now(), id, id, id, id, 'hello', 'email', id
    from tenants
"""


@dataclass(frozen=True)
class Scene:
    """Servers, `load`'s queue on them, and two services: the pages and dispatch."""

    place: Place
    database: Database
    load: Load
    fleet: Fleet
    pages: str
    metrics: str

    async def fill(self, jobs: int) -> None:
        """So many jobs more, of the load's tenants in turn."""
        await self.load.enqueue(jobs)

    async def redis_ms(self) -> float:
        """The CPU time that Redis has used."""
        return await self.place.cpu_us() / 1000

    async def postgres_ms(self) -> float:
        """The CPU time that this scene's connection to Postgres has used there."""
        return _cpu_ms(await self.database.run(lambda tx: tx.scalar(text("select pg_backend_pid()"))))

    async def commands(self) -> int:
        """How many commands Redis has run, those inside of scripts included."""
        return int((await self.place.redis.info("stats"))["total_commands_processed"])

    @asynccontextmanager
    async def without(self, *services: str) -> AsyncIterator[None]:
        """Services stand still for as long as the block."""
        pids = [pid for name in services for pid in self.fleet.pids_of(name)]
        for pid in pids:
            self.fleet.freeze(pid)
        try:
            yield
        finally:
            for pid in pids:
                self.fleet.thaw(pid)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Somebody has the overview open for as long as the block."""

        async def look() -> None:
            async with httpx.AsyncClient(base_url=self.pages, trust_env=False) as browser:
                while True:
                    (await browser.get("/live")).raise_for_status()
                    await asyncio.sleep(REFRESH)

        looking = asyncio.create_task(look())
        try:
            yield
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking


@asynccontextmanager
async def scene(folder: Path, tenants: int) -> AsyncIterator[Scene]:
    """Start servers and services on data in a folder; every queue is open, and empty."""
    async with EmbeddedPostgres(folder / "postgres") as postgres, private_place() as place:
        await upgrade(postgres.url)
        url = SecretStr(postgres.url)
        async with Database(DatabaseSettings(url=url, pool_size=1)) as database, _fleet() as fleet:
            await _insert(database, tenants)
            queues = {name: Queue(place.redis, spec, prefix=PREFIX) for name, spec in QUEUES.items()}
            ports = {name: free_port() for name in ("pages", "admin", "dispatch")}
            environment = _environment(postgres.url, place.server.url, ports["pages"])
            for name in ("admin", "dispatch"):
                command = (sys.executable, "-m", f"services.{name}")
                await fleet.start(name, command, {**environment, "PRIVATE_PORT": str(ports[name])})
            for queue in queues.values():
                await until(partial(queue.is_open, 0))
            yield Scene(
                place,
                database,
                Load(queues[WEBHOOKS.name], tenants),
                fleet,
                pages=f"http://127.0.0.1:{ports['pages']}",
                metrics=f"http://127.0.0.1:{ports['dispatch']}/metrics",
            )


@asynccontextmanager
async def _fleet() -> AsyncIterator[Fleet]:
    fleet = Fleet(lambda *_: None)
    try:
        yield fleet
    finally:
        await fleet.stop()


async def _insert(database: Database, tenants: int) -> None:
    async with database.begin() as tx:
        for statement in _ROWS.split(";"):
            await tx.execute(text(statement), {"tenants": tenants} if ":tenants" in statement else {})
    async with database.begin() as tx:
        await tx.execute(text("analyze"))


def _environment(database_url: str, redis_url: str, port: int) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "REDIS_PREFIX": settings(redis_url).prefix,
        "OUTREACH_SECRET_KEY": "s" * 32,
        "ADMIN_HOST": "127.0.0.1",
        "ADMIN_PORT": str(port),
        "ADMIN_DEVELOPMENT": "true",
    }


def _cpu_ms(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


async def shows(url: str, what: str) -> None:
    """Wait until a page tells it."""

    async def told() -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                return what in (await client.get(url)).text
            except httpx.TransportError:
                return False

    await until(told)
