"""The API as a client sees it: keys, scopes, problems, pages, idempotency, and each resource."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from services.gateway import trials
from shared.providers import mailbox
from shared.settings import RedisSettings
from shared.store import api_keys
from shared.store.api_keys import Scope
from tests.gateway import Running, Tenant, eventually, serving, settings

GRAPH: dict[str, Any] = {
    "start": "hello",
    "nodes": {
        "hello": {
            "type": "send",
            "channel": "email",
            "subject": "Hi {{ contact.attributes.name }}",
            "text": "Bye {{ unsubscribe_url }}",
            "html": "<b>{{ contact.attributes.name }}</b>",
            "edges": [{"on": "else", "after": "P1D", "to": "done"}],
        },
        "done": {"type": "exit"},
    },
}


class Api:
    """One tenant's calls."""

    def __init__(self, gateway: Running, tenant: Tenant) -> None:
        self.gateway = gateway
        self.tenant = tenant

    async def __call__(
        self, method: str, path: str, json: Any = None, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        return await self.gateway.client.request(
            method, f"/v1{path}", json=json, headers={**self.tenant.auth, **(headers or {})}, **more
        )

    async def made(self, path: str, json: Any) -> Any:
        response = await self("POST", path, json)
        assert response.is_success, response.text
        return response.json()

    async def sender(self, channel: str = "email") -> Any:
        account = await self.made("/provider-accounts", {"provider": "mailbox", "credentials": {}})
        address = f"{uuid4().hex}@example.com" if channel == "email" else "+14155550100"
        wanted = {"providerAccountId": account["id"], "channel": channel, "address": address}
        return await self.made("/senders", wanted)

    async def campaign(self, **changes: Any) -> Any:
        sender = await self.sender()
        wanted = {"name": "c", "kind": "marketing", "graph": GRAPH, "emailSenderId": sender["id"]}
        return await self.made("/campaigns", {**wanted, **changes})

    async def contacts(self, count: int = 1) -> list[str]:
        wanted = [
            {"externalId": str(n), "email": f"c{n}@example.com", "attributes": {"name": f"N{n}"}}
            for n in range(count)
        ]
        made = await self.made("/contacts", {"contacts": wanted})
        return [result["id"] for result in made["results"]]


@pytest.fixture
async def gateway(database_url: str) -> AsyncIterator[Running]:
    async with serving(settings(database_url)) as running:
        yield running


@pytest.fixture
async def api(gateway: Running) -> Api:
    return Api(gateway, await gateway.tenant())


def problem(response: httpx.Response) -> tuple[int, str, str | None]:
    body = response.json()
    assert set(body) <= {"error", "message", "path"}
    assert body["message"]
    return response.status_code, body["error"], body.get("path")


async def test_without_a_valid_key_every_call_is_401(gateway: Running, api: Api) -> None:
    prefix, _, _ = api.tenant.token.rpartition("_")
    for wrong in ("", "Bearer", "Basic eDp5", "Bearer or_x_y", f"Bearer {prefix}_{'x' * 43}", "Bearer \xff_"):
        raw = [(b"authorization", wrong.encode("latin-1"))] if wrong else []
        response = await gateway.client.get("/v1/senders", headers=raw)
        assert problem(response) == (401, "unauthorized", None), wrong
        assert response.headers["www-authenticate"] == "Bearer"


async def test_a_rotated_key_overlaps_and_a_revoked_one_ends(gateway: Running, api: Api) -> None:
    async def status(token: str) -> int:
        bearer = {"authorization": f"Bearer {token}"}
        return (await gateway.client.get("/v1/senders", headers=bearer)).status_code

    tenant = api.tenant
    async with gateway.database.begin() as connection:
        new = await api_keys.rotate(connection, tenant.id, tenant.key_id, timedelta(hours=1))
    assert [await status(tenant.token), await status(new.token)] == [200, 200]
    async with gateway.database.begin() as connection:
        await api_keys.revoke(connection, tenant.id, tenant.key_id)
    assert [await status(tenant.token), await status(new.token)] == [401, 200]
    async with gateway.database.begin() as connection:
        newest = await api_keys.rotate(connection, tenant.id, new.id, timedelta(0))
    assert [await status(new.token), await status(newest.token)] == [401, 200]
    [(hashes,)] = await gateway.rows("select string_agg(encode(hash, 'escape') || prefix, ' ') from api_keys")
    assert newest.token not in hashes
    assert newest.token not in repr(newest)


async def test_a_key_is_good_for_its_scopes_alone(gateway: Running, api: Api) -> None:
    async def allowed(*scopes: Scope) -> list[int]:
        async with gateway.database.begin() as connection:
            key = await api_keys.create(connection, api.tenant.id, "scoped", scopes)
        bearer = {"authorization": f"Bearer {key.token}"}
        calls = (("GET", "/senders"), ("POST", "/contacts"), ("GET", "/provider-accounts"))
        return [
            (await gateway.client.request(method, f"/v1{path}", headers=bearer)).status_code
            for method, path in calls
        ]

    assert await allowed(Scope.READ) == [200, 403, 403]
    assert await allowed(Scope.WRITE) == [403, 400, 403]
    assert await allowed(Scope.ADMIN) == [403, 403, 200]


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/campaigns", b"{", (400, "invalid", None)),
        ("POST", "/campaigns", b"[" * 100_000, (400, "invalid", None)),
        ("POST", "/campaigns", b"", (400, "invalid", None)),
        ("POST", "/campaigns", b"[]", (400, "invalid", None)),
        ("POST", "/campaigns", b"{}", (400, "invalid", "/name")),
        (
            "POST",
            "/contacts",
            b'{"contacts":[{"externalId":""}]}',
            (400, "invalid", "/contacts/0/externalId"),
        ),
        ("POST", "/contacts", b'{"contacts":[{"externalId":"\\u0000"}]}', (400, "invalid", None)),
        ("POST", "/contacts", b'{"contacts":[{"externalId":"\\ud800"}]}', (400, "invalid", None)),
        ("POST", "/contacts", b'{"contacts":[{"externalId":"1","x":1}]}', (400, "invalid", "/contacts/0/x")),
        ("POST", "/contacts", b'{"contacts":[]}', (400, "invalid", "/contacts")),
        ("GET", "/contacts?externalId=%00", b"", (400, "invalid", "externalId")),
        ("GET", "/senders?limit=1000", b"", (400, "invalid", "limit")),
        ("GET", "/senders?after=1", b"", (400, "invalid", "after")),
        ("GET", "/senders/1", b"", (404, "not_found", None)),
        ("GET", "/nothing", b"", (404, "not_found", None)),
        ("PATCH", "/senders", b"", (405, "method_not_allowed", None)),
    ],
)
async def test_a_bad_request_is_a_problem_with_its_path(
    api: Api, method: str, path: str, body: bytes, expected: tuple[int, str, str | None]
) -> None:
    response = await api(method, path, content=body, headers={"content-type": "application/json"})
    assert problem(response) == expected


async def test_a_backslash_before_u0000_is_only_text(api: Api) -> None:
    body = rb'{"contacts":[{"externalId":"1","attributes":{"a":"C:\\u0000"}}]}'
    assert (await api("POST", "/contacts", content=body)).status_code == 200
    assert (await api("GET", "/contacts")).json()["items"][0]["attributes"] == {"a": r"C:\u0000"}


async def test_a_body_over_the_cap_is_413(database_url: str) -> None:
    async with serving(settings(database_url, max_bytes=1000)) as gateway:
        api = Api(gateway, await gateway.tenant())
        response = await api("POST", "/contacts", content=b" " * 1001)
        assert problem(response) == (413, "too_large", None)


async def test_a_list_goes_on_where_the_page_before_ended(api: Api) -> None:
    ids = await api.contacts(5)
    seen: list[str] = []
    path = "/contacts?limit=2"
    page = (await api("GET", path)).json()
    seen += [item["id"] for item in page["items"]]
    while page["next"]:
        page = (await api("GET", f"{path}&after={page['next']}")).json()
        seen += [item["id"] for item in page["items"]]
    assert seen == sorted(ids)


# Idempotency


async def names(gateway: Running) -> list[Any]:
    return [row[0] for row in await gateway.rows("select name from campaigns order by id")]


async def test_the_same_key_and_request_get_the_kept_answer(gateway: Running, api: Api) -> None:
    sender = await api.sender()
    wanted = {"name": "one", "kind": "marketing", "graph": GRAPH, "emailSenderId": sender["id"]}
    first, second = [await api("POST", "/campaigns", wanted, {"idempotency-key": "k"}) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert ("idempotency-replayed" in first.headers, second.headers["idempotency-replayed"]) == (
        False,
        "true",
    )
    assert await names(gateway) == ["one"]


async def test_the_same_key_with_another_request_is_422(gateway: Running, api: Api) -> None:
    await api("POST", "/contacts", {"contacts": [{"externalId": "1"}]}, {"idempotency-key": "k"})
    other_body = await api("POST", "/contacts", {"contacts": [{"externalId": "2"}]}, {"idempotency-key": "k"})
    other_path = await api(
        "POST", "/suppressions", {"contacts": [{"externalId": "1"}]}, {"idempotency-key": "k"}
    )
    for response in (other_body, other_path):
        assert problem(response) == (422, "unprocessable", "Idempotency-Key")
    assert await gateway.rows("select external_id from contacts") == [("1",)]


async def test_the_host_that_a_request_claims_is_no_part_of_it(api: Api) -> None:
    wanted = {"contacts": [{"externalId": "1"}]}
    first, second = [
        await api("POST", "/contacts", wanted, {"idempotency-key": "k", "host": host})
        for host in ("outreach.example", "a:b:c")
    ]
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.headers["idempotency-replayed"] == "true"


async def test_another_tenants_same_key_is_another_key(gateway: Running, api: Api) -> None:
    for each in (api, Api(gateway, await gateway.tenant())):
        response = await each(
            "POST", "/contacts", {"contacts": [{"externalId": "1"}]}, {"idempotency-key": "k"}
        )
        assert "idempotency-replayed" not in response.headers
    assert await gateway.rows("select count(*) from contacts") == [(2,)]


async def test_a_key_whose_first_request_still_runs_is_409(gateway: Running, api: Api) -> None:
    wanted = {"contacts": [{"externalId": "1"}]}

    async def held() -> bool:
        return bool(await gateway.rows("select 1 from pg_locks where locktype = 'advisory'"))

    async with gateway.database.begin() as connection:
        await connection.execute(text("lock table contacts in access exclusive mode"))
        first = asyncio.create_task(api("POST", "/contacts", wanted, {"idempotency-key": "k"}))
        await eventually(held)
        second = await api("POST", "/contacts", wanted, {"idempotency-key": "k"})
        assert problem(second) == (409, "conflict", None)
    assert (await first).status_code == 200


async def test_a_refusal_is_not_kept_and_has_written_nothing(gateway: Running, api: Api) -> None:
    wanted = {"name": "one", "kind": "marketing", "graph": GRAPH}
    refused = await api("POST", "/campaigns", wanted, {"idempotency-key": "k"})
    assert problem(refused) == (422, "unprocessable", "/graph/nodes/hello/sender")
    assert await gateway.rows("select count(*) from idempotency_keys") == [(0,)]
    mended = {**wanted, "emailSenderId": (await api.sender())["id"]}
    assert (await api("POST", "/campaigns", mended, {"idempotency-key": "k"})).status_code == 201
    assert await names(gateway) == ["one"]


async def test_after_a_day_a_key_is_new_again(gateway: Running, api: Api) -> None:
    wanted = {"contacts": [{"externalId": "1"}]}
    await api("POST", "/contacts", wanted, {"idempotency-key": "k"})
    await gateway.rows("update idempotency_keys set created_at = now() - interval '25 hours' returning 1")
    response = await api("POST", "/contacts", wanted, {"idempotency-key": "k"})
    assert (response.json()["results"][0]["status"], "idempotency-replayed" in response.headers) == (
        "updated",
        False,
    )


# Resources


async def test_credentials_go_in_sealed_and_never_come_out(gateway: Running, api: Api) -> None:
    secret = "SG.very-secret"
    wanted = {"provider": "sendgrid", "credentials": {"api_key": secret}, "baseUrl": "https://eu.example"}
    account = await api.made("/provider-accounts", wanted)
    shown = {key: value for key, value in account.items() if key not in ("id", "createdAt")}
    assert shown == {"provider": "sendgrid", "baseUrl": "https://eu.example"}
    again = (await api("GET", f"/provider-accounts/{account['id']}")).json()
    assert again == account == (await api("GET", "/provider-accounts")).json()["items"][0]
    [(kept,)] = await gateway.rows("select credentials from provider_accounts")
    assert secret.encode() not in kept
    path = f"/provider-accounts/{account['id']}/credentials"
    assert (await api("PUT", path, {"credentials": {"api_key": "other"}})).status_code == 204
    assert await gateway.rows("select credentials from provider_accounts") != [(kept,)]


async def test_outside_development_an_account_names_no_inner_service_and_no_folder(database_url: str) -> None:
    async with serving(settings(database_url, development=False)) as gateway:
        api = Api(gateway, await gateway.tenant())
        plain = {"provider": "sendgrid", "credentials": {}, "baseUrl": "http://10.0.0.1"}
        mail = {"provider": "mailbox", "credentials": {"folder": "/etc"}}
        assert problem(await api("POST", "/provider-accounts", plain)) == (422, "unprocessable", "/baseUrl")
        assert problem(await api("POST", "/provider-accounts", mail)) == (422, "unprocessable", "/provider")
        assert (await api("GET", "/provider-accounts")).json()["items"] == []


async def test_a_sender_is_shown_with_what_closes_it(gateway: Running, api: Api) -> None:
    sender = await api.sender()
    assert sender["closures"] == []
    await gateway.rows(
        "insert into closures (tenant_id, id, channel, sender_id, reason) "
        "values (:tenant, :id, 'email', :sender, 'unauthorized') returning 1",
        tenant=api.tenant.id,
        id=uuid4(),
        sender=sender["id"],
    )
    [closure] = (await api("GET", f"/senders/{sender['id']}")).json()["closures"]
    assert (closure["reason"], closure["until"]) == ("unauthorized", None)


async def test_a_sender_needs_a_channel_of_its_provider_and_an_address_of_its_own(api: Api) -> None:
    account = await api.made("/provider-accounts", {"provider": "sendgrid", "credentials": {"api_key": "k"}})
    wanted = {"providerAccountId": account["id"], "channel": "email", "address": "A@Example.COM"}
    sender = await api.made("/senders", wanted)
    assert sender["address"] == "a@example.com"
    assert problem(await api("POST", "/senders", wanted)) == (409, "conflict", None)
    sms = {**wanted, "channel": "sms", "address": "+14155550100"}
    assert problem(await api("POST", "/senders", sms)) == (422, "unprocessable", "/channel")
    assert problem(await api("POST", "/senders", {**wanted, "address": "a"})) == (400, "invalid", "/address")


async def test_limits_are_overridden_for_the_tenant_and_for_a_sender(api: Api) -> None:
    sender = await api.sender()
    await api("PUT", "/limits/email", {"minute": 5, "concurrent": 2})
    await api("PUT", f"/senders/{sender['id']}/limits", {"day": 7})
    await api("PUT", "/limits/sms", {"hour": 1})
    shown = (await api("PUT", "/limits/email", {"minute": 6})).json()["items"]
    none = {"minute": None, "hour": None, "day": None, "concurrent": None}
    assert shown == [
        {"channel": "email", "senderId": None, "limits": {**none, "minute": 6}},
        {"channel": "email", "senderId": sender["id"], "limits": {**none, "day": 7}},
        {"channel": "sms", "senderId": None, "limits": {**none, "hour": 1}},
    ]
    assert (await api("GET", "/limits")).json()["items"] == shown
    assert problem(await api("PUT", "/limits/email", {"minute": -1})) == (400, "invalid", "/minute")
    assert problem(await api("PUT", "/limits/fax", {}))[0] == 400


async def test_an_endpoints_keys_rotate_and_are_never_shown(gateway: Running, api: Api) -> None:
    endpoint = await api.made("/webhook-endpoints", {"provider": "twilio", "key": "first-secret"})
    assert endpoint["url"] == f"https://outreach.example/webhooks/{endpoint['id']}"
    path = f"/webhook-endpoints/{endpoint['id']}"
    rotated = await api.made(f"{path}/keys", {"key": "second-secret", "overlap": "PT1H"})
    assert [key["expiresAt"] is None for key in rotated["keys"]] == [False, True]
    assert "secret" not in str((endpoint, rotated, (await api("GET", path)).json()))
    assert (await api("DELETE", f"{path}/keys/{rotated['keys'][0]['id']}")).status_code == 204
    assert len((await api("GET", path)).json()["keys"]) == 1
    assert [item["id"] for item in (await api("GET", "/webhook-endpoints")).json()["items"]] == [
        endpoint["id"]
    ]
    assert (await api("DELETE", path)).status_code == 204
    assert problem(await api("GET", path)) == (404, "not_found", None)
    assert await gateway.rows("select count(*) from webhook_keys") == [(0,)]


async def test_contacts_are_made_and_replaced_by_their_external_id_each_with_its_result(api: Api) -> None:
    first = await api.made(
        "/contacts",
        {
            "contacts": [
                {"externalId": "a", "email": "Jo.Doe@EXAMPLE.com", "attributes": {"n": 1}},
                {"externalId": "b", "email": "nonsense"},
                {"externalId": "c", "phone": "+1 (415) 555-0100"},
                {"externalId": "a"},
                {"externalId": "d", "phone": "555"},
            ]
        },
    )
    assert [(r["externalId"], r["status"], (r["problem"] or {}).get("path")) for r in first["results"]] == [
        ("a", "created", None),
        ("b", "refused", "/contacts/1/email"),
        ("c", "created", None),
        ("a", "refused", "/contacts/3/externalId"),
        ("d", "refused", "/contacts/4/phone"),
    ]
    second = await api.made("/contacts", {"contacts": [{"externalId": "a", "attributes": {"n": 2}}]})
    assert [(r["status"], r["id"]) for r in second["results"]] == [("updated", first["results"][0]["id"])]
    shown = (await api("GET", "/contacts")).json()["items"]
    assert [(c["externalId"], c["email"], c["phone"], c["attributes"]) for c in shown] == [
        ("a", None, None, {"n": 2}),
        ("c", None, "+14155550100", {}),
    ]
    assert (await api("GET", "/contacts?externalId=c")).json()["items"] == shown[1:]


async def test_a_contact_that_is_deleted_is_forgotten_and_may_come_back(gateway: Running, api: Api) -> None:
    [contact] = await api.contacts()
    assert (await api("DELETE", f"/contacts/{contact}")).status_code == 204
    for method in ("GET", "DELETE"):
        assert problem(await api(method, f"/contacts/{contact}")) == (404, "not_found", None)
    assert await gateway.rows("select email, phone, attributes from contacts") == [(None, None, {})]
    assert await api.contacts() == [contact]
    assert (await api("GET", f"/contacts/{contact}")).status_code == 200


async def test_suppressions_are_added_found_by_address_and_lifted(api: Api) -> None:
    wanted = [
        {"channel": "email", "address": "A@Example.com"},
        {"channel": "email", "address": "a@example.com", "scope": "group:news"},
        {"channel": "email", "address": "A@EXAMPLE.com"},
        {"channel": "sms", "address": "nonsense"},
    ]
    results = (await api.made("/suppressions", {"suppressions": wanted, "reason": "asked"}))["results"]
    assert results[0]["id"] == results[2]["id"] != results[1]["id"]
    assert results[3]["problem"]["path"] == "/suppressions/3/address"
    found = (await api("GET", "/suppressions?address=A@example.com")).json()["items"]
    assert [(s["address"], s["scope"], s["reason"]) for s in found] == [
        ("a@example.com", "all", "asked"),
        ("a@example.com", "group:news", "asked"),
    ]
    assert (await api("DELETE", f"/suppressions/{found[0]['id']}")).status_code == 204
    assert problem(await api("DELETE", f"/suppressions/{found[0]['id']}")) == (404, "not_found", None)
    assert (await api("GET", "/suppressions")).json()["items"] == found[1:]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"start": "nowhere"}, "/graph/start"),
        ({"nodes": {**GRAPH["nodes"], "island": {"type": "exit"}}}, "/graph/nodes/island"),
        ({"nodes": {}}, "/graph/start"),
        ({"more": 1}, "/graph/more"),
    ],
)
async def test_a_bad_graph_is_422_with_the_path(api: Api, change: dict[str, Any], path: str) -> None:
    campaign = await api.campaign()
    graph = {**GRAPH, **change}
    wanted = {"name": "c", "kind": "marketing", "graph": graph}
    assert problem(await api("POST", "/campaigns", wanted)) == (422, "unprocessable", path)
    refused = await api("POST", f"/campaigns/{campaign['id']}/versions", {"graph": graph})
    assert problem(refused) == (422, "unprocessable", path)
    assert (await api("GET", f"/campaigns/{campaign['id']}")).json() == campaign


async def test_a_new_version_is_what_the_next_enrolments_get(gateway: Running, api: Api) -> None:
    campaign, contacts = await api.campaign(), await api.contacts(2)
    path = f"/campaigns/{campaign['id']}"
    await api.made(f"{path}/enrollments", {"contactIds": contacts[:1]})
    other = {**GRAPH, "nodes": {**GRAPH["nodes"], "hello": {**GRAPH["nodes"]["hello"], "subject": "Anew"}}}
    changed = await api.made(f"{path}/versions", {"graph": other})
    assert (changed["version"], changed["graph"]["nodes"]["hello"]["subject"]) == (2, "Anew")
    await api.made(f"{path}/enrollments", {"contactIds": contacts[1:]})
    assert await gateway.rows("select campaign_version from visits order by id") == [(1,), (2,)]


async def test_a_campaigns_senders_are_of_its_channels(api: Api) -> None:
    sms = await api.sender("sms")
    wanted = {"name": "c", "kind": "marketing", "graph": GRAPH, "emailSenderId": sms["id"]}
    assert problem(await api("POST", "/campaigns", wanted)) == (
        422,
        "unprocessable",
        "/graph/nodes/hello/sender",
    )
    days = {"name": "c", "kind": "marketing", "graph": GRAPH, "reentry": "after_days"}
    assert problem(await api("POST", "/campaigns", days))[:2] == (400, "invalid")


async def test_a_preview_renders_for_a_contact_or_a_sample_and_names_what_is_missing(api: Api) -> None:
    campaign, [contact] = await api.campaign(), await api.contacts()
    path = f"/campaigns/{campaign['id']}/preview"
    sample = {"attributes": {"name": "<Jo>"}}
    for who, name, html in (
        ({"contactId": contact}, "N0", "N0"),
        ({"contact": sample}, "<Jo>", "&lt;Jo&gt;"),
    ):
        shown = await api.made(path, {"nodeId": "hello", **who})
        assert shown == {
            "subject": f"Hi {name}",
            "text": "Bye https://outreach.example/u/preview",
            "html": f"<b>{html}</b>",
            "segments": None,
        }
    missing = await api("POST", path, {"nodeId": "hello", "contact": {}})
    assert (problem(missing)[0], "name" in missing.json()["message"]) == (422, True)
    no_send = await api("POST", path, {"nodeId": "done", "contact": {}})
    assert problem(no_send) == (422, "unprocessable", "/nodeId")
    assert problem(await api("POST", path, {"nodeId": "hello"}))[:2] == (400, "invalid")


@pytest.fixture
async def counting(database_url: str, valkey_url: str) -> AsyncIterator[Running]:
    """A gateway with a Redis."""
    async with serving(settings(database_url, redis=RedisSettings(url=valkey_url))) as running:
        yield running


async def trial(api: Api) -> tuple[str, dict[str, str]]:
    """Where a test send is asked for, and what is asked; the mailbox is empty."""
    campaign, [contact] = await api.campaign(), await api.contacts()
    mailbox.kept.clear()
    path = f"/campaigns/{campaign['id']}/test-sends"
    return path, {"nodeId": "hello", "contactId": contact, "to": "Me@Example.com"}


async def test_a_test_send_goes_to_ones_own_address_and_leaves_no_trace(counting: Running) -> None:
    gateway, api = counting, Api(counting, await counting.tenant())
    path, wanted = await trial(api)
    sent = await api.made(path, wanted)
    assert sent["outcome"] == "accepted"
    [message] = mailbox.kept
    assert (message.recipient, message.subject, message.custom_args) == (
        "me@example.com",
        "Hi N0",
        {"outreach_test": "true"},
    )
    assert await gateway.rows("select 1 from scheduled_actions") == []
    await api.made("/suppressions", {"suppressions": [{"channel": "email", "address": "me@example.com"}]})
    assert problem(await api("POST", path, wanted)) == (409, "conflict", None)
    await gateway.rows("delete from suppressions returning 1")
    await gateway.rows(
        "insert into closures (tenant_id, id, channel, sender_id, reason) "
        "select tenant_id, gen_random_uuid(), channel, id, 'unauthorized' from senders returning 1"
    )
    assert problem(await api("POST", path, wanted)) == (409, "conflict", None)
    assert len(mailbox.kept) == 1


async def test_test_sends_have_a_limit_of_their_own(counting: Running) -> None:
    api = Api(counting, await counting.tenant())
    path, wanted = await trial(api)
    for _ in range(20):
        assert (await api("POST", path, wanted)).status_code == 200
    assert problem(await api("POST", path, wanted)) == (429, "too_many", None)
    assert len(mailbox.kept) == 20


async def test_test_sends_that_hang_leave_the_api_free(counting: Running) -> None:
    api = Api(counting, await counting.tenant())
    asked, answer = asyncio.Queue[None](), asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(None)
        await answer.wait()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as provider:
        url = f"http://127.0.0.1:{provider.sockets[0].getsockname()[1]}"
        account = {"provider": "sendgrid", "credentials": {"api_key": "x"}, "baseUrl": url}
        account_id = (await api.made("/provider-accounts", account))["id"]
        wanted = {"providerAccountId": account_id, "channel": "email", "address": "slow@example.com"}
        campaign = await api.campaign(emailSenderId=(await api.made("/senders", wanted))["id"])
        path = f"/campaigns/{campaign['id']}/test-sends"
        test = {"nodeId": "hello", "contact": {"attributes": {"name": "N"}}, "to": "me@example.com"}
        running = [asyncio.create_task(api("POST", path, test)) for _ in range(trials.AT_ONCE)]
        for _ in running:
            await asyncio.wait_for(asked.get(), 30)
        assert problem(await api("POST", path, test)) == (429, "too_many", None)
        assert (await api("GET", "/senders")).status_code == 200
        answer.set()
        assert {(await each).json()["outcome"] for each in running} == {"unknown"}
        assert (await api("POST", path, test)).status_code == 200


async def test_without_redis_nothing_is_sent_as_a_test(api: Api) -> None:
    path, wanted = await trial(api)
    assert problem(await api("POST", path, wanted)) == (503, "unavailable", None)
    assert not mailbox.kept


async def test_enrolment_answers_for_each_contact_and_counts_tell_where_they_are(api: Api) -> None:
    campaign, contacts = await api.campaign(), await api.contacts(2)
    path = f"/campaigns/{campaign['id']}"
    stranger = str(uuid4())
    first = await api.made(f"{path}/enrollments", {"contactIds": [*contacts, stranger, contacts[0]]})
    assert [(r["contactId"], r["outcome"]) for r in first["results"]] == [
        (contacts[0], "enrolled"),
        (contacts[1], "enrolled"),
        (stranger, "unknown_contact"),
        (contacts[0], "already_active"),
    ]
    shown = (await api("GET", f"{path}/enrollments")).json()["items"]
    assert {(e["contactId"], e["status"]) for e in shown} == {(contact, "active") for contact in contacts}
    assert (await api("GET", f"{path}/counts")).json() == {
        "nodes": {"hello": {"here": 2, "left": {}}, "done": {"here": 0, "left": {}}},
        "statuses": {"active": 2},
        "exits": {},
    }
    too_many = await api("POST", f"{path}/enrollments", {"contactIds": [stranger] * 1001})
    assert problem(too_many) == (400, "invalid", "/contactIds")


async def test_an_enrolment_is_paused_resumed_and_cancelled_where_that_can_be(api: Api) -> None:
    campaign, [contact] = await api.campaign(), await api.contacts()
    made = await api.made(f"/campaigns/{campaign['id']}/enrollments", {"contactIds": [contact]})
    path = f"/enrollments/{made['results'][0]['enrollmentId']}"
    for word, expected in (
        ("resume", 409),
        ("pause", "paused"),
        ("pause", 409),
        ("resume", "active"),
        ("cancel", "cancelled"),
        ("cancel", 409),
    ):
        response = await api("POST", f"{path}/{word}")
        assert expected in (response.status_code, response.json().get("status")), word
    assert (await api("GET", path)).json()["exit"] == "cancelled"
    counts = (await api("GET", f"/campaigns/{campaign['id']}/counts")).json()
    assert counts["nodes"]["hello"] == {"here": 0, "left": {"cancelled": 1}}
    assert (counts["statuses"], counts["exits"]) == ({"cancelled": 1}, {"cancelled": 1})


async def test_a_campaign_is_paused_resumed_and_cancelled_for_good(api: Api) -> None:
    campaign, [contact] = await api.campaign(), await api.contacts()
    path = f"/campaigns/{campaign['id']}"
    await api.made(f"{path}/enrollments", {"contactIds": [contact]})
    for word, status in (("pause", "paused"), ("resume", "active"), ("cancel", "cancelled")):
        assert (await api("POST", f"{path}/{word}")).json()["status"] == status
    assert problem(await api("POST", f"{path}/resume")) == (409, "conflict", None)
    refused = await api("POST", f"{path}/enrollments", {"contactIds": [contact]})
    assert problem(refused) == (409, "conflict", None)
    assert [e["status"] for e in (await api("GET", f"{path}/enrollments")).json()["items"]] == ["cancelled"]


async def test_a_contacts_history_tells_sends_events_and_visits_the_latest_first(
    gateway: Running, api: Api
) -> None:
    campaign, [contact] = await api.campaign(), await api.contacts()
    await api.made(f"/campaigns/{campaign['id']}/enrollments", {"contactIds": [contact]})
    await gateway.rows(
        "insert into events (tenant_id, id, type, occurred_at, natural_key, provider, contact_id, node_id) "
        "select tenant_id, :id, 'open', now(), 'k', 'sendgrid', id, 'hello' from contacts returning 1",
        id="ffffffff-ffff-7fff-8fff-ffffffffffff",
    )
    path = f"/contacts/{contact}/history"
    whole = (await api("GET", path)).json()
    assert [(entry["kind"], entry["what"], entry["nodeId"]) for entry in whole["items"]] == [
        ("event", "open", "hello"),
        ("send", "pending", "hello"),
        ("visit", "here", "hello"),
    ]
    pages = [(await api("GET", f"{path}?limit=1")).json()]
    while pages[-1]["next"]:
        pages.append((await api("GET", f"{path}?limit=1&after={pages[-1]['next']}")).json())
    assert [entry for page in pages for entry in page["items"]] == whole["items"]


async def test_the_reference_needs_no_key_no_database_and_no_other_host(api: Api, gateway: Running) -> None:
    page = await gateway.client.get("/schema")
    assert page.status_code == 200
    assert "<script" not in page.text
    assert "http" not in page.text.replace("application/http", "").replace("https://.", "")
    document = (await gateway.client.get("/schema/openapi.json")).json()
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["responses"]["default"]["content"]["application/json"]["schema"] == {
                "$ref": "#/components/schemas/Problem"
            }
            assert operation["security"] == [{"key": []}]


async def test_the_reference_describes_what_is_checked(gateway: Running) -> None:
    document = (await gateway.client.get("/schema/openapi.json")).json()
    schemas = document["components"]["schemas"]
    fields = {name: schema.get("properties", {}) for name, schema in schemas.items()}
    assert fields["ContactData"]["attributes"].items() >= {"type": "object", "maxProperties": 200}.items()
    assert fields["NewAccount"]["credentials"]["type"] == "object"
    assert fields["NewKey"]["overlap"].items() >= {"type": "string", "format": "duration"}.items()
    assert fields["Limits"]["minute"]["anyOf"][0].items() >= {"minimum": 0, "maximum": 1_000_000_000}.items()
    assert fields["CampaignData"]["unsubscribeGroup"]["anyOf"][0]["pattern"]
    for methods in document["paths"].values():
        for method, operation in methods.items():
            headers = [each["name"] for each in operation.get("parameters", []) if each["in"] == "header"]
            assert headers == (["Idempotency-Key"] if method == "post" else [])
            if "requestBody" in operation:
                [media] = operation["requestBody"]["content"].values()
                taken = schemas[media["schema"]["$ref"].rpartition("/")[2]]
                assert taken["additionalProperties"] is False


async def test_a_body_that_is_missing_is_asked_for(api: Api) -> None:
    response = await api("POST", "/campaigns", content=b"")
    assert response.json()["message"] == "The body is empty: send a JSON object."
