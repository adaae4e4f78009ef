"""The sweeper and Redis: a row whose job is not what it says is set right, and no other row is touched."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from services.dispatch.sweeper import JobSweeper
from shared.jobs import WEBHOOKS, job_id
from shared.queue.types import Settlement, Verdict
from shared.redis.embedded import EmbeddedValkey
from shared.settings import DispatchSettings
from shared.store.database import Database
from shared.store.ids import uuid7
from tests.dispatching import Replica, dispatching
from tests.journeys import World, graph, send, to, wait

LEASE = timedelta(seconds=30)
LONG_AGO = datetime.now(UTC) - timedelta(minutes=6)


def sweeper(world: World, dispatch: Replica) -> JobSweeper:
    sends, timeouts, webhooks = dispatch.queues
    return JobSweeper(
        world.database, (sends, timeouts, webhooks), world.transitions, DispatchSettings(), LEASE
    )


async def enqueued(world: World, dispatch: Replica) -> Mapping[str, Any]:
    """One send on its way, for longer than the sweeper looks away."""
    await dispatch.open()
    await world.enrol(world.contacts[:1])
    await dispatch.send_round()
    (action,) = await world.actions()
    await world.set_action(action["id"], status_at=LONG_AGO)
    return (await world.actions())[0]


def state(row: Mapping[str, Any]) -> tuple[str, int, str | None]:
    return row["status"], row["g"], row["reason"]


async def test_an_enqueued_row_whose_job_is_gone_goes_back_under_the_next_generation(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, graph(hello=send(to("done"))))
    async with dispatching(database, valkey_url) as dispatch:
        action = await enqueued(world, dispatch)
        await dispatch.sends.remove(0, [job_id("send", action["id"], 0)])
        await sweeper(world, dispatch).step()
        assert [state(row) for row in await world.actions()] == [("pending", 1, None)]
        await dispatch.send_round()
        assert [job.id for job in await dispatch.claim()] == [job_id("send", action["id"], 1)]


async def test_a_row_whose_job_waits_or_runs_is_left_alone(database: Database, valkey_url: str) -> None:
    world = await World.create(database, graph(hello=send(to("done"))))
    async with dispatching(database, valkey_url) as dispatch:
        action = await enqueued(world, dispatch)
        await sweeper(world, dispatch).step()
        await dispatch.claim()
        await sweeper(world, dispatch).step()
    assert await world.actions() == [action]


async def test_a_row_that_was_enqueued_lately_is_not_looked_up(database: Database, valkey_url: str) -> None:
    world = await World.create(database, graph(hello=send(to("done"))))
    async with dispatching(database, valkey_url) as dispatch:
        action = await enqueued(world, dispatch)
        await world.set_action(action["id"], status_at=datetime.now(UTC))
        await dispatch.sends.remove(0, [job_id("send", action["id"], 0)])
        await sweeper(world, dispatch).step()
    assert [state(row) for row in await world.actions()] == [("enqueued", 0, None)]


async def test_a_row_that_moved_on_while_redis_was_asked_stays_as_it_is(
    database: Database, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await World.create(database, graph(hello=send(to("done"))))
    async with dispatching(database, valkey_url) as dispatch:
        action = await enqueued(world, dispatch)
        await dispatch.sends.remove(0, [job_id("send", action["id"], 0)])
        ask = dispatch.sends.look_up

        async def slow(*args: Any) -> Any:
            answer = await ask(*args)
            await world.set_action(action["id"], status="submitting")
            return answer

        monkeypatch.setattr(dispatch.sends, "look_up", slow)
        await sweeper(world, dispatch).step()
    assert [state(row) for row in await world.actions()] == [("submitting", 0, None)]


async def test_a_redis_that_does_not_answer_makes_nothing_absent(
    database: Database, valkey: EmbeddedValkey, valkey_url: str
) -> None:
    world = await World.create(database, graph(hello=send(to("done"))))
    async with dispatching(database, valkey_url) as dispatch:
        action = await enqueued(world, dispatch)
        await valkey.stop()
        with pytest.raises(RedisConnectionError):
            await sweeper(world, dispatch).step()
    assert await world.actions() == [action]


async def test_a_send_whose_job_failed_fails_with_the_jobs_reason_and_takes_its_failed_edge(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(
        database, graph(hello=send(to("done"), to("again", "failed")), again=send(to("done")))
    )
    async with dispatching(database, valkey_url) as dispatch:
        await enqueued(world, dispatch)
        (job,) = await dispatch.claim()
        await dispatch.sends.settle(0, [Settlement(job, Verdict.FAILED, reason="stalled")])
        await sweeper(world, dispatch).step()
    first, second = await world.actions()
    assert [state(first), state(second)] == [("failed", 0, "stalled"), ("pending", 0, None)]
    assert await world.path() == [("hello", "failed"), ("again", None)]


async def test_a_timeout_whose_job_failed_is_tried_anew_since_its_visit_would_wait_for_ever(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, graph(pause=wait(1, "done")))
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await world.enrol()
        (action,) = await world.actions()
        await world.set_action(action["id"], due_at=LONG_AGO)
        await dispatch.rounds.time_out()
        await world.set_action(action["id"], status_at=LONG_AGO)
        (job,) = await dispatch.claim(queue=dispatch.timeouts)
        await dispatch.timeouts.settle(0, [Settlement(job, Verdict.FAILED, reason="stalled")])
        await sweeper(world, dispatch).step()
    (row,) = await world.actions()
    assert state(row) == ("pending", 1, None)
    assert row["due_at"] > datetime.now(UTC)


async def deliver(world: World, status: str, **fields: Any) -> Any:
    """A stored body in a state since long ago."""
    delivery = uuid7()
    row = {"state_at": LONG_AGO, "received_at": LONG_AGO, "retry_at": None, **fields}
    await world.run(
        "insert into deliveries (tenant_id, id, received_at, endpoint_id, provider, headers, body, state,"
        " state_at, retry_at) values (:t, :id, :received_at, :id, 'sendgrid', '{}', '', :state, :state_at,"
        " :retry_at)",
        id=delivery,
        state=status,
        **row,
    )
    return delivery


async def deliveries(world: World) -> list[tuple[str, int, str | None]]:
    rows = await world.run("select state, g, reason from deliveries where tenant_id = :t order by id")
    return [(row["state"], row["g"], row["reason"]) for row in rows]


@pytest.mark.parametrize("status", ["received", "processing", "parked"])
async def test_a_delivery_that_nobody_works_on_is_enqueued_under_the_next_generation(
    database: Database, valkey_url: str, status: str
) -> None:
    world = await World.create(database, graph(hello=send(to("done"))))
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        delivery = await deliver(world, status, retry_at=LONG_AGO if status == "parked" else None)
        await sweeper(world, dispatch).step()
        assert await deliveries(world) == [("received", 1, None)]
        (job,) = await dispatch.claim(queue=dispatch.webhooks)
        assert (job.id, job.lane) == (job_id("webhook", delivery, 1), str(world.tenant_id))
        assert job.priority == WEBHOOKS.priority


async def test_a_delivery_that_is_new_or_in_work_or_parked_for_later_is_left_alone(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, graph(hello=send(to("done"))))
    now = datetime.now(UTC)
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await deliver(world, "received", state_at=now)
        await deliver(world, "processing", state_at=now - LEASE / 2)
        await deliver(world, "parked", retry_at=now + LEASE)
        await sweeper(world, dispatch).step()
        assert await dispatch.claim(queue=dispatch.webhooks) == []
    assert await deliveries(world) == [("received", 0, None), ("processing", 0, None), ("parked", 0, None)]


async def test_a_delivery_whose_job_failed_fails_with_its_reason(database: Database, valkey_url: str) -> None:
    world = await World.create(database, graph(hello=send(to("done"))))
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await deliver(world, "received")
        sweep = sweeper(world, dispatch)
        await sweep.step()
        (job,) = await dispatch.claim(queue=dispatch.webhooks)
        await dispatch.webhooks.settle(0, [Settlement(job, Verdict.FAILED, reason="stalled")])
        await world.run("update deliveries set state_at = :at where tenant_id = :t", at=LONG_AGO)
        await sweep.step()
    assert await deliveries(world) == [("failed", 1, "stalled")]


async def test_a_pass_is_bounded_and_goes_on_where_the_last_one_stopped(
    database: Database, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.dispatch.sweeper._AT_ONCE", 2)
    world = await World.create(database, graph(hello=send(to("done"))), contacts=5)
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await world.enrol()
        await dispatch.send_round()
        await world.run("update scheduled_actions set status_at = :at where tenant_id = :t", at=LONG_AGO)
        await dispatch.redis.flushall()
        sweep = sweeper(world, dispatch)
        turns = []
        for _ in range(4):
            turns.append(await sweep.step())
    assert turns == [True, True, False, False]
    assert {state(row) for row in await world.actions()} == {("pending", 1, None)}
