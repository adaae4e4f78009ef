"""What the gateway does while Redis or Postgres is away, and when it is told to go."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from shared.child import free_port
from shared.errors import StoreUnavailable
from shared.jobs import WEBHOOKS, job_id
from shared.queue.queue import Queue
from shared.redis.client import connect
from shared.redis.embedded import EmbeddedValkey
from shared.settings import RedisSettings, TimeoutSettings
from shared.store.embedded import EmbeddedPostgres
from tests.gateway import SECRET, Running, SigningKey, Tenant, eventually, serving, settings
from tests.servers import setting


@asynccontextmanager
async def on_a_queue(database_url: str, valkey_url: str) -> AsyncIterator[tuple[Running, Queue]]:
    """A gateway and, by a connection of its own, the queue it tells."""
    chosen = RedisSettings(url=valkey_url, command_timeout=timedelta(milliseconds=200), retries=0)
    redis, own = connect(chosen, role="gateway"), connect(RedisSettings(url=valkey_url), role="test")
    told = Queue(redis, WEBHOOKS, prefix="outreach")
    try:
        async with serving(settings(database_url), told.enqueue) as gateway:
            yield gateway, Queue(own, WEBHOOKS, prefix="outreach")
    finally:
        await redis.aclose()
        await own.aclose()


async def post(gateway: Running, key: SigningKey, endpoint: UUID, name: str) -> httpx.Response:
    body = f'[{{"event":"open","name":"{name}"}}]'.encode()
    return await gateway.client.post(f"/webhooks/{endpoint}", content=body, headers=key.headers(body))


async def endpoint_of(gateway: Running) -> tuple[SigningKey, UUID, Tenant]:
    key, tenant = SigningKey(), await gateway.tenant()
    return key, await gateway.endpoint(tenant, "sendgrid", key.public), tenant


async def waiting(queue: Queue, count: int) -> bool:
    return (await queue.counts(0)).waiting >= count


def unannounced(gateway: Running) -> float:
    [metric] = gateway.gateway.metrics.unannounced.collect()
    return float(metric.samples[0].value)


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def test_a_stopped_redis_keeps_no_answer_back(
    database_url: str, valkey: EmbeddedValkey, valkey_url: str
) -> None:
    async with on_a_queue(database_url, valkey_url) as (gateway, queue):
        key, endpoint, _ = await endpoint_of(gateway)
        assert (await post(gateway, key, endpoint, "before")).status_code == 204
        await eventually(lambda: waiting(queue, 1))
        os.kill(valkey.pid, signal.SIGSTOP)
        try:
            answers = [await post(gateway, key, endpoint, f"stopped {n}") for n in range(5)]
            assert state_of(valkey.pid) == "T"
        finally:
            os.kill(valkey.pid, signal.SIGCONT)
        assert [answer.status_code for answer in answers] == [204] * 5
        assert await gateway.rows("select count(*) from deliveries where state = 'received'") == [(6,)]

        # Redis is back, and so is the announcing, by itself.
        async def announced_again() -> bool:
            await post(gateway, key, endpoint, f"after {os.urandom(4).hex()}")
            return await waiting(queue, 2)

        await eventually(announced_again)


async def test_with_redis_away_posts_are_stored_and_the_unannounced_counted(database_url: str) -> None:
    async with on_a_queue(database_url, f"redis://127.0.0.1:{free_port()}/0") as (gateway, _):
        key, endpoint, _ = await endpoint_of(gateway)
        answers = [await post(gateway, key, endpoint, f"{n}") for n in range(3)]
        assert [answer.status_code for answer in answers] == [204] * 3
        assert await gateway.rows("select count(*) from deliveries where state = 'received'") == [(3,)]
    assert unannounced(gateway) == 3


async def test_a_full_line_drops_what_does_not_fit_and_answers_all_the_same(database_url: str) -> None:
    gate = asyncio.Event()

    async def stuck(_: object) -> None:
        await gate.wait()

    async with serving(settings(database_url, announced_ahead=1), stuck) as gateway:
        key, endpoint, _ = await endpoint_of(gateway)
        answers = [await post(gateway, key, endpoint, f"{n}") for n in range(5)]
        assert [answer.status_code for answer in answers] == [204] * 5
        assert len(await gateway.rows("select 1 from deliveries")) == 5
        assert unannounced(gateway) == 3
        gate.set()


async def test_postgres_down_is_503_and_then_all_is_well_without_a_restart(
    database_url: str, postgres: EmbeddedPostgres
) -> None:
    async with serving(settings(database_url)) as gateway:
        key, endpoint, tenant = await endpoint_of(gateway)
        assert (await post(gateway, key, endpoint, "before")).status_code == 204
        assert (await gateway.client.get("/v1/senders", headers=tenant.auth)).status_code == 200
        await postgres.stop()
        try:
            for response in (
                await post(gateway, key, endpoint, "down"),
                await gateway.client.get("/v1/senders", headers=tenant.auth),
                await gateway.client.post("/v1/campaigns", headers=tenant.auth, json={}),
            ):
                assert (response.status_code, response.json()["error"]) == (503, "unavailable")
                assert response.headers["retry-after"]
        finally:
            await postgres.start()
        assert (await post(gateway, key, endpoint, "down")).status_code == 204
        assert (await gateway.client.get("/v1/senders", headers=tenant.auth)).status_code == 200
        with suppress(StoreUnavailable):  # the test's own pool finds out
            await gateway.rows("select 1")
        assert len(await gateway.rows("select 1 from deliveries")) == 2


async def test_a_postgres_that_became_a_standby_is_503(database_url: str) -> None:
    async with serving(settings(database_url)) as gateway:
        key, endpoint, tenant = await endpoint_of(gateway)
        async with gateway.database.begin() as connection:
            name = await connection.scalar(text("select current_database()"))
            await connection.execute(text(f"alter database {name} set default_transaction_read_only = on"))
    async with serving(settings(database_url)) as gateway:
        contacts = {"contacts": [{"externalId": "1"}]}
        for response in (
            await post(gateway, key, endpoint, "standby"),
            await gateway.client.post("/v1/contacts", headers=tenant.auth, json=contacts),
        ):
            assert (response.status_code, response.json()["error"]) == (503, "unavailable")
        assert (await gateway.client.get("/v1/senders", headers=tenant.auth)).status_code == 200
        assert not gateway.gateway.heartbeat.ready()


async def test_an_insert_that_does_not_end_in_time_is_503_and_stored_by_none(database_url: str) -> None:
    quick = TimeoutSettings(insert_timeout=timedelta(milliseconds=300))
    async with serving(settings(database_url, timeouts=quick)) as gateway:
        key, endpoint, _ = await endpoint_of(gateway)
        async with gateway.database.begin() as connection:
            await connection.execute(text("lock table delivery_digests in access exclusive mode"))
            response = await post(gateway, key, endpoint, "locked")
            assert (response.status_code, response.json()["error"]) == (503, "unavailable")
        assert (await post(gateway, key, endpoint, "free")).status_code == 204
        assert [row[0] for row in await gateway.rows("select body from deliveries")] == [
            b'[{"event":"open","name":"free"}]'
        ]


async def test_an_error_that_nobody_foresaw_puts_no_body_and_no_address_into_the_log(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(settings(database_url)) as gateway:
        key, endpoint, tenant = await endpoint_of(gateway)
        for table in ("deliveries", "contacts"):
            async with gateway.database.begin() as connection:
                await connection.execute(text(f"alter table {table} add column unforeseen int not null"))
        contact = {"externalId": "secret id", "email": "secret@example.com", "attributes": {"a": "secret"}}
        failed = [
            await post(gateway, key, endpoint, "secret name"),
            await gateway.client.post("/v1/contacts", headers=tenant.auth, json={"contacts": [contact]}),
        ]
    assert [response.status_code for response in failed] == [500, 500]
    assert caplog.text.count("unforeseen") >= 2  # what went wrong is said
    assert "secret" not in caplog.text
    assert not any("secret" in response.text for response in failed)


async def test_the_heartbeat_says_that_somebody_serves_and_a_silence_becomes_an_outage(
    database_url: str,
) -> None:
    async with serving(settings(database_url)) as gateway:
        await gateway.tenant()
    await_beat = "select count(*) from gateway_beats where at > now() - interval '1 minute'"
    async with serving(settings(database_url, beat=timedelta(milliseconds=20))) as gateway:
        assert await gateway.rows(await_beat) == [(1,)]
        assert await gateway.rows("select count(*) from gateway_outages") == [(0,)]
        await gateway.rows("update gateway_beats set at = now() - interval '40 seconds' returning 1")

        async def noted() -> bool:
            return bool(await gateway.rows("select 1 from gateway_outages"))

        await eventually(noted)
        [(silence,)] = await gateway.rows("select to_at - from_at from gateway_outages")
        assert timedelta(seconds=40) <= silence < timedelta(seconds=60)
        assert gateway.gateway.heartbeat.ready()


@pytest.fixture
async def process(
    database_url: str, valkey_url: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    port = free_port()
    environment = {
        "PATH": setting("PATH") or os.defpath,
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        "OUTREACH_SECRET_KEY": SECRET,
        "GATEWAY_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "PRIVATE_PORT": "0",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.gateway", env=environment)
    try:
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(60):
            while True:
                try:
                    await client.get(f"http://127.0.0.1:{port}/schema")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
        yield process, port
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_sigterm_ends_what_runs_tells_the_queue_and_exits_0(
    process: tuple[asyncio.subprocess.Process, int], database_url: str, redis: Redis
) -> None:
    child, port = process
    async with serving(settings(database_url)) as other:  # to make rows with
        key, endpoint, _ = await endpoint_of(other)
        body = b'[{"event":"open"}]'
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        fields = {"Host": "x", "Content-Length": str(len(body)), **key.headers(body)}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"POST /webhooks/{endpoint} HTTP/1.1\r\n{head}\r\n".encode() + body[:5])
        await writer.drain()
        await asyncio.sleep(0.3)  # the request is begun: its answer must come in spite of what follows
        child.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        writer.write(body[5:])
        async with asyncio.timeout(30):
            assert (await reader.readline()).startswith(b"HTTP/1.1 204")
            assert await child.wait() == 0
        writer.close()
        [(delivery,)] = await other.rows("select id from deliveries where body = :body", body=body)
    [key_of_jobs] = [name async for name in redis.scan_iter("*jobs*")]
    assert list(await redis.hgetall(key_of_jobs)) == [job_id("webhook", delivery, 0).encode()]
