import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from itertools import product
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from services.gateway.problems import WORDS
from shared.jobs import job_id
from shared.providers import PROVIDERS
from shared.sealing import Purpose, Sealer
from shared.settings import WebhookSettings
from shared.store import endpoints
from tests.gateway import PUBLIC_URL, SECRET, Running, SigningKey, serving, settings, twilio_signature

BODY = b'[{"event":"open","timestamp":1764036000,"email":"a@example.com"}]\r\n'
STORED = "select endpoint_id, provider, query, body, state, g from deliveries order by id"


@pytest.fixture
async def gateway(database_url: str) -> AsyncIterator[Running]:
    async with serving(settings(database_url)) as running:
        yield running


async def sendgrid(gateway: Running) -> tuple[SigningKey, UUID]:
    key = SigningKey()
    return key, await gateway.endpoint(await gateway.tenant(), "sendgrid", key.public)


async def post(gateway: Running, endpoint: object, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return await gateway.client.post(f"/webhooks/{endpoint}", content=body, headers=headers)


def problem(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


async def test_a_signed_post_is_stored_byte_for_byte_and_told_to_the_queue(gateway: Running) -> None:
    key, endpoint = await sendgrid(gateway)
    response = await post(gateway, endpoint, BODY, key.headers(BODY))
    assert (response.status_code, response.content) == (204, b"")
    assert await gateway.rows(STORED) == [(endpoint, "sendgrid", "", BODY, "received", 0)]
    [(delivery, tenant)] = await gateway.rows("select id, tenant_id from deliveries")
    [job] = await gateway.announced(1)
    assert (job.id, job.lane, job.priority) == (job_id("webhook", delivery, 0), str(tenant), 0)
    assert json.loads(job.payload) == {
        "version": 1,
        "kind": "webhook",
        "tenantId": str(tenant),
        "webhookDeliveryId": str(delivery),
        "provider": "sendgrid",
    }


async def test_of_the_headers_those_a_worker_may_need_are_kept(gateway: Running) -> None:
    key, endpoint = await sendgrid(gateway)
    headers = key.headers(BODY)
    noise = {
        "authorization": "Bearer x",
        "cookie": "a=b",
        "x-forwarded-host": "evil.example",
        "x-odd": "\xe9",
    }
    raw = [(name.encode(), value.encode("latin-1")) for name, value in {**headers, **noise}.items()]
    response = await gateway.client.post(f"/webhooks/{endpoint}", content=BODY, headers=raw)
    assert response.status_code == 204
    [(kept,)] = await gateway.rows("select headers from deliveries")
    assert kept == {**headers, "x-odd": "\xe9", "user-agent": gateway.client.headers["user-agent"]}


async def test_an_endpoint_that_is_not_there_is_404_whatever_its_id_looks_like(gateway: Running) -> None:
    for unknown in (uuid4(), "nonsense", "", "%00", "a/b", f"{uuid4()}/"):
        response = await post(gateway, unknown, BODY, {})
        assert response.status_code == 404, unknown
    assert await gateway.rows(STORED) == []


async def test_a_get_is_405(gateway: Running) -> None:
    _, endpoint = await sendgrid(gateway)
    response = await gateway.client.get(f"/webhooks/{endpoint}")
    assert problem(response) == (405, "method_not_allowed")


async def test_a_bad_signature_is_401_and_stores_nothing(gateway: Running) -> None:
    key, endpoint = await sendgrid(gateway)
    good = key.headers(BODY)
    forged = [
        SigningKey().headers(BODY),
        {},
        {**good, "x-twilio-email-event-webhook-timestamp": "1764036001"},
        {**good, "x-twilio-email-event-webhook-signature": "AAAA"},
        {**good, "x-twilio-email-event-webhook-signature": "\xff"},
    ]
    for headers in forged:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        response = await gateway.client.post(f"/webhooks/{endpoint}", content=BODY, headers=raw)
        assert problem(response) == (401, "unauthorized")
    assert problem(await post(gateway, endpoint, BODY.rstrip(), good)) == (401, "unauthorized")
    assert await gateway.rows(STORED) == []


async def test_another_tenants_endpoint_does_not_take_what_this_ones_key_signed(gateway: Running) -> None:
    key, _ = await sendgrid(gateway)
    _, other = await sendgrid(gateway)
    assert problem(await post(gateway, other, BODY, key.headers(BODY))) == (401, "unauthorized")


async def test_a_body_that_is_no_json_array_is_400(gateway: Running) -> None:
    key, endpoint = await sendgrid(gateway)
    for body in (b"", b"{}", b"null", b"[", b"\xff\xfe", b"[" * 100_000):
        response = await post(gateway, endpoint, body, key.headers(body))
        assert problem(response) == (400, "invalid"), body[:10]
    assert await gateway.rows(STORED) == []


async def test_bad_items_are_kept_as_they_came(gateway: Running) -> None:
    key, endpoint = await sendgrid(gateway)
    body = b'[1, null, "x", {"event": 5}, {"event":"\\u0000\\ud800"}, []]'
    assert (await post(gateway, endpoint, body, key.headers(body))).status_code == 204
    assert [row[3] for row in await gateway.rows(STORED)] == [body]


async def test_a_body_over_the_cap_is_413_and_not_read_to_its_end(database_url: str) -> None:
    async with serving(settings(database_url, webhooks=WebhookSettings(max_bytes=1000))) as gateway:
        key, endpoint = await sendgrid(gateway)
        exact = b"[" + b" " * 998 + b"]"
        assert (await post(gateway, endpoint, exact, key.headers(exact))).status_code == 204
        over = b"[" + b" " * 999 + b"]"
        assert problem(await post(gateway, endpoint, over, key.headers(over))) == (413, "too_large")

        head = f"POST /webhooks/{endpoint} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.gateway.listener.port)
        writer.write(head.encode() + (b"200\r\n" + b" " * 512 + b"\r\n") * 2)  # and no end
        assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 413")
        writer.close()
        assert len(await gateway.rows(STORED)) == 1


async def test_a_body_that_does_not_come_is_408(database_url: str) -> None:
    async with serving(settings(database_url, read_timeout=timedelta(seconds=1))) as gateway:
        _, endpoint = await sendgrid(gateway)
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.gateway.listener.port)
        writer.write(f"POST /webhooks/{endpoint} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[".encode())
        assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 408")
        writer.close()


async def sent_until_closed(gateway: Running, first: bytes, more: bytes) -> int:
    """Send the first bytes, and more of them until the gateway closes; how many it was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.gateway.listener.port)
    sent = 0
    try:
        writer.write(first)
        async with asyncio.timeout(30):
            while not reader.at_eof() and sent < 100_000_000:
                writer.write(more)
                await writer.drain()
                sent += len(more)
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(65536), 0.01 if len(more) < 10 else 0)
    except ConnectionError:
        pass
    finally:
        writer.close()
    return sent


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (b"", b""),
        (b"", b"\r\n"),
        (b"POST /webhooks/x HTTP/1.1\r\n", b"a: b\r\n"),
        (b"POST /webhooks/x HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n", b"x"),
        (b"GET /schema HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n"),
    ],
    ids=["nothing", "empty lines", "an endless head", "a body after its answer", "lines after an answer"],
)
async def test_a_connection_that_says_nothing_complete_is_closed(
    database_url: str, first: bytes, more: bytes
) -> None:
    async with serving(settings(database_url, read_timeout=timedelta(milliseconds=50))) as gateway:
        await sent_until_closed(gateway, first, more)


@pytest.mark.parametrize(
    "first",
    [
        b"POST /webhooks/x HTTP/1.1\r\nA: ",
        b"POST /webhooks/{} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ",
    ],
    ids=["head", "trailers"],
)
async def test_a_head_or_trailers_of_any_size_are_not_kept(gateway: Running, first: bytes) -> None:
    _, endpoint = await sendgrid(gateway)
    sent = await sent_until_closed(gateway, first.replace(b"{}", str(endpoint).encode()), b"a" * 65536)
    assert sent < 100_000_000


async def test_what_is_large_beside_its_head_is_no_large_head(gateway: Running) -> None:
    key, endpoint = await sendgrid(gateway)
    whole = b""
    for number in range(3):
        body = b"[" + b" " * (1024 * 1024 - 3) + b"%d]" % number
        fields = {"Host": "x", "Content-Length": str(len(body)), **key.headers(body)}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        whole += f"POST /webhooks/{endpoint} HTTP/1.1\r\n{head}\r\n".encode() + body
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.gateway.listener.port)
    writer.write(whole)
    async with asyncio.timeout(30):
        for _ in range(3):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
    writer.close()


async def test_a_client_that_goes_away_in_the_middle_leaves_nothing(gateway: Running) -> None:
    _, endpoint = await sendgrid(gateway)
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.gateway.listener.port)
    writer.write(f"POST /webhooks/{endpoint} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[".encode())
    await writer.drain()
    writer.close()
    key, endpoint = await sendgrid(gateway)
    assert (await post(gateway, endpoint, BODY, key.headers(BODY))).status_code == 204
    assert len(await gateway.rows(STORED)) == 1


async def test_a_body_posted_again_is_acknowledged_and_stored_once(gateway: Running) -> None:
    key, endpoint = await sendgrid(gateway)
    for timestamp in ("1764036000", "1764036001"):
        response = await post(gateway, endpoint, BODY, key.headers(BODY, timestamp))
        assert response.status_code == 204
    responses = await asyncio.gather(*(post(gateway, endpoint, BODY, key.headers(BODY)) for _ in range(20)))
    assert {response.status_code for response in responses} == {204}
    assert await gateway.rows(STORED) == [(endpoint, "sendgrid", "", BODY, "received", 0)]


async def test_concurrent_first_posts_of_one_body_are_stored_once(gateway: Running) -> None:
    key, endpoint = await sendgrid(gateway)
    responses = await asyncio.gather(*(post(gateway, endpoint, BODY, key.headers(BODY)) for _ in range(20)))
    assert {response.status_code for response in responses} == {204}
    assert len(await gateway.rows(STORED)) == 1


async def test_the_same_body_at_another_endpoint_is_another_delivery(gateway: Running) -> None:
    tenant, key = await gateway.tenant(), SigningKey()
    for _ in range(2):
        endpoint = await gateway.endpoint(tenant, "sendgrid", key.public)
        assert (await post(gateway, endpoint, BODY, key.headers(BODY))).status_code == 204
    assert len(await gateway.rows(STORED)) == 2


@pytest.mark.parametrize("state", ["failed", "parked"])
async def test_a_body_that_was_never_processed_gets_another_turn(gateway: Running, state: str) -> None:
    key, endpoint = await sendgrid(gateway)
    await post(gateway, endpoint, BODY, key.headers(BODY))
    await gateway.rows("update deliveries set state = :state, tries = 5 returning 1", state=state)
    assert (await post(gateway, endpoint, BODY, key.headers(BODY))).status_code == 204
    assert await gateway.rows("select state, g, tries from deliveries") == [("received", 1, 0)]
    [(delivery,)] = await gateway.rows("select id from deliveries")
    assert [job.id for job in await gateway.announced(2)] == [job_id("webhook", delivery, g) for g in (0, 1)]


@pytest.mark.parametrize("state", ["received", "processing", "processed"])
async def test_a_body_that_is_or_was_worked_on_is_left_alone(gateway: Running, state: str) -> None:
    key, endpoint = await sendgrid(gateway)
    await post(gateway, endpoint, BODY, key.headers(BODY))
    await gateway.rows("update deliveries set state = :state returning 1", state=state)
    assert (await post(gateway, endpoint, BODY, key.headers(BODY))).status_code == 204
    assert await gateway.rows("select state, g from deliveries") == [(state, 0)]


async def test_after_48_hours_a_body_is_new_again(gateway: Running) -> None:
    key, endpoint = await sendgrid(gateway)
    await post(gateway, endpoint, BODY, key.headers(BODY))
    await gateway.rows("update delivery_digests set received_at = now() - interval '49 hours' returning 1")
    for _ in range(2):
        assert (await post(gateway, endpoint, BODY, key.headers(BODY))).status_code == 204
    assert len(await gateway.rows(STORED)) == 2


async def test_both_keys_pass_during_a_rotation_and_a_revoked_one_does_not(gateway: Running) -> None:
    tenant, old, new = await gateway.tenant(), SigningKey(), SigningKey()
    endpoint = await gateway.endpoint(tenant, "sendgrid", old.public)

    async def rotate(key: SigningKey, overlap: timedelta) -> None:
        sealed = Sealer(SECRET, Purpose.WEBHOOK_KEY).seal(key.public.encode())
        async with gateway.database.begin() as connection:
            await endpoints.rotate_key(connection, tenant.id, endpoint, sealed, overlap)

    async def statuses(*keys: SigningKey) -> list[int]:
        return [(await post(gateway, endpoint, BODY, key.headers(BODY))).status_code for key in keys]

    assert await statuses(old, new) == [204, 401]
    await rotate(new, timedelta(hours=1))
    assert await statuses(old, new) == [204, 204]
    third = SigningKey()
    await rotate(third, timedelta(hours=1))
    assert await statuses(old, new, third) == [401, 204, 204]
    await rotate(SigningKey(), timedelta(0))
    assert await statuses(old, new, third) == [401, 401, 401]


async def test_the_lifecycle_and_the_quirks_are_stored_as_they_came(
    gateway: Running, shared_dir: Path
) -> None:
    key, endpoint = await sendgrid(gateway)
    bodies = [path.read_bytes() for path in sorted((shared_dir / "data").glob("sendgrid-*.json"))]
    for body in bodies:
        assert (await post(gateway, endpoint, body, key.headers(body))).status_code == 204
    assert [row[3] for row in await gateway.rows(STORED)] == bodies


async def test_twilios_callbacks_are_signed_over_the_public_url_as_sent(
    gateway: Running, shared_dir: Path
) -> None:
    endpoint = await gateway.endpoint(await gateway.tenant(), "twilio", "token")
    bodies = (shared_dir / "data" / "twilio-callbacks.txt").read_bytes().splitlines()
    target = f"/webhooks/{endpoint}?sa=0192%2d&b=%C3%A9"
    for body in bodies:
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "host": "evil.example",
            "x-forwarded-host": "evil.example",
            "x-forwarded-proto": "http",
            "x-twilio-signature": twilio_signature("token", PUBLIC_URL + target, body),
        }
        response = await gateway.client.post(target, content=body, headers=headers)
        assert response.status_code == 204
    stored = [(endpoint, "twilio", "sa=0192%2d&b=%C3%A9", body, "received", 0) for body in bodies]
    assert await gateway.rows(STORED) == stored


async def test_twilios_signature_for_the_host_that_the_request_claims_is_401(gateway: Running) -> None:
    endpoint = await gateway.endpoint(await gateway.tenant(), "twilio", "token")
    body = b"MessageSid=SM1&MessageStatus=sent"
    signature = twilio_signature("token", f"https://evil.example/webhooks/{endpoint}", body)
    headers = {"host": "evil.example", "x-forwarded-host": "evil.example", "x-twilio-signature": signature}
    assert problem(await post(gateway, endpoint, body, headers)) == (401, "unauthorized")


async def test_a_twilio_post_without_fields_is_400(gateway: Running) -> None:
    endpoint = await gateway.endpoint(await gateway.tenant(), "twilio", "token")
    signature = twilio_signature("token", f"{PUBLIC_URL}/webhooks/{endpoint}", b"")
    response = await post(gateway, endpoint, b"", {"x-twilio-signature": signature})
    assert problem(response) == (400, "invalid")


async def test_one_tenants_removal_does_not_fail_the_others_posts(gateway: Running) -> None:
    key, endpoint = await sendgrid(gateway)
    assert (await post(gateway, endpoint, BODY, key.headers(BODY))).status_code == 204
    await gateway.rows("delete from tenants returning 1")
    assert problem(await post(gateway, endpoint, BODY, key.headers(BODY))) == (404, "not_found")


async def test_answers_are_counted_by_provider_and_word(gateway: Running) -> None:
    def counted() -> dict[tuple[str, str], float]:
        return {
            (sample.labels["provider"], sample.labels["answer"]): sample.value
            for metric in gateway.gateway.metrics.posts.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
        }

    none = dict.fromkeys(product(("none", *PROVIDERS), ("stored", "again", *WORDS)), 0)
    assert counted() == none, "or Prometheus would see no increase in the first"
    key, endpoint = await sendgrid(gateway)
    for _ in range(2):
        await post(gateway, endpoint, BODY, key.headers(BODY))
    await post(gateway, endpoint, BODY, {})
    await post(gateway, uuid4(), BODY, {})
    assert counted() == none | {
        ("sendgrid", "stored"): 1,
        ("sendgrid", "again"): 1,
        ("sendgrid", "unauthorized"): 1,
        ("none", "not_found"): 1,
    }


async def test_a_port_in_use_refuses_to_start(database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        chosen = settings(database_url, port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            async with serving(chosen):
                pass
