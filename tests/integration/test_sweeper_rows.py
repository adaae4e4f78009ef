"""The sweeper and Postgres: lost submissions, unknown ends, holds without a pause, campaigns let go."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.dispatch.housekeeping import housekeeping
from services.dispatch.sweeper import RowSweeper
from shared.campaigns import enrollments
from shared.jobs import SENDS
from shared.settings import DispatchSettings
from shared.store import pauses, sweeping
from shared.store.database import Database
from shared.store.pauses import Pause
from tests.journeys import World, graph, send, to, wait

SUBMISSION = timedelta(seconds=50)
UNKNOWN_WINDOW = timedelta(hours=24)
NODES = graph(hello=send(to("done"), to("again", "failed")), again=send(to("done")))


def sweeper(world: World) -> RowSweeper:
    return RowSweeper(world.database, world.transitions, SUBMISSION, UNKNOWN_WINDOW)


async def in_status(world: World, status: str, age: timedelta, **fields: Any) -> Any:
    """The first contact's send in a status for so long; with its attempt."""
    await world.enrol(world.contacts[:1])
    action = (await world.actions())[0]
    at = datetime.now(UTC) - age
    await world.set_action(action["id"], status=status, g=3, status_at=at, **fields)
    await world.run(
        "insert into attempts (tenant_id, action_id, g, charged_at, channel, sender_id, cost, submitted_at)"
        " values (:t, :id, 3, :at, 'email', :sender, 1, :at)",
        id=action["id"],
        at=at,
        sender=world.senders["email"],
    )
    return action["id"]


def state(row: Mapping[str, Any]) -> tuple[str, int, str | None]:
    return row["status"], row["g"], row["reason"]


async def outcomes(world: World) -> list[tuple[int, str | None, bool]]:
    rows = await world.run("select g, outcome, given_back from attempts where tenant_id = :t")
    return [(row["g"], row["outcome"], row["given_back"]) for row in rows]


async def test_a_submission_that_must_have_ended_is_unknown_and_never_enqueued(database: Database) -> None:
    world = await World.create(database, NODES)
    await in_status(world, "submitting", SUBMISSION + timedelta(seconds=1))
    await sweeper(world).step()
    assert [state(row) for row in await world.actions()] == [("unknown", 3, "worker_lost")]
    assert await outcomes(world) == [(3, "unknown", False)]
    assert await world.path() == [("hello", None)]


async def test_a_submission_that_may_still_run_is_left_alone(database: Database) -> None:
    world = await World.create(database, NODES)
    await in_status(world, "submitting", SUBMISSION / 2)
    await sweeper(world).step()
    assert [state(row) for row in await world.actions()] == [("submitting", 3, None)]
    assert await outcomes(world) == [(3, None, False)]


async def test_an_unknown_send_stays_unknown_within_its_window(database: Database) -> None:
    world = await World.create(database, NODES)
    await in_status(world, "unknown", UNKNOWN_WINDOW / 2)
    await sweeper(world).step()
    assert [state(row) for row in await world.actions()] == [("unknown", 3, None)]


async def test_an_unknown_send_ends_as_failed_unconfirmed_and_its_visit_takes_the_failed_edge(
    database: Database,
) -> None:
    world = await World.create(database, NODES)
    await in_status(world, "unknown", UNKNOWN_WINDOW + timedelta(seconds=1))
    await sweeper(world).step()
    first, second = await world.actions()
    assert [state(first), state(second)] == [("failed", 3, "unconfirmed"), ("pending", 0, None)]
    assert await world.path() == [("hello", "failed"), ("again", None)]


async def test_a_tenant_with_another_policy_keeps_its_sends_unknown(database: Database) -> None:
    world = await World.create(database, NODES)
    await in_status(world, "unknown", UNKNOWN_WINDOW * 2)
    await world.run("update tenants set unknown_policy = 'keep' where id = :t")
    await sweeper(world).step()
    assert [state(row) for row in await world.actions()] == [("unknown", 3, None)]


async def test_a_webhook_that_confirms_a_send_while_it_is_given_up_wins(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await World.create(database, NODES)
    action = await in_status(world, "unknown", UNKNOWN_WINDOW * 2)
    sweep = sweeper(world)
    look = sweep._unknown.next

    async def then_confirmed() -> Any:
        found = await look()
        await world.set_action(action, status="accepted")
        return found

    monkeypatch.setattr(sweep._unknown, "next", then_confirmed)
    await sweep.step()
    assert [state(row) for row in await world.actions()] == [("accepted", 3, None)]
    assert await world.path() == [("hello", None)]


@pytest.mark.parametrize("reason", ["queue_paused", "tenant_paused"])
async def test_what_is_held_goes_on_when_no_pause_holds_it_any_more(database: Database, reason: str) -> None:
    world = await World.create(database, NODES)
    pause = Pause(SENDS.name, world.tenant_id if reason == "tenant_paused" else None)
    await in_status(world, "held", timedelta(0), reason=reason)
    async with database.begin() as tx:
        await pauses.add(tx, pause)
        await pauses.add(tx, Pause("outreach:timeout", None))
    await sweeper(world).step()
    assert [state(row) for row in await world.actions()] == [("held", 3, reason)]
    async with database.begin() as tx:
        await pauses.lift(tx, pause)
    await sweeper(world).step()
    assert [state(row) for row in await world.actions()] == [("pending", 4, None)]


async def test_tenants_whose_pause_is_lifted_go_on_and_no_others_so_many_rows_at_a_time(
    database: Database,
) -> None:
    free, paused, also_free = [await World.create(database, NODES, contacts=2) for _ in range(3)]
    for world in (free, paused, also_free):
        await world.enrol()
        await world.run(
            "update scheduled_actions set status = 'held', reason = 'queue_paused' where tenant_id = :t"
        )

    async def held() -> list[int]:
        rows = [await world.actions() for world in (free, paused, also_free)]
        return [sum(row["status"] == "held" for row in of_one) for of_one in rows]

    await database.run(lambda tx: pauses.add(tx, Pause(SENDS.name, None)))
    await database.run(lambda tx: pauses.add(tx, Pause(None, paused.tenant_id)))
    assert (await database.run(lambda tx: sweeping.release(tx, 10)), await held()) == (0, [2, 2, 2])
    await database.run(lambda tx: pauses.lift(tx, Pause(SENDS.name, None)))
    released = [await database.run(lambda tx: sweeping.release(tx, 3)) for _ in range(3)]
    assert (released, await held()) == ([3, 1, 0], [0, 2, 0])


async def test_what_a_campaigns_or_an_enrolments_pause_holds_is_not_let_go_with_the_tenant(
    database: Database,
) -> None:
    world = await World.create(database, NODES)
    await in_status(world, "held", timedelta(0), reason="enrollment_paused")
    await world.run("update enrollments set status = 'paused', paused_at = now() where tenant_id = :t")
    await sweeper(world).step()
    assert [state(row) for row in await world.actions()] == [("held", 3, "enrollment_paused")]
    await world.run("update campaigns set status = 'paused', paused_at = now() where tenant_id = :t")
    await world.run("update scheduled_actions set reason = 'campaign_paused' where tenant_id = :t")
    await sweeper(world).step()
    assert [state(row) for row in await world.actions()] == [("held", 3, "campaign_paused")]


@pytest.mark.parametrize("reason", ["campaign_paused", "enrollment_paused"])
async def test_what_a_worker_held_for_a_pause_that_was_lifted_meanwhile_goes_on(
    database: Database, reason: str
) -> None:
    world = await World.create(database, NODES)
    (enrolled,) = await world.enrol()
    await database.run(lambda tx: enrollments.pause_campaign(tx, world.tenant_id, world.campaign_id))
    await database.run(lambda tx: enrollments.pause(tx, world.tenant_id, [enrolled.enrollment_id]))
    await database.run(lambda tx: enrollments.resume_campaign(tx, world.tenant_id, world.campaign_id))
    await database.run(lambda tx: enrollments.resume(tx, world.tenant_id, [enrolled.enrollment_id]))
    (action,) = await world.actions()
    await world.set_action(action["id"], status="held", reason=reason)
    await sweeper(world).step()
    (released,) = await world.actions()
    assert (*state(released), released["due_at"]) == ("pending", 1, None, action["due_at"])


async def test_a_large_resumed_campaign_is_let_go_and_a_large_cancelled_one_ended_in_steps(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrollments.release_resumed, "__defaults__", (2, None))
    monkeypatch.setattr(enrollments.end_cancelled, "__defaults__", (2, None))
    world = await World.create(database, graph(pause=wait(60, "done")), contacts=5)
    await world.enrol()
    await database.run(lambda tx: enrollments.pause_campaign(tx, world.tenant_id, world.campaign_id))
    await world.run(
        "update scheduled_actions set status = 'held', reason = 'campaign_paused' where tenant_id = :t"
    )
    await database.run(lambda tx: enrollments.resume_campaign(tx, world.tenant_id, world.campaign_id))
    sweep = sweeper(world)
    while await sweep.step():
        pass
    assert {state(row) for row in await world.actions()} == {("pending", 1, None)}
    await database.run(lambda tx: enrollments.cancel_campaign(tx, world.tenant_id, world.campaign_id))
    while await sweep.step():
        pass
    rows = await world.run("select distinct status, exit from enrollments where tenant_id = :t")
    assert [dict(row) for row in rows] == [{"status": "cancelled", "exit": "cancelled"}]
    assert {row["status"] for row in await world.actions()} == {"cancelled"}


async def test_table_partitions_are_kept_ahead_and_only_old_deliveries_are_dropped(
    database: Database,
) -> None:
    world = await World.create(database, NODES)
    for table in ("deliveries", "attempts"):
        await world.run(
            f"create table {table}_p20200101 partition of {table}"
            " for values from ('2020-01-01T00:00:00Z') to ('2020-01-02T00:00:00Z')"
        )
    loop = housekeeping(database, DispatchSettings(partitions_ahead=9, keep_deliveries=timedelta(days=30)))
    await loop._step()
    rows = await world.run(
        "select inhparent::regclass::text as parent, inhrelid::regclass::text as name from pg_inherits"
        " where inhparent in ('deliveries'::regclass, 'attempts'::regclass)"
    )
    names = {row["name"] for row in rows}
    today = datetime.now(UTC).date()
    for table in ("deliveries", "attempts"):
        ahead = {f"{table}_p{today + timedelta(days=n):%Y%m%d}" for n in range(10)}
        assert ahead <= names
    assert "attempts_p20200101" in names
    assert "deliveries_p20200101" not in names


async def test_days_that_came_without_a_partition_stay_in_the_default_and_go_with_their_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.dispatch.housekeeping._AT_ONCE", 2)
    world = await World.create(database, NODES)
    today = datetime.now(UTC).date()
    days = [f"deliveries_p{today + timedelta(days=n):%Y%m%d}" for n in range(2)]
    for name in days:
        await world.run(f"drop table {name}")
    for days_ago in (0, 20, 40, 40, 40):
        await world.run(
            "insert into deliveries (tenant_id, id, received_at, endpoint_id, provider, headers, body)"
            " values (:t, gen_random_uuid(), :at, :t, 'sendgrid', '{}', '')",
            at=datetime.now(UTC) - timedelta(days=days_ago),
        )
    loop = housekeeping(database, DispatchSettings(keep_deliveries=timedelta(days=30)))
    assert [await loop._step(), await loop._step()] == [True, False]
    rows = await world.run("select tableoid::regclass::text as name from deliveries")
    assert [row["name"] for row in rows] == ["deliveries_default"] * 2
    rows = await world.run(
        "select to_regclass(:today) as today, to_regclass(:next) is null as next", today=days[0], next=days[1]
    )
    assert dict(rows[0]) == {"today": None, "next": False}
