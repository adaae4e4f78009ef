"""What an operator types, on real servers: what it prints, what it leaves in Postgres, how it refuses."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from shared.child import free_port
from shared.store import api_keys, audit, closures, pauses, queue_rows, senders, tenants
from shared.store.closures import Closure
from shared.store.database import AsyncConnection
from shared.store.pages import Page
from shared.store.pauses import Pause
from tests.commands import audited, in_database, misused, outreach, refused

pytestmark = pytest.mark.usefixtures("environment")


def valid(token: str) -> bool:
    prefix = api_keys.prefix_of(token) or ""
    found = in_database(lambda tx: api_keys.find(tx, [prefix]))
    return prefix in found and found[prefix].opens(token)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_a_tenant_is_made_once_and_has_a_name() -> None:
    tenant_id = outreach("tenants", "create", "acme", "--weight", "3")
    assert in_database(lambda tx: tenants.named(tx, "acme")) == UUID(tenant_id)
    assert "There is a tenant named 'acme'" in refused("tenants", "create", "acme")
    misused("tenants", "create", " ")
    made = in_database(lambda tx: audit.page(tx, Page(9)))
    assert [(row.action, row.target, row.tenant, row.detail) for row in made] == [
        ("tenants.create", "acme", "acme", {"weight": 3})
    ]


def test_a_key_is_shown_once_listed_without_its_secret_rotated_and_revoked() -> None:
    outreach("tenants", "create", "acme")
    first = outreach("keys", "create", "acme")
    assert valid(first)

    listed = outreach("keys", "list", "acme")
    titles, line = map(cells, listed.splitlines())
    assert titles == ["id", "name", "prefix", "scopes", "expires_at", "revoked_at", "created_at"]
    # No terminal is so narrow that the id, which the other commands take, would be cut.
    key_id = line[0]
    assert UUID(key_id)
    assert line[1:6] == ["default", api_keys.prefix_of(first), "admin,read,write", "-", "-"]
    assert first.rpartition("_")[2] not in listed

    second = outreach("keys", "rotate", "acme", key_id)
    assert first != second
    assert (valid(first), valid(second)) == (True, True)
    assert outreach("keys", "revoke", "acme", key_id) == ""
    assert (valid(first), valid(second)) == (False, True)
    new_id = cells(outreach("keys", "list", "acme").splitlines()[2])[0]
    assert [row[1:] for row in audited()] == [
        ("keys.create", key_id, "acme", 1, {"name": "default"}),
        ("keys.rotate", key_id, "acme", 1, {"by": new_id}),
        ("keys.revoke", key_id, "acme", 1, {}),
    ]


def test_another_tenants_key_is_not_rotated_or_revoked() -> None:
    outreach("tenants", "create", "acme")
    outreach("tenants", "create", "other")
    token = outreach("keys", "create", "acme")
    key_id = cells(outreach("keys", "list", "acme").splitlines()[1])[0]
    assert "no such valid key" in refused("keys", "rotate", "other", key_id)
    assert "no such key" in refused("keys", "revoke", "other", key_id)
    assert "no tenant named 'nobody'" in refused("keys", "create", "nobody")
    assert outreach("keys", "list", "other") == ""
    assert valid(token)


@pytest.mark.parametrize("queue", ["outreach:send", None])
@pytest.mark.parametrize("tenant", ["acme", None])
def test_a_pause_is_a_row_until_exactly_it_is_lifted(queue: str | None, tenant: str | None) -> None:
    tenant_id = UUID(outreach("tenants", "create", "acme"))
    options = [*(["--queue", queue] if queue else []), *(["--tenant", tenant] if tenant else [])] or ["--all"]
    for _ in range(2):
        outreach("pause", *options, "--reason", "a list that was bought")
    wanted = Pause(queue, tenant_id if tenant else None)
    assert in_database(pauses.current) == [wanted]

    other = ["--queue", "webhook:process"]
    assert "no such pause" in refused("resume", *other)
    assert in_database(pauses.current) == [wanted]
    shown = outreach("queues").splitlines()
    assert cells(shown[-2]) == ["paused", "tenant", "since", "reason"]
    paused, named, _, reason = cells(shown[-1])
    assert (paused, named) == (queue or "every queue", tenant or "-")
    assert reason == "a list that was bought"

    outreach("resume", *options)
    assert in_database(pauses.current) == []


def test_a_pause_of_what_there_is_not_is_refused() -> None:
    assert "there are webhook:process, outreach:send, outreach:timeout" in refused("pause", "--queue", "send")
    assert "no tenant named 'nobody'" in refused("pause", "--tenant", "nobody")
    for command in ("pause", "resume"):
        misused(command)
        misused(command, "--all", "--queue", "outreach:send")
    assert in_database(pauses.current) == []


def test_queues_shows_every_partition_that_was_made_and_which_are_paused() -> None:
    in_database(lambda tx: queue_rows.register(tx, "outreach:send", 3))
    outreach("tenants", "create", "acme")
    outreach("pause", "--queue", "outreach:send", "--tenant", "acme")
    outreach("pause", "--queue", "outreach:timeout")
    nothing = {"open": False, "waiting": 0, "delayed": 0, "active": 0, "completed": 0, "failed": 0}
    paused = {"webhook:process": (False, 0), "outreach:send": (False, 1), "outreach:timeout": (True, 0)}
    shown = json.loads(outreach("queues", "--json"))
    pauses = {row["queue"]: row.pop("pauses") for row in shown}
    assert [[(each["paused"], each["tenant"]) for each in pauses[queue]] for queue in paused] == [
        [],
        [("outreach:send", "acme")],
        [("outreach:timeout", None)],
    ]
    assert shown == [
        {
            "queue": queue,
            "partition": partition,
            **nothing,
            "parked lanes": 0,
            "paused": paused[queue][0],
            "paused tenants": paused[queue][1],
        }
        for queue, partitions in (("webhook:process", 1), ("outreach:send", 3), ("outreach:timeout", 1))
        for partition in range(partitions)
    ]


def test_a_closed_sender_is_listed_and_reopened_once() -> None:
    tenant_id = UUID(outreach("tenants", "create", "acme"))
    outreach("tenants", "create", "other")

    async def a_sender(tx: AsyncConnection) -> UUID:
        account_id = await senders.create_account(tx, tenant_id, "sendgrid", b"sealed", None)
        return await senders.create(tx, tenant_id, account_id, "email", "a@example.com", "")

    sender_id = in_database(a_sender)
    refusal = Closure(tenant_id, "email", sender_id, "401", None)
    in_database(lambda tx: closures.close(tx, [refusal]))
    (closed,) = json.loads(outreach("senders", "closed", "--json"))
    assert datetime.fromisoformat(closed.pop("closed_at")) <= datetime.now(UTC)
    assert closed == {
        "tenant": "acme",
        "sender_id": str(sender_id),
        "channel": "email",
        "address": "a@example.com",
        "reason": "401",
        "until": None,
    }
    assert json.loads(outreach("senders", "closed", "--tenant", "other", "--json")) == []
    assert "no closed sender" in refused("senders", "reopen", "other", str(sender_id))
    assert outreach("senders", "reopen", "acme", str(sender_id)) == ""
    assert json.loads(outreach("senders", "closed", "--json")) == []
    assert "no closed sender" in refused("senders", "reopen", "acme", str(sender_id))
    assert "no closed sender" in refused("senders", "reopen", "acme", str(uuid4()))


def test_migrating_what_is_up_to_date_changes_nothing() -> None:
    outreach("tenants", "create", "acme")
    assert outreach("migrate") == ""
    assert in_database(lambda tx: tenants.named(tx, "acme"))


def test_a_migration_goes_past_a_pooler(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATABASE_DIRECT_URL", f"postgresql://u@127.0.0.1:{free_port()}/db")
    assert "Connect call failed" in refused("migrate")
    outreach("tenants", "create", "acme")


def test_without_settings_or_servers_a_command_says_so_in_a_line(environment: pytest.MonkeyPatch) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    environment.setenv("REDIS_URL", f"redis://:hunter2@{nowhere}/0")
    assert "REDIS_URL" in refused("queues")
    environment.setenv("DATABASE_URL", f"postgresql://u:hunter2@{nowhere}/db")
    for command in (["keys", "list", "acme"], ["migrate"], ["queues"]):
        line = refused(*command)
        assert line.startswith("outreach: ")
        assert "hunter2" not in line
    environment.delenv("DATABASE_URL")
    for command in (["keys", "list", "acme"], ["migrate"], ["queues"]):
        assert refused(*command) == "outreach: DATABASE_URL: field required (see docs/settings.md)"


@contextmanager
def dev(folder: Path, port: int) -> Iterator[dict[str, str]]:
    """`outreach dev` for as long as the block, which gets the variables it prints; it must end in order."""
    ports = ["--port", str(port), "--admin-port", str(free_port())]
    command = ["-m", "services.cli", "dev", "--folder", str(folder), *ports]
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            printed: dict[str, str] = {}
            while printed.keys() < {"DATABASE_URL", "REDIS_URL"}:
                line = process.stdout.readline()
                assert "\x1b" not in line, "no terminal looks on"
                name, _, value = line.partition("│ ")[2].strip().partition("=")
                printed |= {name: value} if name in ("DATABASE_URL", "REDIS_URL") else {}
            yield printed
        finally:
            process.terminate()
            process.communicate(timeout=90)
    assert process.returncode == 0


def answered(port: int, key: str) -> httpx.Response:
    """What README's first call gets, once the gateway is up."""
    contact = {"externalId": "ana", "email": "ana@example.com"}
    transport = httpx.HTTPTransport(retries=8)  # 0.5 s, doubling: of connecting only
    with httpx.Client(transport=transport, trust_env=False, timeout=30) as client:
        return client.post(
            f"http://127.0.0.1:{port}/v1/contacts",
            headers={"Authorization": f"Bearer {key}", "Idempotency-Key": "1"},
            json={"contacts": [contact]},
        )


@pytest.mark.timeout(300)
def test_five_minutes_of_the_readme_and_data_that_stay(
    reachable_path: Path, environment: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with dev(reachable_path / "dev", port) as printed:
        for name, value in printed.items():
            environment.setenv(name, value)
        outreach("tenants", "create", "acme")
        key = outreach("keys", "create", "acme")
        first = answered(port, key)
    assert (first.status_code, first.json()["results"][0]["status"]) == (200, "created")
    with dev(reachable_path / "dev", port):
        again = answered(port, key)
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
