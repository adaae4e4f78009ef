"""The doctor, on real servers: a healthy installation, and each fault planted in one."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from click.testing import Result
from redis.asyncio import Redis
from typer.testing import CliRunner

from services.cli.app import app
from services.cli.doctor.examine import CHECKS, Need, examine
from services.cli.doctor.findings import Finding, Verdict
from services.cli.doctor.patient import Patient, read
from shared.child import free_port
from shared.jobs import SendJob, WebhookJob, job_id
from shared.queue import standing
from shared.queue.types import NewJob
from shared.redis.client import connect
from shared.redis.embedded import EmbeddedValkey
from shared.sealing import Purpose, Sealer
from shared.settings import RedisSettings
from shared.store import diagnosis, endpoints
from shared.store.database import Database
from shared.store.ids import uuid7
from shared.store.partitions import partition_name
from tests.desk import SECRET
from tests.dispatching import Replica, dispatching
from tests.floods import fill
from tests.integration.test_store_plans import flood, plan
from tests.journeys import World, graph, send, statements, to
from tests.servers import chosen_path, serving


@dataclass
class Installation:
    """A healthy one, as it is examined; a test makes it ill."""

    world: World
    replica: Replica
    redis: Redis
    dispatcher: Redis
    environment: pytest.MonkeyPatch

    async def examined(self, dress: Callable[[Patient], Patient] = lambda patient: patient) -> list[Finding]:
        return await examine(read(), lambda patient: dress(replace(patient, wait=nothing)))

    async def beat(self) -> None:
        """A worker of each queue says that it works; these are believed for longer than any test."""
        self.environment.setattr(standing, "SILENT", timedelta(minutes=10))
        for queue in self.replica.queues:
            await queue.beat("pod-0.1.beef", 3, 0)

    async def enqueue(self, kind: str, row_id: UUID, g: int = 0, tenant_id: UUID | None = None) -> str:
        """A job that points at a row."""
        tenant = tenant_id or self.world.tenant_id
        job: WebhookJob | SendJob = WebhookJob(
            tenant_id=tenant, webhook_delivery_id=row_id, provider="mailbox"
        )
        if kind == "send":
            job = SendJob(
                tenant_id=tenant,
                scheduled_action_id=row_id,
                campaign_id=self.world.campaign_id,
                contact_id=uuid7(),
                node_id="hello",
                channel="email",
                sender_id=self.world.senders["email"],
            )
        queue = self.replica.sends if kind == "send" else self.replica.webhooks
        name = job_id(kind, row_id, g)
        await queue.enqueue([NewJob(name, job.lane, job.wire())])
        return name


async def nothing() -> None:
    """No time passes."""


@pytest.fixture(scope="module")
def keeping() -> Iterator[EmbeddedValkey]:
    """A Valkey that keeps what it holds on disk, and whose settings tests change."""
    binary = chosen_path("OUTREACH_TEST_REDIS_BINARY")
    with serving(lambda folder: EmbeddedValkey(folder, binary=binary, persistent=True)) as server:
        yield server


@asynccontextmanager
async def seen(url: str, role: str) -> AsyncIterator[Redis]:
    """A client that is connected in this role."""
    client = connect(RedisSettings(url=url), role=role)
    try:
        await client.ping()
        yield client
    finally:
        await client.aclose()


async def founded(database: Database) -> World:
    """A tenant whose account is sealed and whose endpoint has a key."""
    world = await World.create(database, graph(hello=send(to("done"))))
    sealed = Sealer(SECRET, Purpose.CREDENTIALS).seal(b"{}")
    await world.run("update provider_accounts set credentials = :sealed where tenant_id = :t", sealed=sealed)
    await database.run(lambda tx: endpoints.create(tx, world.tenant_id, "mailbox", b"sealed"))
    return world


@pytest.fixture
async def installation(
    database_url: str, database: Database, keeping: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Installation]:
    for name, value in {
        "DATABASE_URL": database_url,
        "REDIS_URL": keeping.url,
        "OUTREACH_SECRET_KEY": SECRET,
        "OUTREACH_PUBLIC_URL": "https://outreach.example",
    }.items():
        monkeypatch.setenv(name, value)
    await keeping.start()
    async with Redis.from_url(keeping.url, socket_timeout=10) as redis:
        await redis.flushall()
        world = await founded(database)
        async with (
            dispatching(database, keeping.url) as replica,
            seen(keeping.url, "dispatch-openings") as dispatcher,
        ):
            await replica.open()
            found = Installation(world, replica, redis, dispatcher, monkeypatch)
            await found.beat()
            yield found
        await keeping.start()
        await redis.replicaof("NO", "ONE")
        for name, value in {"maxmemory": "0", "maxmemory-policy": "noeviction", "appendonly": "yes"}.items():
            await redis.config_set(name, value)


def ill(findings: list[Finding]) -> dict[str, str]:
    """Verdicts of those that are not well."""
    return {each.check: each.verdict.value for each in findings if each.verdict is not Verdict.OK}


def sentence(findings: list[Finding], check: str) -> str:
    (found,) = [each.sentence for each in findings if each.check == check]
    return found


async def test_nothing_is_wrong_with_a_healthy_installation(installation: Installation) -> None:
    (row,) = await flight(installation, "enqueued", hours=1)
    await installation.enqueue("send", row)
    post = await installation.world.post({})
    await installation.enqueue("webhook", post.id)
    findings = await installation.examined()
    assert ill(findings) == {}, findings
    assert [each.check for each in findings] == [check.name for check in CHECKS]
    assert sentence(findings, "orphans") == "Every one of 2 jobs looked at has its row."


async def flight(installation: Installation, status: str, **age: float) -> list[UUID]:
    """A send that has been in a status for so long."""
    world = installation.world
    await fill(world, 1, status)
    rows = await world.run(
        "update scheduled_actions set status_at = now() - cast(:age as interval)"
        " where tenant_id = :t and status = :status returning id",
        age=timedelta(**age),
        status=status,
    )
    return [row["id"] for row in rows]


async def post(installation: Installation, state: str, **age: float) -> None:
    """A delivery that has been in a state, or waits to be looked at again, for so long."""
    claim = await installation.world.post({})
    await installation.world.run(
        "update deliveries set state = :state, state_at = now() - cast(:age as interval),"
        " retry_at = now() - cast(:age as interval) where tenant_id = :t and id = :id",
        id=claim.id,
        state=state,
        age=timedelta(**age),
    )


async def evicting(installation: Installation) -> None:
    await installation.redis.config_set("maxmemory-policy", "allkeys-lru")


async def forgetful(installation: Installation) -> None:
    await installation.redis.config_set("appendonly", "no")


async def full(installation: Installation) -> None:
    used = (await installation.redis.info("memory"))["used_memory"]
    await installation.redis.config_set("maxmemory", used + 1024)


async def filling(installation: Installation) -> None:
    used = (await installation.redis.info("memory"))["used_memory"]
    await installation.redis.config_set("maxmemory", int(used / 0.87))


async def newer(installation: Installation) -> None:
    await installation.world.run("update alembic_version set version_num = '9999'")


async def foreign(installation: Installation) -> None:
    await installation.redis.set("outreach:installation", str(uuid7()))


async def unclaimed(installation: Installation) -> None:
    await installation.redis.delete("outreach:installation")


async def other_partitions(installation: Installation) -> None:
    installation.environment.setenv("QUEUE_PARTITIONS", "3")


async def unregistered(installation: Installation) -> None:
    await installation.world.run("delete from queue_partitions where queue = 'outreach:send'")
    await installation.world.run("delete from queues where name = 'outreach:send'")


async def closed(installation: Installation) -> None:
    await installation.redis.delete("{outreach:outreach:send/0}:meta")


async def being_opened(installation: Installation) -> None:
    await closed(installation)
    await installation.world.run(
        "update queue_partitions set opening_at = now() where queue = 'outreach:send'"
    )


async def stuck_opening(installation: Installation) -> None:
    await closed(installation)
    await installation.world.run(
        "update queue_partitions set opening_at = now() - interval '2 minutes', opened_at = null"
    )


async def flushed(installation: Installation) -> None:
    await installation.redis.flushall()
    await installation.beat()


async def lost_send(installation: Installation) -> None:
    await flight(installation, "enqueued", minutes=8)


async def finished_job(installation: Installation) -> None:
    (row,) = await flight(installation, "enqueued", minutes=8)
    await installation.enqueue("send", row, g=1)  # of another generation


async def lost_submission(installation: Installation) -> None:
    await flight(installation, "submitting", minutes=4)


async def lost_unknown(installation: Installation) -> None:
    await flight(installation, "unknown", hours=25)


async def lost_timeout(installation: Installation) -> None:
    await flight(installation, "enqueued", minutes=8)
    await installation.world.run(
        "update scheduled_actions set kind = 'timeout', event_type = 'no_open', sender_id = null,"
        " channel = null where tenant_id = :t"
    )


async def lost_post(installation: Installation) -> None:
    await post(installation, "received", minutes=3)


async def lost_work(installation: Installation) -> None:
    await post(installation, "processing", minutes=3)


async def lost_parked(installation: Installation) -> None:
    await post(installation, "parked", minutes=3)


async def rowless(installation: Installation) -> None:
    await installation.enqueue("send", uuid7(), tenant_id=uuid7())


async def moved_on(installation: Installation) -> None:
    (row,) = await flight(installation, "cancelled", minutes=1)
    await installation.enqueue("send", row)


async def old_generation(installation: Installation) -> None:
    claim = await installation.world.post({})
    await installation.world.run("update deliveries set g = 1 where tenant_id = :t")
    await installation.enqueue("webhook", claim.id)


async def no_tomorrow(installation: Installation) -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    await installation.world.run(f"drop table {partition_name('attempts', tomorrow)}")


async def stray(installation: Installation) -> None:
    await installation.world.post({})
    await installation.world.run("update deliveries set received_at = '2001-01-01', state = 'processed'")


async def silent(installation: Installation) -> None:
    await installation.world.run("update gateway_beats set at = now() - interval '2 minutes'")


async def never_served(installation: Installation) -> None:
    await installation.world.run("delete from gateway_beats")


async def no_worker(installation: Installation) -> None:
    await installation.redis.delete("{outreach:outreach:timeout/0}:heard")


async def no_dispatch(installation: Installation) -> None:
    await installation.dispatcher.aclose()


async def follower(installation: Installation) -> None:
    await installation.redis.replicaof("127.0.0.1", free_port())


async def no_secret(installation: Installation) -> None:
    installation.environment.delenv("OUTREACH_SECRET_KEY")


async def other_secret(installation: Installation) -> None:
    installation.environment.setenv("OUTREACH_SECRET_KEY", SECRET[::-1])


async def in_the_clear(installation: Installation) -> None:
    installation.environment.setenv("OUTREACH_PUBLIC_URL", "http://outreach.example")


async def keyless(installation: Installation) -> None:
    await installation.world.run("update webhook_keys set expires_at = now() where tenant_id = :t")


async def senseless(installation: Installation) -> None:
    installation.environment.setenv("DISPATCH_SWEEP_EVERY", "soon")


NO_SECRET = {"secret_key": "fault", "public_url": "unchecked", "credentials": "unchecked"}
FOLLOWER = {
    "redis": "fault",
    **dict.fromkeys((check.name for check in CHECKS if Need.REDIS in check.needs), "unchecked"),
}
FLUSHED = {"installation": "warning", "openings": "fault"}

Plant = Callable[[Installation], Awaitable[None]]


@pytest.mark.parametrize(
    ("plant", "expected", "words"),
    [
        (evicting, {"eviction": "fault"}, "from allkeys-lru to noeviction"),
        (forgetful, {"persistence": "warning"}, "set appendonly to yes"),
        (full, {"memory": "fault"}, "of its maxmemory: it is about to refuse every write"),
        (filling, {"memory": "warning"}, "% of its maxmemory: when it is full"),
        (newer, {"schema": "warning"}, "upgrade the services"),
        (foreign, {"installation": "fault"}, "belongs to another installation"),
        (unclaimed, {"installation": "warning"}, "Nobody has claimed the Redis prefix 'outreach'"),
        (other_partitions, {"partitions": "fault"}, "webhook:process with 1, outreach:send with 1"),
        (unregistered, {"partitions": "fault"}, "registered outreach:send yet: start dispatch"),
        (closed, {"openings": "fault"}, "outreach:send/0 (since some time after 20"),
        (
            being_opened,
            {"openings": "warning"},
            "outreach:send/0 (an opening began 0 s ago and has not ended)",
        ),
        (
            stuck_opening,
            {"openings": "fault"},
            "outreach:send/0 (an opening began 120 s ago and has not ended)",
        ),
        (flushed, FLUSHED, "outreach:timeout/0 (since some time after"),
        (lost_send, {"stuck_enqueued_sends": "fault"}, "is enqueued for 8 minutes and nobody works on it"),
        (lost_submission, {"stuck_submitting": "fault"}, "is submitting for 4 minutes"),
        (lost_unknown, {"stuck_unknown": "fault"}, "is unknown for 1,500 minutes"),
        (lost_timeout, {"stuck_enqueued_timeouts": "fault"}, "The timeout "),
        (lost_post, {"stuck_received": "fault"}, "The delivery "),
        (lost_work, {"stuck_processing": "fault"}, "is processing for 3 minutes"),
        (lost_parked, {"stuck_parked": "fault"}, "is parked for 3 minutes"),
        (rowless, {"orphans": "warning"}, "1 of 1 jobs looked at have no row that waits for them"),
        (moved_on, {"orphans": "warning"}, "(outreach:send, waiting)"),
        (old_generation, {"orphans": "warning"}, "(webhook:process, waiting)"),
        (finished_job, {"stuck_enqueued_sends": "fault", "orphans": "warning"}, "send:"),
        (no_tomorrow, {"days_ahead": "fault"}, "There is no partition attempts_p20"),
        (stray, {"default_days": "warning"}, "deliveries_default hold rows"),
        (silent, {"gateway": "fault"}, "for 120 s"),
        (never_served, {"gateway": "warning"}, "No gateway has ever run"),
        (no_secret, NO_SECRET, "Not looked at: there is no secret key."),
        (other_secret, {"credentials": "fault"}, "does not open the credentials of 1 of 1 provider accounts"),
        (in_the_clear, {"public_url": "warning"}, "OUTREACH_PUBLIC_URL is http://outreach.example"),
        (keyless, {"endpoints": "warning"}, "(mailbox, of "),
        (no_worker, {"workers": "fault"}, "No worker of outreach:timeout has said for 15 s"),
        (no_dispatch, {"dispatch": "fault"}, "nothing that falls due is sent"),
        (follower, FOLLOWER, "Not looked at: Redis does not serve."),
        (senseless, {"settings": "fault"}, "DISPATCH_SWEEP_EVERY"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
async def test_a_planted_fault_is_found_by_its_name_and_no_other_is(
    installation: Installation, plant: Plant, expected: dict[str, str], words: str
) -> None:
    await plant(installation)
    findings = await installation.examined()
    assert ill(findings) == expected, findings
    assert words in sentence(findings, list(expected)[-1])


async def test_rows_within_their_bounds_and_those_that_wait_in_line_are_not_stuck(
    installation: Installation,
) -> None:
    await flight(installation, "enqueued", minutes=6)
    await flight(installation, "submitting", minutes=2)
    await flight(installation, "unknown", hours=24)
    for state in ("received", "processing", "parked"):
        await post(installation, state, minutes=1)
    assert ill(await installation.examined()) == {}


async def test_what_a_tenants_policy_leaves_unknown_is_not_stuck(installation: Installation) -> None:
    await lost_unknown(installation)
    await installation.world.run("update tenants set unknown_policy = 'keep' where id = :t")
    assert ill(await installation.examined()) == {}


async def test_a_job_that_ends_just_after_its_row_is_no_orphan(installation: Installation) -> None:
    (row,) = await flight(installation, "accepted", minutes=0)
    name = await installation.enqueue("send", row)

    async def settles() -> None:
        await installation.replica.sends.remove(0, [name])

    assert ill(await installation.examined()) == {"orphans": "warning"}
    assert ill(await examine(read(), lambda patient: replace(patient, wait=settles))) == {}


async def test_a_plain_task_needs_no_row(installation: Installation) -> None:
    await installation.replica.sends.enqueue([NewJob("a-task", "default", b"{}")])
    assert ill(await installation.examined()) == {}


@pytest.mark.parametrize(
    ("behind", "verdict", "words"),
    [
        (timedelta(seconds=90), "fault", "s ahead of that of this machine: limits and timeouts go by them"),
        (timedelta(seconds=-5), "warning", "The clock of this machine is 5.0 s ahead of that of "),
    ],
)
async def test_clocks_that_are_apart_are_found(
    installation: Installation, behind: timedelta, verdict: str, words: str
) -> None:
    findings = await installation.examined(
        lambda patient: replace(patient, now=lambda: datetime.now(UTC) - behind)
    )
    assert ill(findings) == {"clocks": verdict}
    assert words in sentence(findings, "clocks")


async def test_a_database_without_a_schema_is_told_to_migrate(installation: Installation) -> None:
    await installation.world.run("drop table alembic_version")
    findings = await installation.examined()
    needing = [check.name for check in CHECKS if Need.SCHEMA in check.needs]
    assert ill(findings) == {"schema": "fault", **dict.fromkeys(needing, "unchecked")}
    assert sentence(findings, "schema") == "The database has no schema: run `outreach migrate`."


def without(*needs: Need) -> dict[str, str]:
    """The checks that need one of these."""
    return {check.name: "unchecked" for check in CHECKS if set(needs) & set(check.needs)}


async def test_servers_that_are_away_are_findings(installation: Installation) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    installation.environment.setenv("REDIS_URL", f"redis://:hunter2@{nowhere}/0")
    no_redis = await installation.examined()
    assert ill(no_redis) == {**without(Need.REDIS), "redis": "fault"}
    installation.environment.setenv("DATABASE_URL", f"postgresql://u:hunter2@{nowhere}/db")
    neither = await installation.examined()
    expected = {**without(Need.REDIS, Need.POSTGRES), "redis": "fault", "postgres": "fault"}
    assert ill(neither) == expected
    assert "hunter2" not in str([no_redis, neither])
    assert "look at DATABASE_URL" in sentence(neither, "postgres")
    assert "REDIS_URL" in sentence(neither, "redis")


async def test_a_redis_that_lets_nobody_in_is_a_finding(installation: Installation) -> None:
    await installation.redis.config_set("requirepass", "hunter2")
    try:
        findings = await installation.examined()
    finally:
        await installation.redis.config_set("requirepass", "")
    assert ill(findings) == {**without(Need.REDIS), "redis": "fault"}
    assert "uthentication" in sentence(findings, "redis")


async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hear a client out, and say nothing."""
    await reader.read()
    writer.close()


async def test_a_server_that_takes_connections_and_says_nothing_is_a_finding_in_time(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wait in ("_CONNECT", "_ANSWER"):
        monkeypatch.setattr(f"services.cli.doctor.patient.{wait}", timedelta(seconds=0.2))
    async with await asyncio.start_server(listens, "127.0.0.1", 0) as silent:
        nowhere = f"127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        installation.environment.setenv("REDIS_URL", f"redis://{nowhere}/0")
        installation.environment.setenv("DATABASE_URL", f"postgresql://u:p@{nowhere}/db")
        async with asyncio.timeout(5):
            findings = await installation.examined()
    assert ill(findings) == {**without(Need.REDIS, Need.POSTGRES), "redis": "fault", "postgres": "fault"}


@pytest.mark.parametrize(
    ("redis_url", "database_url_set", "expected", "words"),
    [
        ("nonsense", None, (Need.REDIS_URL, Need.REDIS), "REDIS_URL must be as redis://"),
        ("redis://h:port/0", None, (Need.REDIS_URL, Need.REDIS), "REDIS_URL must be as redis://"),
        (None, "nonsense", (Need.DATABASE_URL, Need.POSTGRES), "DATABASE_URL is not as postgresql://"),
        (None, "postgresql://u:p@h:port/d", (Need.DATABASE_URL, Need.POSTGRES), "DATABASE_URL is not as "),
    ],
)
async def test_urls_that_make_no_sense_are_a_finding(
    installation: Installation,
    redis_url: str | None,
    database_url_set: str | None,
    expected: tuple[Need, ...],
    words: str,
) -> None:
    if redis_url:
        installation.environment.setenv("REDIS_URL", redis_url)
    if database_url_set:
        installation.environment.setenv("DATABASE_URL", database_url_set)
    findings = await installation.examined()
    assert ill(findings) == {**without(*expected), "settings": "fault"}
    assert words in sentence(findings, "settings")


async def test_a_variable_that_is_missing_is_a_finding(installation: Installation) -> None:
    installation.environment.delenv("DATABASE_URL")
    findings = await installation.examined()
    assert ill(findings) == {**without(Need.DATABASE_URL, Need.POSTGRES), "settings": "fault"}
    assert sentence(findings, "settings") == "DATABASE_URL: field required (see docs/settings.md)."


async def test_what_an_account_may_not_ask_is_a_finding_and_hides_no_other(
    installation: Installation,
) -> None:
    await installation.redis.execute_command("ACL", "SETUSER", "default", "-client|list", "-config")
    try:
        findings = await installation.examined()
    finally:
        await installation.redis.execute_command("ACL", "SETUSER", "default", "+@all")
    assert ill(findings) == {"dispatch": "warning"}
    assert "NoPermissionError" in sentence(findings, "dispatch")


async def test_the_work_is_bounded_however_much_there_is(installation: Installation) -> None:
    async def cost() -> tuple[int, int]:
        before = sum(each["calls"] for each in (await installation.redis.info("commandstats")).values())
        ran: list[list[str]] = []

        def dress(patient: Patient) -> Patient:
            ran.append(held.enter_context(statements(patient.database)))
            return patient

        with ExitStack() as held:
            assert ill(await installation.examined(dress)) == {}
        after = sum(each["calls"] for each in (await installation.redis.info("commandstats")).values())
        return after - before, len(ran[0])

    async def grow(count: int) -> None:
        jobs = []
        await fill(installation.world, count, "enqueued")
        for row in await installation.world.actions():
            lane = f"{row['tenant_id']}/email/{row['sender_id']}"
            jobs.append(NewJob(job_id("send", row["id"], row["g"]), lane, b"{}"))
        await installation.replica.sends.enqueue(jobs)

    await grow(300)
    few = await cost()
    await grow(3000)
    assert await cost() <= (few[0] + 20, few[1])


async def test_stuck_rows_are_found_by_index_in_a_flood_that_no_statistics_know_of(
    database: Database,
) -> None:
    world = await flood(database)
    values = {"age": timedelta(0), "most": 10}
    for statement in diagnosis._STUCK.values():
        found = await plan(world, statement, values)
        assert {
            word
            for word in ("Seq Scan on scheduled_actions", "Seq Scan on deliveries", "Sort  (")
            if word in found
        } == set(), found


async def outreach(*arguments: str) -> Result:
    """What the command says, on a loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, app, arguments, catch_exceptions=False)


async def test_the_command_lists_every_check_and_fails_where_there_is_a_fault(
    installation: Installation,
) -> None:
    await forgetful(installation)
    warned = await outreach("doctor")
    lines = warned.stdout.splitlines()
    assert warned.exit_code == 0, warned.output
    assert [line.split()[:2] for line in lines[:2]] == [["verdict", "check"], ["ok", "settings"]]
    assert [line.split()[1] for line in lines[1:-2]] == [check.name for check in CHECKS]
    assert lines[-2:] == ["", "1 warning."]

    await evicting(installation)
    failed = await outreach("doctor", "--json")
    found = [
        Finding(row["check"], Verdict(row["verdict"]), row["sentence"]) for row in json.loads(failed.stdout)
    ]
    assert (failed.exit_code, failed.stderr) == (1, "")
    assert found == await installation.examined()
    assert ill(found) == {"eviction": "fault", "persistence": "warning"}
