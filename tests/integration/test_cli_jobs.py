"""Jobs and deliveries by the command line: what it prints, how it ends, that it asks before it deletes."""

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from shared.child import free_port
from shared.jobs import job_id
from shared.operate import draining
from shared.queue.reporting import LogLine, Report
from shared.queue.types import Settlement, Verdict
from shared.store.database import Database
from tests.commands import audited, misused, outreach, read, refused, with_database
from tests.dispatching import dispatching
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


def enqueued(valkey_url: str) -> tuple[str, str]:
    """A tenant's name, and a job of its in line that told something of itself."""

    async def work(database: Database) -> tuple[str, str]:
        world = await World.create(database, HELLO)
        async with dispatching(database, valkey_url) as dispatch:
            await dispatch.open()
            await world.enrol()
            await dispatch.send_round()
            (claimed,) = await dispatch.claim(1)
            lines = [LogLine(1_800_000_000_000, "one"), LogLine(1_800_000_060_000, "two \x1b[2J")]
            await dispatch.sends.report(0, [Report(claimed, b"0.5", lines)])
            await dispatch.sends.settle(0, [Settlement(claimed, Verdict.RELEASED)])
        return str(world.tenant_id), claimed.id

    return with_database(work)


def test_what_a_worker_said_of_a_job_is_shown_and_how_far_it_is(valkey_url: str) -> None:
    _, job = enqueued(valkey_url)
    assert read("jobs", "logs", job) == [
        {"at": "2027-01-15T08:00:00+00:00", "text": "one"},
        {"at": "2027-01-15T08:01:00+00:00", "text": "two \x1b[2J"},
    ]
    assert "\x1b" not in outreach("jobs", "logs", job)
    parts = [line.partition("  ") for line in outreach("jobs", "show", job).splitlines()]
    shown = {name: rest.strip() for name, _, rest in parts}
    assert (shown["progress"], shown["log"]) == ("0.5", "2 lines")
    assert not {"progress", "log"} & json.loads(shown["in_redis"]).keys()
    assert read("jobs", "show", job)["in_redis"]["progress"] == 0.5


def test_of_a_job_that_is_not_in_redis_there_is_no_log() -> None:
    _, (action,) = sends("")
    told = result("jobs", "logs", job_id("send", action, 0), "--json")
    assert (told.exit_code, told.stdout) == (3, "[]\n")
    assert "Redis does not have it" in told.stderr
    assert "There is no row" in refused("jobs", "logs", job_id("send", uuid4(), 0))


def test_with_redis_away_nobody_says_that_it_has_no_log(environment: pytest.MonkeyPatch) -> None:
    _, (action,) = sends("")
    job = job_id("send", action, 0)
    environment.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    assert "look at DATABASE_URL and REDIS_URL" in refused("jobs", "logs", job)
    command = (sys.executable, "-m", "services.cli", "jobs", "show", job, "--json")
    done = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(done.stdout)["in_redis"] is None, "its row is shown all the same"
    assert b"redis_away" in done.stderr


def test_a_job_in_line_is_given_another_priority(valkey_url: str) -> None:
    tenant, job = enqueued(valkey_url)
    assert outreach("jobs", "priority", job, "0") == ""
    assert read("jobs", "show", job)["in_redis"]["priority"] == 0
    misused("jobs", "priority", job, "4")
    assert audited() == [("ana", "jobs.reprioritise", job, tenant, 1, {"priority": 0})]


def test_sends_are_given_another_time_each_by_its_new_id() -> None:
    tenant, ids = sends("", "invalid")
    waits, failed = (job_id("send", each, 0) for each in ids)
    told = result("jobs", "reschedule", failed, waits, "--at", "2126-01-31T03:00:00+01:00")
    assert (told.exit_code, told.stdout) == (1, f"{job_id('send', ids[0], statuses()[0][1])}\n")
    assert f"{failed}: It cannot be rescheduled" in told.stderr
    misused("jobs", "reschedule", waits, "--at", "tomorrow")
    misused("jobs", "reschedule", waits)
    assert "with its zone" in refused("jobs", "reschedule", told.stdout.strip(), "--at", "2126-01-31T03:00")
    assert audited() == [("ana", "jobs.reschedule", waits, tenant, 1, {"at": "2126-01-31T02:00:00+00:00"})]


def test_a_time_that_no_calendar_has_in_utc_is_a_wrong_use() -> None:
    early = "0001-01-01T00:00:00+14:00"
    misused("restore-guard", "--snapshot-at", early, "--yes")
    misused("jobs", "reschedule", job_id("send", uuid4(), 0), "--at", early)


def test_what_is_no_text_is_refused_in_a_line() -> None:
    command = (sys.executable, "-m", "services.cli", "tenants", "create", b"caf\xe9")
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"outreach: type UTF-8: what is named is kept as text.\n"


def test_what_waits_is_drained_once_somebody_says_yes_to_how_much_it_is() -> None:
    tenant, _ = sends("", "invalid", "")
    sends("")
    drain = ("drain", "--queue", "outreach:send", "--tenant", tenant)
    asked = result(*drain, typed="n\n")
    assert asked.exit_code == 1
    assert f"End 2 jobs of outreach:send of {tenant}?" in asked.stderr
    assert result(*drain).exit_code == 1, "nobody can be asked"
    assert audited() == []
    assert outreach(*drain, "--yes") == "2 jobs were ended."
    again = result(*drain)
    assert (again.exit_code, again.stdout, again.stderr) == (3, "0 jobs were ended.\n", "")
    assert sorted(statuses()) == [("cancelled", 0), ("cancelled", 0), ("failed", 0), ("pending", 0)]
    assert outreach("drain", "--queue", "outreach:send", "--yes") == "1 jobs were ended."
    assert "There is no queue 'x'" in refused("drain", "--queue", "x")
    assert "no tenant named 'nobody'" in refused(*drain[:-1], "nobody")
    misused("drain")
    assert [row[1:5] for row in audited()] == [
        ("queues.drain", f"{tenant} in outreach:send", tenant, 2),
        ("queues.drain", "outreach:send", None, 1),
    ]


def test_what_ended_is_forgotten_and_a_paused_queue_obliterated_once_somebody_says_yes(
    valkey_url: str,
) -> None:
    async def work(database: Database) -> None:
        world = await World.create(database, HELLO, contacts=4)
        async with dispatching(database, valkey_url) as dispatch:
            await dispatch.open()
            await world.enrol()
            await dispatch.send_round()
            one, two = await dispatch.claim(2)
            ends = [Settlement(one, Verdict.FAILED), Settlement(two, Verdict.COMPLETED)]
            await dispatch.sends.settle(0, ends)

    async def paused(database: Database) -> None:
        async with dispatching(database, valkey_url) as dispatch:
            await dispatch.configuration.refresh()

    def depths() -> list[int]:
        (row,) = (row for row in read("queues") if row["queue"] == "outreach:send")
        return [row["waiting"], row["completed"], row["failed"]]

    with_database(work)
    queue = ("--queue", "outreach:send")
    clean, obliterate = ("clean", *queue, "--hours", "0"), ("obliterate", *queue)
    assert result(*clean).exit_code == result(*obliterate).exit_code == 1, "nobody can be asked"
    assert result("clean", *queue, "--hours", "1", "--yes").exit_code == 3
    misused("clean", *queue, "--hours", "1e300", "--yes")
    assert depths() == [2, 1, 1]
    assert outreach(*clean, "--yes") == "1 jobs were forgotten."
    assert depths() == [2, 1, 0]
    assert outreach(*clean, "--completed", "--yes") == "1 jobs were forgotten."
    assert "It is not paused" in refused(*obliterate, "--yes")
    outreach("pause", *queue)
    with_database(paused)
    asked = result(*obliterate, typed="n\n")
    assert "End 4 rows that wait in outreach:send, and take its 2 jobs out of Redis?" in asked.stderr
    assert depths() == [2, 0, 0]
    assert outreach(*obliterate, "--yes") == "4 rows were ended.\n2 jobs are gone."
    assert depths() == [0, 0, 0]
    assert result(*obliterate, "--yes").exit_code == 3
    sends("")
    assert result(*obliterate, "--yes").exit_code == 0, "Redis had nothing of it, and its row was ended"
    assert "There is no queue 'x'" in refused("obliterate", "--queue", "x", "--yes")
    done = [(row[1], row[4]) for row in audited() if row[1] != "pause"]
    assert done[:3] == [("queues.clean", n) for n in (0, 1, 1)]
    assert [name for name, _ in done[3:]] == ["queues.obliterate"] * 3


def test_what_is_too_much_to_be_counted_is_said_to_be_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "PAGE", 1)
    monkeypatch.setattr(draining, "_LOOKS", 2)
    sends("", "", "")
    assert "End 2 or more jobs of outreach:send?" in result("drain", "--queue", "outreach:send").stderr
    assert outreach("drain", "--queue", "outreach:send", "--yes") == "3 jobs were ended."


@pytest.mark.parametrize("looked_at", [True, False])
def test_long_work_shows_how_far_it_is_on_a_terminal_and_to_no_pipe(
    environment: pytest.MonkeyPatch, looked_at: bool
) -> None:
    environment.setenv("TERM", "xterm")
    sends("", "")
    mine, its = pty.openpty() if looked_at else os.pipe()
    command = [sys.executable, "-m", "services.cli", "drain", "--queue", "outreach:send", "--yes"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=its, text=True, timeout=60, check=True)
    os.close(its)
    shown = b""
    with suppress(OSError):  # how a terminal says that nobody writes any more
        while more := os.read(mine, 1000):
            shown += more
    os.close(mine)
    assert done.stdout == "2 jobs were ended.\n"
    assert (b"Draining" in shown) is looked_at, shown
    assert looked_at or shown == b""


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
