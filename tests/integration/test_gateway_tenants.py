"""Every route, as the reference lists them: none reaches another tenant's rows, no input breaks one."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from shared.settings import RedisSettings
from tests.gateway import Running, serving, settings
from tests.integration.test_gateway_api import GRAPH, Api

ROWS = (
    "provider_accounts",
    "senders",
    "rate_limits",
    "webhook_endpoints",
    "webhook_keys",
    "contacts",
    "suppressions",
    "campaigns",
    "campaign_versions",
    "enrollments",
    "visits",
    "scheduled_actions",
)
NASTY: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**30, 1.5, 1e308),
    *("", " ", "x", "\x7f\u2028\U0001f600", "x" * 100_000, "2026-11-25", "P1D", "P99999999D"),
    *([], [None], [[]], {}, {"": ""}, {"$ref": "#"}),
    *("00000000-0000-0000-0000-000000000000", "{{ 1 }}", "' or 1=1 --", "%00", "../.."),
)


@pytest.fixture
async def gateway(database_url: str, valkey_url: str) -> AsyncIterator[Running]:
    async with serving(settings(database_url, redis=RedisSettings(url=valkey_url))) as running:
        yield running


class World:
    """One of everything, and for every route a body that it would take."""

    def __init__(self, ids: dict[str, str]) -> None:
        self.ids = ids

    @classmethod
    async def made_by(cls, api: Api) -> "World":
        sender, [contact] = await api.sender(), await api.contacts()
        campaign = await api.campaign(emailSenderId=sender["id"])
        endpoint = await api.made("/webhook-endpoints", {"provider": "twilio", "key": "k"})
        suppressed = {"suppressions": [{"channel": "email", "address": "s@example.com"}]}
        suppression = await api.made("/suppressions", suppressed)
        enrolled = await api.made(f"/campaigns/{campaign['id']}/enrollments", {"contactIds": [contact]})
        await api("PUT", f"/senders/{sender['id']}/limits", {"day": 7})
        return cls(
            {
                "account_id": sender["providerAccountId"],
                "sender_id": sender["id"],
                "endpoint_id": endpoint["id"],
                "key_id": endpoint["keys"][0]["id"],
                "contact_id": contact,
                "suppression_id": suppression["results"][0]["id"],
                "campaign_id": campaign["id"],
                "enrollment_id": enrolled["results"][0]["enrollmentId"],
                "channel": "email",
            }
        )

    def path(self, template: str) -> str:
        return template.removeprefix("/v1").format(**{name: quote(value) for name, value in self.ids.items()})

    def body(self, template: str) -> Any:
        ids = self.ids
        return {
            "/v1/provider-accounts": {"provider": "mailbox", "credentials": {"a": "b"}, "baseUrl": None},
            "/v1/provider-accounts/{account_id}/credentials": {"credentials": {"a": "b"}},
            "/v1/senders": {
                "providerAccountId": ids["account_id"],
                "channel": "email",
                "address": "new@example.com",
                "name": "",
            },
            "/v1/limits/{channel}": {"minute": 1, "hour": 1, "day": 1, "concurrent": 1},
            "/v1/senders/{sender_id}/limits": {"minute": 1, "hour": 1, "day": 1, "concurrent": 1},
            "/v1/webhook-endpoints": {"provider": "sendgrid", "key": "k"},
            "/v1/webhook-endpoints/{endpoint_id}/keys": {"key": "k", "overlap": "P1D"},
            "/v1/contacts": {
                "contacts": [{"externalId": "x", "email": None, "phone": None, "attributes": {"a": 1}}]
            },
            "/v1/suppressions": {
                "suppressions": [{"channel": "email", "address": "t@example.com", "scope": "all"}],
                "reason": "r",
            },
            "/v1/campaigns": {
                "name": "c",
                "kind": "marketing",
                "graph": GRAPH,
                "reentry": "never",
                "reentryDays": None,
                "emailSenderId": ids["sender_id"],
                "smsSenderId": None,
                "unsubscribeGroup": "g",
                "maxLateness": "P1D",
            },
            "/v1/campaigns/{campaign_id}/versions": {"graph": GRAPH},
            "/v1/campaigns/{campaign_id}/preview": {"nodeId": "hello", "contactId": ids["contact_id"]},
            "/v1/campaigns/{campaign_id}/test-sends": {
                "nodeId": "hello",
                "contact": {"externalId": None, "email": None, "phone": None, "attributes": {"name": "N"}},
                "to": "me@example.com",
            },
            "/v1/campaigns/{campaign_id}/enrollments": {"contactIds": [ids["contact_id"]]},
        }[template]


async def operations(gateway: Running) -> list[tuple[str, str, dict[str, Any]]]:
    document = (await gateway.client.get("/schema/openapi.json")).json()
    found = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(found) > 30
    return found


async def rows_of(gateway: Running, api: Api) -> dict[str, list[str]]:
    return {
        table: [
            row[0]
            for row in await gateway.rows(
                f"select to_jsonb(t)::text from {table} t where tenant_id = :id order by 1", id=api.tenant.id
            )
        ]
        for table in ROWS
    }


async def test_another_tenants_id_is_404_at_every_route_and_its_rows_stay(gateway: Running) -> None:
    owner, stranger = Api(gateway, await gateway.tenant()), Api(gateway, await gateway.tenant())
    world = await World.made_by(owner)
    before = await rows_of(gateway, owner)
    assert all(before.values())
    tried = 0
    for method, path, operation in await operations(gateway):
        if "_id}" not in path:
            continue
        tried += 1
        body = world.body(path) if "requestBody" in operation else None
        response = await stranger(method, world.path(path), body)
        assert (response.status_code, response.json()["error"]) == (404, "not_found"), (method, path)
    assert tried > 20
    assert await rows_of(gateway, owner) == before
    assert not any((await rows_of(gateway, stranger)).values())


async def test_the_owner_is_served_at_every_route(gateway: Running) -> None:
    """Or the 404 of the test above would prove nothing."""
    owner = Api(gateway, await gateway.tenant())
    world = await World.made_by(owner)
    found = await operations(gateway)
    ends = {each[1] for each in found if each[1].endswith(("/pause", "/resume", "/cancel"))}
    # What ends a thing comes last, and gets things of its own.
    for method, path, operation in sorted(found, key=lambda each: each[0] == "DELETE" or each[1] in ends):
        if method == "DELETE" or path in ends:
            owner = Api(gateway, await gateway.tenant())
            world = await World.made_by(owner)
        if path.endswith("/resume"):
            await owner("POST", world.path(path.replace("/resume", "/pause")))
        body = world.body(path) if "requestBody" in operation else None
        response = await owner(method, world.path(path), body)
        assert response.is_success, (method, path, response.text)


async def test_lists_show_nothing_of_another_tenant(gateway: Running) -> None:
    owner, stranger = Api(gateway, await gateway.tenant()), Api(gateway, await gateway.tenant())
    await World.made_by(owner)
    for method, path, _ in await operations(gateway):
        if method == "GET" and "{" not in path:
            assert (await stranger(method, path.removeprefix("/v1"))).json()["items"] == []
            assert (await owner(method, path.removeprefix("/v1"))).json()["items"] != []


async def test_another_tenants_id_in_a_body_points_at_nothing(gateway: Running) -> None:
    owner, stranger = Api(gateway, await gateway.tenant()), Api(gateway, await gateway.tenant())
    theirs, mine = await World.made_by(owner), await World.made_by(stranger)
    sender = await stranger("POST", "/senders", theirs.body("/v1/senders"))
    assert sender.status_code == 404
    campaign = await stranger("POST", "/campaigns", theirs.body("/v1/campaigns"))
    assert (campaign.status_code, campaign.json()["path"]) == (422, "/graph/nodes/hello/sender")
    path = mine.path("/v1/campaigns/{campaign_id}")
    enrolled = await stranger("POST", f"{path}/enrollments", {"contactIds": [theirs.ids["contact_id"]]})
    assert [result["outcome"] for result in enrolled.json()["results"]] == ["unknown_contact"]
    preview = {"nodeId": "hello", "contactId": theirs.ids["contact_id"]}
    assert (await stranger("POST", f"{path}/preview", preview)).status_code == 404


def spoiled(body: Any) -> Iterator[Any]:
    """The body with each of its values, in turn, replaced by something nasty, or left out."""
    if isinstance(body, dict):
        for key, value in body.items():
            yield {name: each for name, each in body.items() if name != key}
            for worse in (*NASTY, *spoiled(value)):
                yield {**body, key: worse}
    if isinstance(body, list) and body:
        for worse in (*NASTY, *spoiled(body[0])):
            yield [worse, *body[1:]]


async def test_no_body_makes_a_route_answer_5xx(gateway: Running) -> None:
    api = Api(gateway, await gateway.tenant())
    world = await World.made_by(api)
    world.ids["campaign_id"] = (await api.campaign())["id"]
    for method, path, operation in await operations(gateway):
        if "requestBody" not in operation or path.endswith("/test-sends"):
            continue
        bodies = {json.dumps(body) for body in spoiled(world.body(path))}
        bodies |= {json.dumps(each) for each in (*NASTY, {"connection": 1}, {"page": 1})}
        for body in sorted(bodies)[:: max(1, len(bodies) // 40)]:
            response = await api(method, world.path(path), content=body.encode())
            assert response.status_code < 500, (method, path, body[:300], response.text)


async def test_no_parameter_makes_a_route_answer_5xx(gateway: Running) -> None:
    api = Api(gateway, await gateway.tenant())
    world = await World.made_by(api)
    strings = [each for each in NASTY if isinstance(each, str) and len(each) < 1000][::2]
    for method, path, operation in await operations(gateway):
        if method != "GET":
            continue
        for parameter in operation.get("parameters", []):
            for value in [*strings, "-1", "0", "1e9", str(uuid4())]:
                if parameter["in"] == "query":
                    response = await api(method, world.path(path), params={parameter["name"]: value})
                else:
                    spoilt = World({**world.ids, parameter["name"]: value})
                    response = await api(method, spoilt.path(path))
                assert response.status_code < 500, (method, path, parameter["name"], value, response.text)
