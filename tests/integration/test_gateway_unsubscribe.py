"""One-click unsubscribe (RFC 8058): a POST unsubscribes, and only a POST."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from shared.campaigns.unsubscribe import PATH, Subscription, Unsubscribe
from shared.settings import PublicSettings
from tests.gateway import PUBLIC_URL, SECRET, Running, serving, settings
from tests.integration.test_gateway_api import GRAPH, Api

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
async def gateway(database_url: str) -> AsyncIterator[Running]:
    async with serving(settings(database_url)) as running:
        yield running


async def sent(gateway: Running, **campaign: Any) -> tuple[Api, str]:
    """A contact's message on its way, and the path of its unsubscribe URL."""
    api = Api(gateway, await gateway.tenant())
    made, [contact] = await api.campaign(**campaign), await api.contacts()
    await api.made(f"/campaigns/{made['id']}/enrollments", {"contactIds": [contact]})
    [(action,)] = await gateway.rows("select id from scheduled_actions")
    tokens = Unsubscribe(PublicSettings(public_url=PUBLIC_URL, secret_key=SECRET))
    url = tokens.url(Subscription(api.tenant.id, UUID(contact), UUID(made["id"]), action))
    return api, url.removeprefix(PUBLIC_URL)


async def state(gateway: Running) -> dict[str, list[Any]]:
    return {
        "suppressions": await gateway.rows("select channel, address, scope, reason from suppressions"),
        "events": await gateway.rows("select type, provider, node_id, recipient, effect from events"),
        "visits": await gateway.rows("select node_id, edge from visits order by id"),
    }


STAYS = [("hello", None)]


async def test_a_get_shows_a_button_and_changes_nothing(gateway: Running) -> None:
    _, path = await sent(gateway)
    page = await gateway.client.get(path)
    assert (page.status_code, '<form method="post">' in page.text) == (200, True)
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-store"
    assert await state(gateway) == {"suppressions": [], "events": [], "visits": STAYS}


async def test_a_post_suppresses_marketing_and_is_an_event_however_often_it_comes(gateway: Running) -> None:
    _, path = await sent(gateway)
    for _ in range(2):
        assert (await gateway.client.post(path, data=ONE_CLICK)).status_code == 200
    assert await state(gateway) == {
        "suppressions": [("email", "c0@example.com", "marketing", "unsubscribed")],
        "events": [("unsubscribe", "outreach", "hello", "c0@example.com", "none")],
        "visits": STAYS,
    }


async def test_it_suppresses_the_address_that_the_message_went_to(gateway: Running) -> None:
    api, path = await sent(gateway)
    await gateway.rows("update scheduled_actions set recipient = 'old@example.com' returning 1")
    await gateway.client.post(path, data=ONE_CLICK)
    assert (await state(gateway))["suppressions"] == [
        ("email", "old@example.com", "marketing", "unsubscribed")
    ]
    assert (await api("GET", "/suppressions?address=c0@example.com")).json()["items"] == []


async def test_a_campaign_with_a_group_suppresses_the_group(gateway: Running) -> None:
    _, path = await sent(gateway, unsubscribeGroup="news")
    await gateway.client.post(path, data=ONE_CLICK)
    assert (await state(gateway))["suppressions"] == [
        ("email", "c0@example.com", "group:news", "unsubscribed")
    ]


async def test_an_unsubscribe_edge_leads_the_contact_on(gateway: Running) -> None:
    hello = GRAPH["nodes"]["hello"]
    edges = [*hello["edges"], {"on": "unsubscribe", "to": "gone"}]
    nodes = {**GRAPH["nodes"], "hello": {**hello, "edges": edges}, "gone": {"type": "exit"}}
    _, path = await sent(gateway, graph={**GRAPH, "nodes": nodes})
    await gateway.client.post(path, data=ONE_CLICK)
    after = await state(gateway)
    assert after["visits"] == [("hello", "unsubscribe")]
    assert [event[-1] for event in after["events"]] == ["moved"]
    assert await gateway.rows("select status, exit from enrollments") == [("exited", "gone")]


async def test_a_forged_token_is_404_and_changes_nothing(gateway: Running) -> None:
    _, path = await sent(gateway)
    forged = Unsubscribe(PublicSettings(public_url=PUBLIC_URL, secret_key="x" * 40))
    other = forged.url(Subscription(*(UUID(int=n) for n in range(4)))).removeprefix(PUBLIC_URL)
    for wrong in (other, path[:-5], f"{PATH}x", f"{PATH}%00", f"{PATH}%C3%A9"):
        for method in ("GET", "POST"):
            response = await gateway.client.request(method, wrong)
            assert (response.status_code, response.json()["error"]) == (404, "not_found"), wrong
    assert await state(gateway) == {"suppressions": [], "events": [], "visits": STAYS}


async def test_a_message_that_is_gone_is_404(gateway: Running) -> None:
    _, path = await sent(gateway)
    await gateway.rows("delete from tenants returning 1")
    assert (await gateway.client.post(path, data=ONE_CLICK)).status_code == 404
