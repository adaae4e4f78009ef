"""Jobs and deliveries by the command line: what it prints, how it ends, that it asks before it deletes."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from shared.jobs import job_id
from shared.store.database import Database
from tests.commands import audited, misused, outreach, refused, with_database
from tests.journeys import World, graph, send, to
from tests.operating import fail

HELLO = graph(hello=send(to("done")))


pytestmark = pytest.mark.usefixtures("environment")


def sends(*reasons: str) -> tuple[str, list[UUID]]:
    """A tenant's name, and its sends' ids: those with a reason failed."""

    async def work(database: Database) -> tuple[str, list[UUID]]:
        world = await World.create(database, HELLO, contacts=len(reasons))
        await world.enrol()
        actions = await world.actions()
        for action, reason in zip(actions, reasons, strict=True):
            if reason:
                await fail(world, action, reason)
        return str(world.tenant_id), [action["id"] for action in actions]

    return with_database(work)


def statuses() -> list[tuple[str, int]]:
    async def work(database: Database) -> list[tuple[str, int]]:
        world = World(database)
        rows = await world.run("select status, g from scheduled_actions order by id")
        return [(row["status"], row["g"]) for row in rows]

    return with_database(work)


def result(*arguments: str, typed: str = "") -> Any:
    return CliRunner().invoke(app, arguments, input=typed, catch_exceptions=False)


def test_jobs_are_retried_by_id_and_one_that_is_refused_stops_no_other() -> None:
    tenant, ids = sends("invalid", "", "invalid")
    jobs = [job_id("send", each, 0) for each in ids]
    answer = result("jobs", "retry", *jobs)
    assert (answer.exit_code, answer.stdout.split()) == (1, [job_id("send", ids[n], 1) for n in (0, 2)])
    assert answer.stderr.startswith(f"outreach: {jobs[1]}: It cannot be retried. It waits for its time")
    assert statuses() == [("pending", 1), ("pending", 0), ("pending", 1)]
    assert audited() == [("ana", "jobs.retry", jobs[n], tenant, 1, {}) for n in (0, 2)]


def test_failed_sends_are_retried_in_bulk_and_nothing_matched_has_a_code_of_its_own() -> None:
    tenant, _ = sends("invalid", "unconfirmed")
    assert outreach("jobs", "retry", "--failed", "--tenant", tenant) == "1 sends wait again."
    assert statuses() == [("pending", 1), ("failed", 0)]
    again = result("jobs", "retry", "--failed", "--tenant", tenant)
    assert (again.exit_code, again.stdout) == (3, "0 sends wait again.\n")
    assert outreach("jobs", "retry", "--failed", "--reason", "unc", "--unconfirmed") == "1 sends wait again."
    assert statuses() == [("pending", 1), ("pending", 1)]
    assert [(row[1], row[4]) for row in audited()] == [("jobs.retry", n) for n in (1, 0, 1)]


def test_a_retry_of_neither_or_both_is_a_wrong_use() -> None:
    tenant, (action,) = sends("invalid")
    misused("jobs", "retry")
    misused("jobs", "retry", job_id("send", action, 0), "--failed")
    misused("jobs", "retry", job_id("send", action, 0), "--tenant", tenant)
    misused("deliveries", "replay")
    misused("deliveries", "replay", str(uuid4()), "--tenant", tenant)
    assert "no tenant named 'nobody'" in refused("jobs", "retry", "--failed", "--tenant", "nobody")
    assert (statuses(), audited()) == ([("failed", 0)], [])


@pytest.mark.parametrize("command", ["remove", "cancel"])
def test_what_ends_a_job_asks_first_and_where_nobody_can_be_asked_does_nothing(command: str) -> None:
    _, (action,) = sends("")
    job = job_id("send", action, 0)
    for typed in ("n\n", ""):
        assert result("jobs", command, job, typed=typed).exit_code == 1
    assert (statuses(), audited()) == ([("pending", 0)], [])
    assert result("jobs", command, job, typed="y\n").exit_code == 0
    assert statuses() == [("cancelled", 0)]
    assert "It ended as cancelled" in refused("jobs", command, job, "--yes")
    assert [row[1] for row in audited()] == [f"jobs.{command}"]


def test_a_job_is_promoted() -> None:
    _, (action,) = sends("")

    async def later(database: Database) -> None:
        await World(database).run("update scheduled_actions set due_at = now() + interval '1 hour'")

    with_database(later)
    assert outreach("jobs", "promote", job_id("send", action, 0)) == ""
    assert "due already" in refused("jobs", "promote", job_id("send", action, 0))


def test_deliveries_are_replayed_by_id_and_in_bulk() -> None:
    async def failed(database: Database) -> tuple[UUID, UUID]:
        world = await World.create(database, HELLO)
        first, second = await world.post(), await world.post()
        await world.run("update deliveries set state = 'failed'")
        return first.id, second.id

    first, _ = with_database(failed)
    assert outreach("deliveries", "replay", str(first)) == job_id("webhook", first, 1)
    assert "waits to be processed" in refused("deliveries", "replay", str(first))
    assert outreach("deliveries", "replay", "--failed") == "1 deliveries are processed anew."
    assert result("deliveries", "replay", "--failed").exit_code == 3

    async def park(database: Database) -> None:
        await World(database).run("update deliveries set state = 'parked' where g = 1")

    with_database(park)
    misused("deliveries", "replay", "--failed", "--parked")
    assert outreach("deliveries", "replay", "--parked") == "2 deliveries are processed anew."
    assert [(row[2], row[4]) for row in audited()] == [
        (str(first), 1),
        ("failed", 1),
        ("failed", 0),
        ("parked", 2),
    ]
