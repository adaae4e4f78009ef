"""The guard after a restore: what may have gone out is unknown, and nothing else is touched."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from shared.campaigns.transitions import Transitions
from shared.errors import OutOfRange
from shared.operate import Desk, Via, guarding
from shared.store.database import Database
from tests.commands import misused, refused
from tests.dispatching import dispatching
from tests.journeys import TIMEOUTS, World, graph, mail_event, send, to, wait
from tests.operating import entries, whole

NOW = datetime.now(UTC)
SNAPSHOT = NOW - timedelta(hours=2)
BEFORE, SINCE, LATER = (NOW + timedelta(hours=hours) for hours in (-3, -1, 1))
MADE = NOW - timedelta(days=1)


async def restored(database: Database, rows: list[tuple[str, datetime, datetime]]) -> World:
    """A tenant whose sends are in a status, due at a time, and made at another."""
    world = await World.create(database, graph(hello=send(to("done"))), contacts=len(rows))
    await world.enrol()
    for action, (status, due_at, made_at) in zip(await world.actions(), rows, strict=True):
        await world.set_action(action["id"], status=status, due_at=due_at, created_at=made_at)
    return world


def desk(database: Database) -> Desk:
    return Desk(database, {}, Transitions(TIMEOUTS), "ana", Via.CLI)


async def states(world: World) -> list[tuple[str, Any]]:
    return [(row["status"], row["reason"]) for row in await world.actions()]


@pytest.mark.parametrize("page", [1, 1000])
async def test_what_may_have_gone_out_since_the_snapshot_is_unknown_and_nothing_else(
    database: Database, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(guarding, "PAGE", page)
    waiting = ("pending", "enqueued", "held")
    due = [(status, at, MADE) for status in waiting for at in (BEFORE, SINCE)]
    others = [(status, LATER, MADE) for status in waiting]
    others += [(status, SINCE, NOW) for status in waiting]  # scheduled after the restore
    ended = ("submitting", "accepted", "failed", "skipped", "cancelled", "unknown")
    others += [(status, SINCE, MADE) for status in ended]
    world = await restored(database, due + others)
    assert await desk(database).restore_guard(SNAPSHOT) == 6
    assert await states(world) == [("unknown", "restored")] * 6 + [(status, None) for status, *_ in others]
    assert await entries(database) == [("restore-guard", SNAPSHOT.isoformat(), None, 6)]


async def test_the_guard_run_again_leaves_what_came_due_since_alone(database: Database) -> None:
    world = await restored(database, [("pending", SINCE, MADE), ("pending", LATER, MADE)])
    assert await desk(database).restore_guard(SNAPSHOT) == 1
    second = (await world.actions())[1]
    await world.set_action(second["id"], due_at=datetime.now(UTC))
    before = await whole(world)
    assert await desk(database).restore_guard(SNAPSHOT.astimezone(None)) == 0
    assert await whole(world) == before
    assert [count for *_, count in await entries(database)] == [1, 0]


async def test_timeouts_keep_their_time(database: Database) -> None:
    world = await World.create(database, graph(pause=wait(60, "done")))
    await world.enrol()
    (action,) = await world.actions()
    await world.set_action(action["id"], due_at=SINCE, created_at=MADE)
    before = await whole(world)
    for status in ("pending", "enqueued", "held"):
        await world.set_action(action["id"], status=status)
        assert await desk(database).restore_guard(SNAPSHOT) == 0
    assert [(row["status"], row["reason"]) for row in await world.actions()] == [("held", None)]
    assert (await whole(world))["visits"] == before["visits"]


async def test_what_is_unknown_is_not_dispatched(database: Database, valkey_url: str) -> None:
    world = await restored(database, [("pending", SINCE, MADE)])
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await desk(database).restore_guard(SNAPSHOT)
        await dispatch.send_round()
        assert await dispatch.claim() == []
    assert await states(world) == [("unknown", "restored")]


async def test_a_webhook_tells_that_what_became_unknown_had_gone_out(database: Database) -> None:
    world = await restored(database, [("pending", SINCE, MADE)] * 2)
    assert await desk(database).restore_guard(SNAPSHOT) == 2
    first, second = await world.actions()
    await world.set_action(second["id"], status="failed", reason="unconfirmed")
    await world.happens(*(mail_event("delivered", action, SINCE) for action in (first, second)))
    assert await states(world) == [("accepted", None)] * 2


@pytest.mark.parametrize("at", [datetime.now(UTC) + timedelta(days=1), datetime(2026, 1, 1)])  # noqa: DTZ001  what is refused
async def test_a_snapshot_of_the_future_or_without_a_zone_is_refused(
    database: Database, at: datetime
) -> None:
    world = await restored(database, [("pending", SINCE, MADE)])
    with pytest.raises(OutOfRange):
        await desk(database).restore_guard(at)
    assert (await states(world), await entries(database)) == ([("pending", None)], [])


def test_the_command_asks_and_tells_how_many(
    database_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", valkey_url)
    misused("restore-guard", "--snapshot-at", "yesterday")
    assert "with its zone" in refused("restore-guard", "--yes", "--snapshot-at", "2026-01-01T00:00:00")
    asked = CliRunner().invoke(app, ["restore-guard", "--snapshot-at", "2026-01-01T00:00:00Z"], input="")
    assert asked.exit_code == 1
    none = CliRunner().invoke(app, ["restore-guard", "--yes", "--snapshot-at", "2026-01-01T00:00:00Z"])
    assert (none.exit_code, none.stdout) == (3, "0 sends are unknown now.\n")
