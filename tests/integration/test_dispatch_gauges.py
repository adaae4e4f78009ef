"""What dispatch measures of queues and tables, and how many workers it says they are worth."""

import asyncio
import math
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import insert

from services.dispatch.app import build
from services.dispatch.gauges import QueueGauges, RowGauges
from services.dispatch.scaling import Scaling
from services.dispatch.settings import DispatcherSettings
from shared.errors import NotMeasured, StoreUnavailable
from shared.jobs import QUEUES, SENDS, TIMEOUTS, WEBHOOKS
from shared.metrics import Metrics
from shared.process import Shell
from shared.queue.types import NewJob, Settlement, SubjectConfig, Verdict
from shared.redis.embedded import EmbeddedValkey
from shared.settings import (
    DatabaseSettings,
    LimitSettings,
    PrivateSettings,
    RedisSettings,
    ScalingSettings,
)
from shared.store import closures, gauging, limit_rows, pauses
from shared.store.closures import Closure
from shared.store.database import Database
from shared.store.limit_rows import InForce
from shared.store.pauses import Pause
from shared.store.tables import scaling_pins
from tests.brokers import until
from tests.dispatching import Replica, dispatching, limit
from tests.journeys import World, graph, send, to

HELLO = graph(hello=send(to("done")))
LONG = timedelta(minutes=1)


def figures(metrics: Metrics, *names: str) -> dict[str, float]:
    """The samples of these metrics, by name without its prefix and the values of its labels."""
    found = {
        " ".join((sample.name.removeprefix("outreach_"), *sample.labels.values())): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
    return {key: value for key, value in found.items() if key.split()[0] in names}


def weighing(dispatch: Replica, believe: timedelta = LONG, **settings: Any) -> Scaling:
    return Scaling(
        dispatch.queues, dispatch.configuration, LimitSettings(), ScalingSettings(**settings), believe
    )


async def measured(scaling: Scaling, *names: str) -> dict[str, float]:
    metrics = Metrics.create()
    await QueueGauges(scaling, metrics).step()
    return figures(metrics, *names)


async def test_rows_are_counted_by_what_an_operator_acts_on(database: Database) -> None:
    world = await World.create(database, HELLO, contacts=6)
    await world.enrol()
    first, second, third, *_ = [action["id"] for action in await world.actions()]
    await world.run("update scheduled_actions set due_at = now() - interval '90 s' where kind = 'send'")
    await world.set_action(first, status="unknown")
    await world.set_action(second, status="accepted")
    await world.set_action(third, due_at=datetime.now(UTC) - timedelta(seconds=30))
    for state, minutes in (("received", 3), ("received", 5), ("parked", 7), ("processed", 9), ("failed", 9)):
        await world.run(
            "insert into deliveries (tenant_id, id, endpoint_id, provider, headers, body, state, received_at)"
            " values (:t, gen_random_uuid(), :t, 'sendgrid', '{}', '', :state,"
            " now() - make_interval(mins => :minutes))",
            state=state,
            minutes=minutes,
        )
    metrics = Metrics.create()
    await RowGauges(database, metrics).step()
    ages = figures(metrics, "actions_overdue_seconds", "deliveries_unprocessed_seconds")
    assert {key: round(value / 10) for key, value in ages.items()} == {
        "actions_overdue_seconds send": 9,
        "actions_overdue_seconds timeout": 0,
        "deliveries_unprocessed_seconds received": 30,
        "deliveries_unprocessed_seconds processing": 0,
        "deliveries_unprocessed_seconds parked": 42,
    }
    counts = ("sends_unknown", "actions_overdue", "deliveries_unprocessed", "senders_closed", "server_up")
    assert figures(metrics, *counts, "table_partitions_ahead") == {
        "sends_unknown": 1,
        "actions_overdue send": 3,
        "actions_overdue timeout": 0,
        "deliveries_unprocessed received": 2,
        "deliveries_unprocessed processing": 0,
        "deliveries_unprocessed parked": 1,
        "senders_closed unauthorized": 0,
        "senders_closed rate_limited": 0,
        "senders_closed ambiguous": 0,
        "server_up postgres": 1,
        "table_partitions_ahead deliveries": 7,
        "table_partitions_ahead attempts": 7,
    }


async def test_only_what_dispatch_ought_to_take_is_overdue(database: Database) -> None:
    world = await World.create(database, HELLO, contacts=3)
    await world.enrol()
    await world.run("update scheduled_actions set due_at = now() - interval '1 hour'")
    metrics = Metrics.create()
    gauges = RowGauges(database, metrics)

    async def late() -> float:
        await gauges.step()
        return figures(metrics, "actions_overdue")["actions_overdue send"]

    assert await late() == 3
    for pause in (Pause(None, None), Pause(SENDS.name, None), Pause(None, world.tenant_id)):
        await database.run(lambda tx, pause=pause: pauses.add(tx, pause))
        assert await late() == 0
        await database.run(lambda tx, pause=pause: pauses.lift(tx, pause))
    closure = Closure(world.tenant_id, "email", world.senders["email"], "unauthorized", None)
    await database.run(lambda tx: closures.close(tx, [closure]))
    assert await late() == 0
    assert figures(metrics, "senders_closed")["senders_closed unauthorized"] == 1
    await database.run(lambda tx: closures.reopen(tx, world.tenant_id, world.senders["email"]))
    assert await late() == 3
    await world.set_action((await world.actions())[0]["id"], status="enqueued")
    assert await late() == 0, "its limits let a lane with jobs in the queue go no faster"


async def test_of_a_flood_no_more_is_counted_than_is_worth_knowing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauging, "_MOST_ACTIONS", 4)
    for _ in range(2):
        world = await World.create(database, HELLO, contacts=3)
        await world.enrol()
        await world.run("update scheduled_actions set due_at = now() - interval '90 s' where tenant_id = :t")
    await world.run("update scheduled_actions set due_at = now() - interval '150 s' where tenant_id = :t")
    metrics = Metrics.create()
    await RowGauges(database, metrics).step()
    found = figures(metrics, "actions_overdue", "actions_overdue_seconds")
    assert {key: round(value / 10) * 10 if "seconds" in key else value for key, value in found.items()} == {
        "actions_overdue send": 4,
        "actions_overdue timeout": 0,
        "actions_overdue_seconds send": 150,
        "actions_overdue_seconds timeout": 0,
    }


async def test_days_ahead_end_at_the_first_that_is_missing(database: Database) -> None:
    in_three_days = await database.run(
        lambda tx: tx.exec_driver_sql("select to_char((now() at time zone 'utc')::date + 3, 'YYYYMMDD')")
    )
    async with database.begin() as tx:
        await tx.exec_driver_sql(f"drop table attempts_p{in_three_days.scalar_one()}")
    metrics = Metrics.create()
    await RowGauges(database, metrics).step()
    assert figures(metrics, "table_partitions_ahead") == {
        "table_partitions_ahead deliveries": 7,
        "table_partitions_ahead attempts": 2,
    }


async def test_a_queue_is_measured_with_what_could_run_apart_from_what_waits(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=45)
    await world.enrol()
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await dispatch.send_round()
        scaling = weighing(dispatch)
        before = await measured(scaling, "queue_depth", "queue_runnable", "queue_parked")
        jobs = await dispatch.claim()
        await dispatch.claim()
        await dispatch.sends.settle(0, [Settlement(jobs[0], Verdict.FAILED, reason="no")])
        await dispatch.webhooks.enqueue([NewJob(f"w{n}", "a", b"{}") for n in range(3)])
        after = await measured(
            scaling, "queue_depth", "queue_runnable", "queue_parked", "limit_refusals_total"
        )
    assert {key: value for key, value in before.items() if value} == {
        "queue_depth outreach:send waiting": 45,
        "queue_runnable outreach:send": 45,
    }
    assert {key: value for key, value in after.items() if value} == {
        "queue_depth outreach:send waiting": 25,
        "queue_depth outreach:send active": 19,
        "queue_depth outreach:send failed": 1,
        "queue_depth webhook:process waiting": 3,
        "queue_runnable webhook:process": 3,
        "queue_parked outreach:send": 1,
        "limit_refusals_total outreach:send sender": 1,
    }
    assert len(after) == 3 * 5 + 3 + 3 + 1, "each state of each queue is there, also at none"


async def test_refusals_count_on_when_redis_forgot_them(database: Database, valkey_url: str) -> None:
    world = await World.create(database, HELLO, contacts=30)
    await world.enrol()
    async with dispatching(database, valkey_url) as dispatch:
        metrics = Metrics.create()
        gauges = QueueGauges(weighing(dispatch), metrics)
        for _ in range(2):
            await dispatch.open()
            await dispatch.send_round()
            await dispatch.claim()
            await gauges.step()
            await gauges.step()
            await dispatch.redis.flushall()
            await gauges.step()
        assert list(figures(metrics, "limit_refusals_total").values()) == [2]


async def test_workers_wanted_follow_what_could_run_and_what_limits_allow(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=60)
    await world.enrol()
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await dispatch.send_round()
        scaling = weighing(dispatch, most=50, drain=timedelta(seconds=60), patience=timedelta(hours=1))
        await dispatch.sends.beat("one", 2, 30.0)
        await dispatch.configuration.refresh()

        async def wanted() -> dict[str, Any]:
            await measured(scaling)
            return await scaling.answer(SENDS.name)

        assert await wanted() == {
            "queue": "outreach:send",
            "pinnedWorkers": None,
            "desiredWorkers": 5,  # sixty jobs of 30 s in a minute are thirty slots; twenty mails may go: ten
            "workers": 1,
            "runnable": 60,
            "active": 0,
            "oldestRunnableSeconds": (await scaling.answer(SENDS.name))["oldestRunnableSeconds"],
            "secondsPerJob": 30.0,
            "slotsPerWorker": 2,
            "jobsPerSecondLimit": round(20 / 60, 3),
        }
        await limit(world, minute=1_000)
        await dispatch.configuration.refresh()
        assert (await wanted())["desiredWorkers"] == 15
        await database.run(lambda tx: pauses.add(tx, Pause(SENDS.name, None)))
        await dispatch.configuration.refresh()
        assert ((await wanted())["runnable"], (await wanted())["desiredWorkers"]) == (0, 1)


async def test_an_operators_pin_decides_how_many_workers_within_the_bounds(
    database: Database, valkey_url: str
) -> None:
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await dispatch.webhooks.enqueue([NewJob(f"w{n}", f"tenant-{n}", b"{}") for n in range(1_000)])
        scaling = weighing(dispatch, least=2, most=9, drain=timedelta(seconds=10))

        async def pinned(workers: int | None) -> tuple[float, Any, Any]:
            async with database.begin() as tx:
                await tx.exec_driver_sql("delete from scaling_pins")
                if workers is not None:
                    row = {"queue": WEBHOOKS.name, "workers": workers, "by": "olga"}
                    await tx.execute(insert(scaling_pins).values(row))
            await dispatch.configuration.refresh()
            shown = await measured(scaling, "desired_workers")
            answer = await scaling.answer(WEBHOOKS.name)
            others = {shown.pop(f"desired_workers {spec.name}") for spec in (SENDS, TIMEOUTS)}
            assert others == {2}, "a pin is of one queue"
            (metric,) = shown.values()
            return metric, answer["desiredWorkers"], answer["pinnedWorkers"]

        assert await pinned(None) == (9, 9, None)
        assert await pinned(4) == (4, 4, 4)
        assert await pinned(0) == (2, 2, 0)
        assert await pinned(50) == (9, 9, 50)
        await database.run(lambda tx: pauses.add(tx, Pause(None, None)))
        assert await pinned(4) == (4, 4, 4)
        assert await pinned(None) == (2, 2, None)


async def test_no_workers_are_asked_for_before_the_rows_were_read(
    database: Database, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with dispatching(database, valkey_url) as dispatch:
        scaling = weighing(dispatch, most=9)
        async with database.begin() as tx:
            await tx.execute(insert(scaling_pins).values(queue=SENDS.name, workers=7, by="olga"))
        with monkeypatch.context() as away:
            away.setattr(limit_rows, "read", unavailable)
            with pytest.raises(StoreUnavailable):
                await measured(scaling)
            with pytest.raises(NotMeasured):
                await scaling.answer(SENDS.name)
        assert (await measured(scaling, "desired_workers"))[f"desired_workers {SENDS.name}"] == 7
        monkeypatch.setattr(limit_rows, "read", unavailable)
        assert (await measured(scaling, "desired_workers"))[f"desired_workers {SENDS.name}"] == 7


async def unavailable(*_: Any) -> InForce:
    """Postgres is away."""
    raise StoreUnavailable


async def test_no_more_of_the_line_is_looked_at_than_decides_how_many_workers(
    database: Database, valkey_url: str
) -> None:
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await dispatch.webhooks.enqueue([NewJob(f"w{n}", f"tenant-{n}", b"{}") for n in range(1_000)])
        await dispatch.webhooks.configure(0, [SubjectConfig("shut", paused=True)])
        await dispatch.webhooks.enqueue([NewJob("shut", "shut", b"{}")])
        while not (await dispatch.webhooks.measure(0)).parked:
            await dispatch.claim(queue=dispatch.webhooks)
        waiting = (await dispatch.webhooks.counts(0)).waiting
        found = []
        for most in (1, 1_000):
            scaling = weighing(dispatch, least=0, most=most, drain=timedelta(seconds=10))
            await dispatch.redis.config_resetstat()
            await measured(scaling)
            calls = (await dispatch.redis.info("commandstats"))["cmdstat_zcard"]["calls"]
            answer = await scaling.answer(WEBHOOKS.name)
            found.append((answer["desiredWorkers"], calls, waiting - answer["runnable"]))
    (fewest, few, near), (most, many, exact) = found
    assert (fewest, exact, near < 100) == (1, 1, True), "only what is shut does not run"
    assert most > 1 and many - few == (waiting - 1) // 100


async def test_what_limits_hold_back_is_worth_no_worker(database: Database, valkey_url: str) -> None:
    world = await World.create(database, HELLO, contacts=60)
    await world.enrol()
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await dispatch.send_round()
        await dispatch.sends.beat("one", 2, 30.0)
        jobs = await dispatch.claim()
        await dispatch.sends.settle(0, [Settlement(job, Verdict.COMPLETED) for job in jobs])
        delayed = [NewJob(f"d{n}", "a", b"{}", delay=LONG) for n in range(100)]
        await dispatch.timeouts.enqueue(delayed)
        found = await measured(weighing(dispatch), "desired_workers", "queue_runnable", "workers")
    assert found == {
        **{f"desired_workers {spec.name}": 1 for spec in (SENDS, TIMEOUTS, WEBHOOKS)},
        **{f"queue_runnable {spec.name}": 0 for spec in (SENDS, TIMEOUTS, WEBHOOKS)},
        "workers outreach:send": 1,
        "workers outreach:timeout": 0,
        "workers webhook:process": 0,
    }


async def test_what_comes_due_while_there_is_no_worker_is_worth_one(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=30)
    await world.enrol()
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await dispatch.send_round()
        scaling = weighing(dispatch, least=0)

        async def wanted() -> list[int]:
            await measured(scaling)
            return [(await scaling.answer(spec.name))["desiredWorkers"] for spec in (SENDS, TIMEOUTS)]

        jobs = await dispatch.claim()
        await dispatch.claim()
        await dispatch.sends.settle(0, [Settlement(job, Verdict.COMPLETED) for job in jobs])
        await dispatch.timeouts.enqueue([NewJob("d", "a", b"{}", delay=timedelta(milliseconds=1))])
        parked = f"{{outreach:{SENDS.name}/0}}:parked"
        for member in await dispatch.redis.zrange(parked, 0, -1):
            await dispatch.redis.zadd(parked, {member: time.time() * 1000 + 60_000})
        before = await wanted()
        for member in await dispatch.redis.zrange(parked, 0, -1):
            await dispatch.redis.zadd(parked, {member: 1})
        assert (before, await wanted()) == ([0, 1], [1, 1])


async def test_autoscalers_are_told_nothing_old(database: Database, valkey_url: str) -> None:
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        lately, never = weighing(dispatch), weighing(dispatch, believe=timedelta(0))
        with pytest.raises(NotMeasured):
            await lately.answer(SENDS.name)
        for scaling in (lately, never):
            await measured(scaling)
        assert (await lately.answer(SENDS.name))["desiredWorkers"] == 1
        with pytest.raises(NotMeasured):
            await never.answer(SENDS.name)


async def test_figures_of_a_redis_that_is_away_are_not_shown(
    database: Database, valkey: EmbeddedValkey, valkey_url: str
) -> None:
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        metrics = Metrics.create()
        gauges = QueueGauges(weighing(dispatch), metrics)
        shown = ("server_up", "queue_depth", "workers", "desired_workers")
        await gauges.step()
        before = figures(metrics, *shown)
        assert (len(before), before["server_up redis"]) == (1 + 15 + 3 + 3, 1)
        await valkey.stop()
        with pytest.raises(RedisConnectionError):
            await gauges.step()
        assert figures(metrics, *shown) == {"server_up redis": 0}
        await valkey.start()
        await gauges.step()
        assert figures(metrics, *shown) == before


async def test_figures_of_a_postgres_that_is_away_are_not_shown(
    database: Database, unused_tcp_port: int
) -> None:
    metrics = Metrics.create()
    shown = ("server_up", "sends_unknown", "actions_overdue", "deliveries_unprocessed")
    await RowGauges(database, metrics).step()
    assert len(figures(metrics, *shown)) == 1 + 1 + 2 + 3
    away = Database(DatabaseSettings(url=SecretStr(f"postgresql://u@127.0.0.1:{unused_tcp_port}/none")))
    with pytest.raises(StoreUnavailable):
        await RowGauges(away, metrics).step()
    found = figures(metrics, *shown)
    assert math.isnan(found.pop("sends_unknown"))
    assert found == {"server_up postgres": 0}


async def test_dispatch_tells_prometheus_and_autoscalers(database_url: str, valkey_url: str) -> None:
    settings = DispatcherSettings(
        redis=RedisSettings(url=SecretStr(valkey_url)),
        database=DatabaseSettings(url=SecretStr(database_url)),
        private=PrivateSettings(port=0, token=SecretStr("a token of length")),
        scaling=ScalingSettings(bounds={SENDS.name: (3, 9)}),
    )
    shell = Shell(build(settings), settings.private)
    serving = asyncio.create_task(shell.serve())
    await shell.started.wait()
    assert shell.port.address is not None
    host, port = shell.port.address
    async with httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:

        async def told() -> bool:
            text = (await client.get("/metrics")).text
            return all(
                f"{line}\n" in text
                for line in (
                    'outreach_server_up{server="redis"} 1.0',
                    'outreach_server_up{server="postgres"} 1.0',
                    'outreach_queue_depth{queue="webhook:process",state="waiting"} 0.0',
                    'outreach_desired_workers{queue="outreach:send"} 3.0',
                    'outreach_desired_workers{queue="webhook:process"} 1.0',
                    'outreach_table_partitions_ahead{table="attempts"} 7.0',
                )
            )

        await until(told)
        headers = {"Authorization": "Bearer a token of length"}
        answers = [await client.get(f"/internal/scaling/{name}", headers=headers) for name in QUEUES]
        assert [(each.status_code, each.json()["desiredWorkers"]) for each in answers] == [
            (200, 1),
            (200, 3),
            (200, 1),
        ]
        assert (await client.get("/internal/scaling/outreach:send")).status_code == 401
    shell.stopping.set()
    await serving
