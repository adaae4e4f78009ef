"""Deliveries, unknown sends and the audit in a headless Chromium: each page and what can be done there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Browser, expect
from pydantic import SecretStr

from shared.jobs import QUEUES
from shared.queue.queue import Queue
from shared.redis.client import connect
from shared.settings import RedisSettings
from shared.store import audit, pauses
from shared.store.audit import Entry, Via
from shared.store.database import AsyncConnection, Database
from shared.store.ids import uuid7
from shared.store.pauses import Pause
from tests.admin import serving, settings
from tests.browser.visits import PHONE, Visit, visiting
from tests.journeys import World, graph, mail_event, send, to
from tests.operating import entries
from tests.posted import FORM, arrive, set_state, worked

pytestmark = pytest.mark.browser

DRIP = graph(hello=send(to("opened", "open"), to("done", "no_open", after=60)))


@asynccontextmanager
async def incident(valkey_url: str, database: Database) -> AsyncIterator[tuple[World, Any]]:
    """Two tenants in trouble: deliveries in every state, and sends that nobody knows the end of."""
    acme, other = [await World.create(database, DRIP, contacts=3) for _ in range(2)]
    await acme.run("update tenants set name = 'acme' where id = :t")
    await other.run("update tenants set name = 'globex', unknown_policy = 'keep' where id = :t")
    for world in (acme, other):
        await world.enrol()
        for action in (await world.actions(kind="send"))[1:]:
            since = datetime.now(UTC) - timedelta(hours=3)
            await world.set_action(action["id"], status="unknown", status_at=since, reason="worker_lost")
    action = (await acme.actions(kind="send"))[0]
    await acme.accept(action["visit_id"], datetime.now(UTC) - timedelta(minutes=10))
    action = (await acme.actions(id=action["id"]))[0]
    now = datetime.now(UTC) - timedelta(minutes=1)
    kept = await arrive(acme, mail_event("delivered", action, now))
    opened = [mail_event(kind, action, now, useragent="Mozilla/5.0") for kind in ("delivered", "open")]
    await worked(acme, kept)
    await worked(acme, await arrive(acme, *opened))
    stranger = mail_event("delivered", {"id": uuid7(), "contact_id": uuid7()}, now)
    del stranger["outreach_action"]
    await worked(other, await arrive(other, stranger))
    form = b"MessageSid=SM1&MessageStatus=delivered&To=%2B4915112345678"
    await arrive(other, body=form, provider="twilio", headers=FORM, query=f"sa={uuid7()}")
    for n in range(3):
        failed = await arrive(acme, {"event": "open", "n": n})
        await set_state(acme, failed, "failed", reason="stalled")
    async with connect(RedisSettings(url=SecretStr(valkey_url)), role="test") as redis:
        for spec in QUEUES.values():
            queue = Queue(redis, spec, prefix="outreach")
            await queue.begin_opening(0, 1)
            await queue.open(0, 1)
        yield acme, other


async def follow(visit: Visit, name: str) -> None:
    """Follow a link by keyboard."""
    await visit.page.get_by_role("link", name=name).first.press("Enter")


async def test_failed_deliveries_are_found_read_and_replayed_by_keyboard_and_noted_in_the_audit(
    chromium: Browser, valkey_url: str, database_url: str, database: Database
) -> None:
    async with (
        incident(valkey_url, database),
        serving(settings(database_url, valkey_url)) as pages,
        visiting(chromium, pages) as visit,
    ):
        page = visit.page
        await visit.log_in()
        await follow(visit, "Deliveries")
        await expect(page.get_by_role("heading", name="All deliveries of everybody")).to_be_visible()
        await visit.picture("deliveries")
        await follow(visit, "failed 3")
        await expect(page.get_by_role("row")).to_have_count(4)
        await page.get_by_label("Tenant, by name or id").fill("acme")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Failed deliveries of acme")).to_be_visible()
        await page.get_by_role("table").get_by_role("link").first.press("Enter")
        await expect(page.get_by_text("It stays stored, and can be replayed")).to_be_visible()
        await page.get_by_role("button", name="Replay").press("Enter")
        await expect(page.get_by_role("heading", name="Replay this delivery?")).to_be_visible()
        await visit.answer_yes("Replay")
        await expect(page.get_by_role("status")).to_contain_text("It is processed anew, by the job webhook:")
        async with page.expect_download() as saved:
            await follow(visit, "Download it as it was posted")
        assert (await saved.value).suggested_filename.startswith("delivery-")
        await page.goto("/deliveries?state=failed")
        await page.get_by_role("button", name="Replay all failed").click()
        await expect(
            page.get_by_role("heading", name="Replay 2 failed deliveries of everybody?")
        ).to_be_visible()
        await page.get_by_role("link", name="Cancel").click()
        await expect(page.get_by_role("row")).to_have_count(3)
        await page.get_by_role("button", name="Replay all failed").click()
        await page.get_by_role("button", name="Replay them").click()
        await expect(page.get_by_role("status")).to_have_text("2 deliveries are processed anew.")
        await follow(visit, "Audit")
        cells = page.get_by_role("cell", name="deliveries.replay")
        await expect(cells).to_have_count(2)
        assert [entry[3] for entry in await entries(database)] == [1, 2]


async def test_an_unknown_send_is_found_from_the_overview_with_what_ends_it(
    chromium: Browser, valkey_url: str, database_url: str, database: Database
) -> None:
    async with (
        incident(valkey_url, database),
        serving(settings(database_url, valkey_url)) as pages,
        visiting(chromium, pages, color_scheme="dark") as visit,
    ):
        await visit.log_in()
        await follow(visit, "4 sends without a known outcome")
        await expect(visit.page.get_by_role("heading", name="4 sends of everybody")).to_be_visible()
        await expect(visit.page.get_by_role("cell", name="by a webhook alone")).to_have_count(2)
        await visit.picture("unknown-dark")
        await visit.page.get_by_label("Tenant, by name or id").fill("globex")
        await visit.page.get_by_role("button", name="Show").click()
        await expect(visit.page.get_by_role("heading", name="2 sends of globex")).to_be_visible()
        await follow(visit, "Overview")
        await follow(visit, "1 webhook delivery parked")
        await visit.page.get_by_role("table").get_by_role("link").first.click()
        await expect(visit.page.get_by_text("It holds events that match no send yet.")).to_be_visible()
        await visit.picture("delivery-parked-dark")


async def test_each_page_fits_a_phone(
    chromium: Browser, valkey_url: str, database_url: str, database: Database
) -> None:
    async def noted(tx: AsyncConnection) -> None:
        await pauses.add(tx, Pause("outreach:timeout", None), "maintenance")
        for n in range(3):
            await audit.add(
                tx, Entry("ana", Via.CLI, "pause", "outreach:timeout", detail={"reason": f"no. {n}"})
            )

    async with (
        incident(valkey_url, database) as (acme, other),
        serving(settings(database_url, valkey_url)) as pages,
        visiting(chromium, pages, viewport=PHONE) as visit,
    ):
        await database.run(noted)
        await visit.log_in()
        second = str((await acme.deliveries())[1]["id"])
        form = str((await other.deliveries())[-1]["id"])
        looks = {
            "deliveries-phone": "/deliveries",
            "delivery-phone": f"/deliveries/{second}",
            "delivery-form-phone": f"/deliveries/{form}",
            "unmatched-phone": "/deliveries/unmatched?tenant=globex",
            "unknown-phone": "/unknown",
            "audit-phone": "/audit",
        }
        for name, path in looks.items():
            await visit.page.goto(path)
            assert await visit.fits(), name
            await visit.picture(name)
        await visit.page.set_viewport_size({"width": 1280, "height": 1100})
        for name in ("delivery-phone", "audit-phone"):
            await visit.page.goto(looks[name])
            await visit.picture(name.removesuffix("-phone"))
