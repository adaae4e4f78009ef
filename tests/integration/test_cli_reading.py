"""What the command line shows of jobs, tenants and deliveries: all of it, in pages, as text and as JSON."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner

from services.cli.app import app
from shared.jobs import job_id
from shared.operate import reading
from shared.store.database import Database
from tests.commands import audited, misused, outreach, read, refused, with_database
from tests.dispatching import dispatching
from tests.journeys import World, graph, send, to
from tests.operating import fail

HELLO = graph(hello=send(to("done")))


pytestmark = pytest.mark.usefixtures("environment")


def pages(*arguments: str) -> list[Any]:
    """All rows of a list that says what to go on behind, a page after the other."""
    rows: list[Any] = []
    more: list[str] = []
    while True:
        result = CliRunner().invoke(app, [*arguments, *more, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        rows.append([row["id"] for row in json.loads(result.stdout)])
        _, found, after = result.stderr.strip().partition("--after ")
        if not found:
            return rows
        more = ["--after", after]


async def failing(database: Database, reasons: list[str]) -> World:
    world = await World.create(database, HELLO, contacts=len(reasons))
    await world.enrol()
    for action, reason in zip(await world.actions(), reasons, strict=True):
        await fail(world, action, reason)
    return world


def test_failed_sends_are_listed_by_their_rows_in_pages_and_by_what_is_asked() -> None:
    async def work(database: Database) -> tuple[list[str], list[str], World]:
        first = await failing(database, ["invalid", "rejected: 550", "invalid"])
        second = await failing(database, ["invalid"])
        ids = [[job_id("send", a["id"], 0) for a in await world.actions()] for world in (first, second)]
        return ids[0], ids[1], first

    first, second, world = with_database(work)
    tenant = str(world.tenant_id)
    assert pages("jobs", "list", "--limit", "2") == [first[:2], [first[2], second[0]]]
    assert pages("jobs", "list", "--tenant", tenant, "--reason", "inv", "--limit", "1") == [
        [first[0]],
        [first[2]],
    ]
    assert pages("jobs", "list", "--campaign", str(world.campaign_id)) == [first]
    assert pages("jobs", "list", "--sender", str(uuid4())) == [[]]
    row = read("jobs", "list", "--reason", "rejected")[0]
    del row["status_at"]
    assert row == {
        "id": first[1],
        "tenant_id": tenant,
        "reason": "rejected: 550",
        "tries": 0,
        "channel": "email",
        "sender_id": str(world.senders["email"]),
        "campaign_id": str(world.campaign_id),
        "node_id": "hello",
    }
    assert "no such place" in refused("jobs", "list", "--after", "x")
    assert audited() == []


def test_jobs_in_motion_are_listed_as_redis_has_them(valkey_url: str) -> None:
    async def work(database: Database) -> set[str]:
        world = await World.create(database, HELLO, contacts=3)
        async with dispatching(database, valkey_url, partitions=2) as dispatch:
            await dispatch.open()
            await world.enrol()
            await dispatch.send_round()
            await dispatch.claim(1)
        return {job_id("send", action["id"], 0) for action in await world.actions()}

    jobs = with_database(work)
    waiting, active = (read("jobs", "list", "--state", state) for state in ("waiting", "active"))
    assert (len(waiting), len(active)) == (2, 1)
    assert {row["id"] for row in waiting + active} == jobs
    assert active == [{"id": active[0]["id"], "state": "active", "attempt": 1, "reason": ""}]
    assert read("jobs", "list", "--queue", "outreach:timeout", "--state", "waiting") == []
    assert "There is no queue 'x'" in refused("jobs", "list", "--queue", "x")
    for state in ("waiting", "delayed"):
        for place in ("x", "0:x", f"0:{10**20}", f"{'9' * 5000}:0", "0:٣"):
            assert "no such place" in refused("jobs", "list", "--state", state, "--after", place)
    misused("jobs", "list", "--state", "waiting", "--tenant", "acme")


def test_a_list_of_few_of_many_jobs_says_where_to_go_on(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(database: Database) -> None:
        world = await World.create(database, HELLO, contacts=150)
        async with dispatching(database, valkey_url) as dispatch:
            await dispatch.open()
            await world.enrol()
            await dispatch.send_round()
            ids = [job_id("send", action["id"], 0) for action in await world.actions()]
            await dispatch.sends.reschedule(0, ids[:-1], 2**42)

    with_database(work)
    monkeypatch.setattr(reading, "_CALLS", 2)
    found = pages("jobs", "list", "--state", "waiting", "--limit", "10")
    assert sum(map(len, found)) == 1
    assert len(found) > 5, "or one list asks as often as there are jobs"


def test_a_job_is_shown_whole(valkey_url: str) -> None:
    async def work(database: Database) -> tuple[World, Any]:
        world = await World.create(database, HELLO)
        async with dispatching(database, valkey_url) as dispatch:
            await dispatch.open()
            await world.enrol()
            await dispatch.send_round()
        (action,) = await world.actions()
        await world.run(
            "insert into attempts (tenant_id, action_id, g, charged_at, channel, sender_id, cost,"
            " submitted_at, outcome, reason) values (:t, :id, 0, :at, 'email', :id, 1, :at, 'retry', '503')",
            id=action["id"],
            at=datetime.now(UTC),
        )
        return world, action

    world, action = with_database(work)
    job = job_id("send", action["id"], 0)
    shown = read("jobs", "show", job)
    assert {name: shown[name] for name in ("id", "queue", "tenant", "status", "contact_id", "node_id")} == {
        "id": job,
        "queue": "outreach:send",
        "tenant": str(world.tenant_id),
        "status": "enqueued",
        "contact_id": str(action["contact_id"]),
        "node_id": "hello",
    }
    assert [(each["g"], each["outcome"], each["reason"]) for each in shown["attempts"]] == [
        (0, "retry", "503")
    ]
    lane = f"{world.tenant_id}/email/{world.senders['email']}"
    assert shown["in_redis"] == {
        "state": "waiting",
        "reason": "",
        "attempt": 0,
        "cancelling": False,
        "lane": lane,
        "priority": 1,
        "max_attempts": 3,
        "progress": None,
        "log": [],
    }
    assert "example.org" not in outreach("jobs", "show", job), "who it is for is the contact's, not the job's"

    async def flushed() -> None:
        async with Redis.from_url(valkey_url, socket_timeout=10) as client:
            await client.flushall()

    with_database(lambda _: flushed())
    assert read("jobs", "show", job)["in_redis"] is None
    assert "no row of the job" in refused("jobs", "show", job_id("send", uuid4(), 0))


def test_tenants_are_listed_with_what_stands_in_their_way() -> None:
    async def work(database: Database) -> tuple[UUID, UUID]:
        world = await failing(database, ["invalid", "invalid"])
        other = await World.create(database, HELLO)
        await other.enrol()
        await other.run("update scheduled_actions set status = 'unknown' where tenant_id = :t")
        await other.run(
            "insert into closures (tenant_id, id, channel, sender_id, reason)"
            " values (:t, :t, 'email', :s, '401')",
            s=other.senders["email"],
        )
        return world.tenant_id, other.tenant_id

    first, second = map(str, with_database(work))
    outreach("pause", "--tenant", first)
    nothing = {"enqueued": 0, "submitting": 0}
    rows = [
        {"id": first, "name": first, "weight": 1, "paused": True, "closed_senders": 0}
        | {**nothing, "failed": 2, "unknown": 0},
        {"id": second, "name": second, "weight": 1, "paused": False, "closed_senders": 1}
        | {**nothing, "failed": 0, "unknown": 1},
    ]
    assert read("tenants", "list") == rows
    assert read("tenants", "list", "--limit", "1") == rows[:1]
    assert read("tenants", "list", "--after", first) == rows[1:]


BODY = b'[{"email": "<script>"}]\x1b[2J\xff'


def test_deliveries_are_listed_latest_first_by_state_and_shown_as_they_were_posted() -> None:
    async def work(database: Database) -> tuple[World, list[str]]:
        world, other = [await World.create(database, HELLO) for _ in range(2)]
        ids = []
        for state in ("processed", "failed", "parked", "parked", "failed", "received"):
            claim = await world.post(body=BODY)
            await world.run("update deliveries set state = :state where id = :id", state=state, id=claim.id)
            ids.append(str(claim.id))
        await other.post()
        return world, ids

    world, ids = with_database(work)
    tenant = str(world.tenant_id)

    def listed(*options: str) -> list[str]:
        return [row["id"] for row in read("deliveries", "list", tenant, *options)]

    assert listed() == ids[::-1]
    assert listed("--limit", "2", "--after", ids[4]) == [ids[3], ids[2]]
    assert listed("--state", "failed") == [ids[4], ids[1]]
    assert listed("--state", "failed", "--after", ids[4]) == [ids[1]]
    assert listed("--state", "parked") == [ids[3], ids[2]]
    assert listed("--state", "parked", "--after", ids[3]) == [ids[2]]
    misused("deliveries", "list", tenant, "--state", "lost")
    shown = read("deliveries", "show", ids[0])
    assert base64.b64decode(shown["body"]) == BODY
    assert (shown["job"], shown["tenant"], shown["state"]) == (f"webhook:{ids[0]}:0", tenant, "processed")
    text = outreach("deliveries", "show", ids[0])
    assert '[{"email": "<script>"}]' in text
    assert "\x1b" not in text
    assert "no such delivery" in refused("deliveries", "show", str(uuid4()))
