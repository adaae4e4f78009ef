"""Campaigns and contacts in a headless Chromium: the graph, who is where, timelines, acts."""

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from shared.store.database import Database
from tests.admin import serving, settings
from tests.browser.visits import DESK, PHONE, Visit, visiting
from tests.drip import Drip
from tests.operating import entries

pytestmark = pytest.mark.browser


async def press(page: Page, target: Locator) -> None:
    """By keyboard alone."""
    await target.focus()
    await page.keyboard.press("Enter")


async def said(page: Page, text: str) -> None:
    await expect(page.get_by_role("status").filter(has_text=text)).to_be_visible()


async def test_an_operator_sees_where_a_campaign_stands_and_pauses_resumes_and_cancels_it(
    chromium: Browser, valkey_url: str, database_url: str, database: Database
) -> None:
    drip = await Drip.create(database)
    await drip.world.run("update tenants set name = 'Acme' where id = :t")
    async with serving(settings(database_url, valkey_url)) as pages, visiting(chromium, pages) as visit:
        page = visit.page
        await visit.log_in()
        await press(page, page.get_by_role("link", name="Campaigns"))
        await page.get_by_label("Of the tenant").fill("Acme")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Campaigns of Acme")).to_be_visible()
        await press(page, page.get_by_role("link", name="spring"))
        await expect(page.get_by_role("img", name="The graph")).to_be_visible()
        await press(page, page.get_by_role("button", name="Pause"))
        await said(page, "The campaign is paused")
        await expect(page.get_by_text("Paused since")).to_be_visible()
        await press(page, page.get_by_role("button", name="Resume"))
        await said(page, "The campaign goes on")
        await look_everywhere(visit, "campaign")
        await press(page, page.get_by_role("link", name="1 at hello now"))
        await expect(page.get_by_role("row", name="cleo-1")).to_contain_text("(closed)")
        assert await visit.fits()
        await page.go_back()
        await press(page, page.get_by_role("button", name="Cancel…"))
        await expect(page.get_by_role("heading", name="Cancel spring for good?")).to_be_visible()
        await press(page, page.get_by_role("link", name="Cancel"))
        await press(page, page.get_by_role("button", name="Cancel…"))
        await press(page, page.get_by_role("button", name="Cancel the campaign"))
        await said(page, "The campaign is cancelled")
        await expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    assert [entry[0] for entry in await entries(database)] == [
        "campaigns.pause",
        "campaigns.resume",
        "campaigns.cancel",
    ]


async def test_a_contact_is_found_its_story_is_read_and_it_is_held_and_taken_out(
    chromium: Browser, valkey_url: str, database_url: str, database: Database
) -> None:
    drip = await Drip.create(database)
    await drip.world.run("update tenants set name = 'Acme' where id = :t")
    async with serving(settings(database_url, valkey_url)) as pages, visiting(chromium, pages) as visit:
        page = visit.page
        await visit.log_in()
        await page.goto("/campaigns")
        await page.get_by_label("Find a contact of").fill("Acme")
        await page.get_by_label("by its id or address").fill("nobody@example.org")
        await page.keyboard.press("Enter")
        await said(page, "The tenant has no such contact.")
        await page.get_by_label("Find a contact of").fill("Acme")
        await page.get_by_label("by its id or address").fill("Ana@example.org")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="ana-1")).to_be_visible()
        assert "example.org" not in page.url
        await expect(page.get_by_role("listitem").filter(has_text="told late")).to_contain_text("late")
        await look_everywhere(visit, "contact")
        await press(page, page.get_by_role("button", name="Pause in spring"))
        await said(page, "What comes due for this contact is held.")
        await press(page, page.get_by_role("button", name="Resume in spring"))
        await said(page, "The contact goes on")
        await press(page, page.get_by_role("button", name="Take out… of spring"))
        await press(page, page.get_by_role("button", name="Take it out"))
        await said(page, "The contact is taken out of the campaign.")
        await expect(page.get_by_text("Taken out of the campaign at again")).to_be_visible()
    assert await drip.world.path(drip.ana) == [
        ("hello", "no_open"),
        ("again", "cancelled"),
        ("cancelled", None),
    ]


async def look_everywhere(visit: Visit, name: str) -> None:
    """The page fits in the light, in the dark and on a phone; pictures of it."""
    page = visit.page
    await visit.picture(name)
    light = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await page.emulate_media(color_scheme="dark")
    assert light != await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await visit.picture(f"{name}-dark")
    await page.set_viewport_size(PHONE)
    assert await visit.fits()
    await visit.picture(f"{name}-phone")
    await page.set_viewport_size(DESK)
    await page.emulate_media(color_scheme="light")
