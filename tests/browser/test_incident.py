"""The incident drill in a headless Chromium: with the pages alone, while services run."""

import pytest
from playwright.async_api import Browser, Page, expect

from shared.store import audit
from shared.store.database import Database
from shared.store.pages import Page as Rows
from tests.admin import OPERATOR, serving, settings
from tests.browser.visits import visiting
from tests.poisoned import in_force, incident

pytestmark = pytest.mark.browser


async def said(page: Page, text: str) -> None:
    await expect(page.locator(".said")).to_contain_text(text)


async def test_a_poisoned_tenant_is_found_paused_retried_and_resumed_by_page_and_no_other_waits(
    chromium: Browser, database: Database, database_url: str, valkey_url: str
) -> None:
    async with (
        incident(database, database_url, valkey_url) as drill,
        serving(settings(database_url, valkey_url)) as pages,
        visiting(chromium, pages) as visit,
    ):
        it, page = drill.it, visit.page
        await pages.admin.watches.failing.step()
        await visit.log_in()
        await expect(
            page.get_by_text(f"{drill.name}: 30 of its last 30 sends were not accepted.")
        ).to_be_visible()
        await visit.picture("incident")
        await page.get_by_role("link", name=f"{drill.name}: 30 of its last").click()
        await expect(page.get_by_text("From the rows: 40 failed sends of these.")).to_be_visible()
        await page.get_by_role("link", name=drill.name).first.click()
        await page.get_by_label("because").fill("every send is refused")
        await page.get_by_role("button", name="Pause", exact=True).click()
        await said(page, "Paused in every queue")
        await in_force(it)

        await page.get_by_role("link", name="Failed sends").click()
        await page.locator("table.jobs td a").first.click()
        await expect(page.get_by_role("cell", name="rejected", exact=True)).to_be_visible()
        await drill.mended()
        await page.go_back()
        await page.get_by_role("button", name="Retry all that match").click()
        await page.get_by_role("button", name="Yes, retry").click()
        await said(page, "40 sends wait again.")
        await drill.only_the_other_is_sent()

        await page.goto(f"/tenants/{drill.poisoned.tenant_id}")
        await page.get_by_role("button", name="Resume every queue").click()
        await said(page, "Resumed in every queue")
        await in_force(it)
        await drill.all_are_sent()
    rows = await database.run(lambda tx: audit.page(tx, Rows(10)))
    assert [(row.actor, row.via, row.action, row.count) for row in reversed(rows)] == [
        (OPERATOR, "page", "pause", 1),
        (OPERATOR, "page", "jobs.retry", 40),
        (OPERATOR, "page", "resume", 1),
    ]
