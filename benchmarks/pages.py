"""What the admin pages cost: `python -m benchmarks.pages [--quick]`, on embedded servers.

A million jobs of 10,000 tenants wait, a thousand senders are closed and as many webhooks unprocessed. Printed
is what the overview takes, as a browser sees it and in the server's CPU, and what the pages ask of Redis
while nobody looks and while somebody asks as fast as it is answered.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import httpx
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy import text

from services.cli.bench.load import Load
from services.cli.demo.polling import until
from services.cli.fleet import Fleet
from shared.child import free_port
from shared.jobs import SENDS
from shared.queue.queue import Queue
from shared.redis.client import connect
from shared.redis.embedded import EmbeddedValkey
from shared.settings import DatabaseSettings, RedisSettings
from shared.store.database import Database
from shared.store.embedded import EmbeddedPostgres
from shared.store.migrate import upgrade

JOBS, TENANTS, REQUESTS = 1_000_000, 10_000, 300
IDLE_SECONDS = 10

_ROWS = """
insert into tenants (id, name) select gen_random_uuid(), 'tenant ' || n from generate_series(1, :tenants) n;
insert into closures (tenant_id, id, channel, reason)
    select id, gen_random_uuid(), 'email', 'unauthorized' from tenants limit 1000;
insert into deliveries (tenant_id, id, endpoint_id, provider, headers, body, received_at)
    select id, gen_random_uuid(), gen_random_uuid(), 'sendgrid', '{}', '', now() - interval '1 hour'
    from tenants limit 1000
"""


@dataclass(frozen=True)
class Pages:
    """The admin service in a process of its own, and the server it looks at."""

    url: str
    pid: int
    redis: Redis

    def cpu_ms(self) -> float:
        """The CPU time the service has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")

    async def redis_ms(self) -> float:
        """The CPU time Redis has used."""
        used = await self.redis.info("cpu")
        return float(used["used_cpu_user"] + used["used_cpu_sys"]) * 1000


async def fill(database: Database, redis: Redis, jobs: int, tenants: int) -> None:
    """Everything that waits."""
    async with database.begin() as connection:
        for statement in _ROWS.split(";"):
            bound = {"tenants": tenants} if ":tenants" in statement else {}
            await connection.execute(text(statement), bound)
    queue = Queue(redis, SENDS, prefix="outreach")
    await queue.begin_opening(0, 1)
    await queue.open(0, 1)
    await Load(queue, tenants).enqueue(jobs)


@asynccontextmanager
async def served(folder: Path, jobs: int, tenants: int) -> AsyncIterator[Pages]:
    """Start the servers, fill them, and start the pages."""
    async with EmbeddedPostgres(folder / "postgres") as postgres, EmbeddedValkey(folder / "valkey") as valkey:
        await upgrade(postgres.url)
        port, private = free_port(), free_port()
        environment = {
            "DATABASE_URL": postgres.url,
            "REDIS_URL": valkey.url,
            "OUTREACH_SECRET_KEY": "s" * 32,
            "ADMIN_HOST": "127.0.0.1",
            "ADMIN_PORT": str(port),
            "ADMIN_DEVELOPMENT": "true",
            "PRIVATE_PORT": str(private),
        }
        async with (
            connect(RedisSettings(url=SecretStr(valkey.url)), role="bench") as redis,
            Database(DatabaseSettings(url=SecretStr(postgres.url))) as database,
        ):
            await fill(database, redis, jobs, tenants)
            fleet = Fleet(lambda *_: None)
            await fleet.start("admin", (sys.executable, "-m", "services.admin"), environment)
            try:
                await until(lambda: _seen(f"http://127.0.0.1:{port}/", f"{jobs:,}"))
                yield Pages(f"http://127.0.0.1:{port}", fleet.pids_of("admin")[0], redis)
            finally:
                await fleet.stop()


async def _seen(url: str, what: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            return what in (await client.get(url)).text
        except httpx.TransportError:
            return False


async def asked(pages: Pages, requests: int) -> list[float]:
    """The overview, again and again: ms for each."""
    took = []
    async with httpx.AsyncClient(base_url=pages.url, trust_env=False, timeout=30) as client:
        for _ in range(requests):
            began = time.perf_counter()
            (await client.get("/")).raise_for_status()
            took.append((time.perf_counter() - began) * 1000)
    return took


async def measure(folder: Path, jobs: int, tenants: int, requests: int) -> None:
    """Print it all."""
    async with served(folder, jobs, tenants) as pages:
        await pages.redis.config_resetstat()
        cpu, redis, began = pages.cpu_ms(), await pages.redis_ms(), time.monotonic()
        await asyncio.sleep(IDLE_SECONDS)
        idle = time.monotonic() - began
        idle_cpu, idle_redis = (pages.cpu_ms() - cpu) / idle, (await pages.redis_ms() - redis) / idle
        cpu, redis, began = pages.cpu_ms(), await pages.redis_ms(), time.monotonic()
        took = await asked(pages, requests)
        busy = time.monotonic() - began
        per_request = (pages.cpu_ms() - cpu - idle_cpu * busy) / requests
        busy_redis = (await pages.redis_ms() - redis) / busy
        calls = (await pages.redis.info("commandstats"))["cmdstat_evalsha"]["usec_per_call"]
    print(f"{jobs:,} jobs wait, of {tenants:,} tenants; {requests} requests of the overview")
    print(f"as a browser sees it   {median(took):.1f} ms, p99 {quantiles(took, n=100)[98]:.1f} ms")
    print(f"the pages' CPU         {per_request:.1f} ms a request; {idle_cpu:.1f} ms a second without any")
    print(f"Redis' CPU             {idle_redis:.1f} ms a second without requests, {busy_redis:.1f} with")
    print(f"a script of a look     {calls} µs of Redis, on average")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description="What the pages cost.")
    parser.add_argument("--quick", action="store_true", help="few jobs: the figures mean little")
    few = parser.parse_args().quick
    with tempfile.TemporaryDirectory(prefix="outreach-pages-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        folder.chmod(0o711)  # root's Postgres runs as another account
        size = (10_000, 100, 50) if few else (JOBS, TENANTS, REQUESTS)
        asyncio.run(measure(folder, *size))


if __name__ == "__main__":
    main()
