"""What measuring costs dispatch: `python -m benchmarks.gauges`, on embedded servers of its own.

10,000 tenants have 100 jobs each in the queue of sends and 100 rows due behind them; and once more when half
of the tenants have spent their limits. Printed is a step of each gauge's loop: time, this process's CPU, the
CPU of Redis and its commands, those inside of scripts included. What a scrape of it costs is a row of
`benchmarks.pages`.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy import text

from services.dispatch.gauges import QueueGauges, RowGauges
from services.dispatch.scaling import Scaling
from shared import log
from shared.jobs import SendJob, job_id
from shared.metrics import Metrics
from shared.queue.types import NewJob, SubjectConfig
from shared.settings import (
    DatabaseSettings,
    LimitSettings,
    LogSettings,
    ScalingSettings,
)
from shared.store.database import Database
from shared.store.migrate import upgrade
from tests.dispatching import Replica, dispatching
from tests.servers import postgres_in, query, serving, valkey_in

EACH = 100
AT_ONCE = 1_000
TIMES = 9

_ROWS = text("""
insert into scheduled_actions (
    tenant_id, id, kind, status, due_at, scheduled_at, enrollment_id, visit_id, campaign_id, contact_id,
    node_id, channel, sender_id
)
select tenant, gen_random_uuid(), 'send', 'pending', now() - interval '1 hour', now(), tenant,
    gen_random_uuid(), tenant, tenant, 'hello', 'email', tenant
from unnest(cast(:tenants as uuid[])) as tenant cross join generate_series(1, :each)
""")


@dataclass(frozen=True, slots=True)
class Cost:
    """Medians, ms; and the most of the time."""

    wall: float
    worst: float
    cpu: float
    redis: float
    calls: int


async def fill_queue(dispatch: Replica, tenants: Sequence[UUID]) -> None:
    """Every tenant's jobs, in turn."""
    for _ in range(EACH):
        for at in range(0, len(tenants), AT_ONCE):
            await dispatch.sends.enqueue([job(tenant) for tenant in tenants[at : at + AT_ONCE]])


def job(tenant: UUID) -> NewJob:
    """A send of a tenant's only sender."""
    envelope = SendJob(
        tenant_id=tenant,
        scheduled_action_id=uuid4(),
        campaign_id=tenant,
        contact_id=tenant,
        node_id="hello",
        channel="email",
        sender_id=tenant,
    )
    return NewJob(job_id("send", envelope.scheduled_action_id, 0), envelope.lane, envelope.wire())


async def fill_rows(database: Database, tenants: Sequence[UUID]) -> None:
    """Rows that are due behind the jobs; nobody looks at what they point to."""
    for at in range(0, len(tenants), AT_ONCE // 4):
        async with database.begin() as tx:
            await tx.exec_driver_sql("set local session_replication_role = replica")
            await tx.execute(_ROWS, {"tenants": list(tenants[at : at + AT_ONCE // 4]), "each": EACH})
    async with database.begin() as tx:
        await tx.exec_driver_sql("analyze scheduled_actions")


async def park(dispatch: Replica, tenants: Sequence[UUID]) -> None:
    """Let these tenants wait for their limits."""
    shut = [SubjectConfig(f"{tenant}/email", paused=True) for tenant in tenants]
    for at in range(0, len(shut), AT_ONCE):
        await dispatch.sends.configure(0, shut[at : at + AT_ONCE])
    while (await dispatch.sends.measure(0)).parked < len(tenants):
        await dispatch.claim()


async def cost(redis: Redis, work: Callable[[], Awaitable[object]]) -> Cost:
    """What a call costs, of several."""
    walls, cpus, servers, calls = [], [], [], []
    await work()  # connects, and plans its statements
    for _ in range(TIMES):
        before, begun, cpu = await used(redis), time.perf_counter(), time.process_time()
        await work()
        walls.append((time.perf_counter() - begun) * 1000)
        cpus.append((time.process_time() - cpu) * 1000)
        after = await used(redis)
        servers.append(after[0] - before[0])
        calls.append(after[1] - before[1] - 2)  # but for the two that ask
    middle = TIMES // 2
    walls, cpus, servers, calls = sorted(walls), sorted(cpus), sorted(servers), sorted(calls)
    return Cost(walls[middle], walls[-1], cpus[middle], servers[middle], int(calls[middle]))


async def used(redis: Redis) -> tuple[float, float]:
    """The server's CPU, ms, and its calls."""
    cpu, stats = await redis.info("cpu"), await redis.info("stats")
    return (cpu["used_cpu_user"] + cpu["used_cpu_sys"]) * 1000, stats["total_commands_processed"]


async def table(dispatch: Replica, database: Database) -> None:
    """Print what each thing costs now."""
    metrics = Metrics.create()
    scaling = Scaling(
        dispatch.queues,
        dispatch.configuration,
        LimitSettings(),
        ScalingSettings(),
        timedelta(minutes=1),
    )
    steps = {
        "gauges of queues": QueueGauges(scaling, metrics).step,
        "gauges of rows": RowGauges(database, metrics).step,
    }
    for name, work in steps.items():
        found = await cost(dispatch.redis, work)
        print(
            f"{name:18} {found.wall:8.1f} ms (worst {found.worst:.1f}), {found.cpu:.1f} ms CPU here,"
            f" {found.redis:.1f} ms CPU of Redis in {found.calls} commands"
        )


async def measure(url: str, redis_url: str, count: int) -> None:
    """Print all of it."""
    await upgrade(url)
    database = Database(DatabaseSettings(url=SecretStr(url)))
    tenants = [uuid4() for _ in range(count)]
    await fill_rows(database, tenants)
    async with dispatching(database, redis_url) as dispatch:
        await dispatch.open()
        await fill_queue(dispatch, tenants)
        print(f"{count * EACH} jobs and as many rows of {count} tenants")
        await table(dispatch, database)
        await park(dispatch, tenants[::2])
        print("half of the tenants parked")
        await table(dispatch, database)
    await database.close()


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gauges", description="What measuring costs.")
    parser.add_argument("--tenants", type=int, default=10_000)
    arguments = parser.parse_args()
    log.configure("bench", LogSettings(level="WARNING"))
    with serving(valkey_in) as valkey, serving(postgres_in) as postgres:
        asyncio.run(query(postgres.dsn, "create database gauges"))
        asyncio.run(measure(postgres.url_of("gauges"), valkey.url, arguments.tenants))


if __name__ == "__main__":
    main()
