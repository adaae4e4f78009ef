"""The tenants' pages in a headless Chromium: why one stands still, and what an operator does about it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, expect

from shared.queue.types import Settlement, Verdict
from shared.store import closures
from shared.store.closures import Closure
from shared.store.database import Database
from shared.store.embedded import EmbeddedPostgres
from tests.admin import Running, serving, settings
from tests.browser.visits import PHONE, Visit, visiting
from tests.dispatching import Replica, dispatching, limit
from tests.journeys import World, graph, send, to

pytestmark = pytest.mark.browser

HELLO = graph(hello=send(to("done")))


@asynccontextmanager
async def stuck(
    database: Database, database_url: str, valkey_url: str
) -> AsyncIterator[tuple[Running, World, Replica]]:
    """Pages of a tenant whose mails wait for its limit, and whose SMS sender a provider let nobody in for."""
    world = await World.create(database, HELLO, contacts=60)
    for n, name in enumerate(("Bakery", "Cinema", "Dentist", "Florist", "Garage", "Hotel")):
        other = await World.create(database, HELLO, contacts=0)
        await other.run("update tenants set name = :n, weight = :w where id = :t", n=name, w=n % 3 + 1)
    await world.run("update tenants set name = 'Acme Shoes', weight = 3 where id = :t")
    for channel, address in (("email", "news@acme.example"), ("sms", "+15550199")):
        await world.run("update senders set address = :a where id = :s", a=address, s=world.senders[channel])
    closed = Closure(world.tenant_id, "sms", world.senders["sms"], "unauthorized", None)
    await database.run(lambda tx: closures.close(tx, [closed]))
    await limit(world, None, minute=8, hour=30, concurrent=40)
    await world.enrol()
    async with (
        dispatching(database, valkey_url) as dispatch,
        serving(settings(database_url, valkey_url)) as pages,
    ):
        await dispatch.open()
        await dispatch.send_round()
        claimed = await dispatch.claim(20)
        await dispatch.sends.settle(0, [Settlement(each, Verdict.COMPLETED) for each in claimed[:5]])
        await dispatch.claim(20)
        await dispatch.sends.beat("a worker", 20, 0.1)
        yield pages, world, dispatch


async def said(visit: Visit, sentence: str) -> None:
    """The page says what was done."""
    await expect(visit.page.get_by_text(sentence)).to_be_visible()


async def test_a_tenant_that_stands_still_is_found_and_set_going(
    chromium: Browser, database: Database, database_url: str, valkey_url: str
) -> None:
    async with (
        stuck(database, database_url, valkey_url) as (pages, world, dispatch),
        visiting(chromium, pages) as visit,
    ):
        page = visit.page
        await visit.log_in()
        await page.get_by_role("link", name="Tenants").click()
        await expect(page.get_by_role("row", name="Acme Shoes 1 closed sender")).to_be_visible()
        await visit.picture("tenants")
        await page.get_by_label("Find a tenant by its name").fill("shoe")
        await page.keyboard.press("Enter")
        await page.get_by_role("link", name="Acme Shoes").press("Enter")
        why = page.get_by_role("region", name="What holds it back")
        await expect(why).to_contain_text("+15550199 is closed (unauthorized) until somebody reopens it.")
        await expect(why).to_contain_text("has 52 sends in line. Parked for")
        await expect(page.get_by_role("meter", name="A minute, news@acme.example")).to_have_attribute(
            "value", "8"
        )
        await visit.picture("tenant")

        await page.get_by_role("button", name="Reopen +15550199").click()
        await said(visit, "Reopened: its waiting sends go on within seconds.")
        await page.get_by_label("because").fill("they ask us to")
        await page.get_by_label("Pause").select_option("outreach:send")
        await page.get_by_label("because").press("Enter")
        await said(visit, "Paused in outreach:send: what runs ends, and what waits stays.")
        await expect(why).to_contain_text("The tenant is paused in outreach:send since")
        await page.get_by_role("button", name="Resume outreach:send").press("Enter")
        await said(visit, "Resumed in outreach:send: it goes on within seconds.")
        await page.get_by_label("Weight beside others of 1").fill("9")
        await page.keyboard.press("Enter")
        await said(visit, "Its weight is 9 now.")

        await page.get_by_role("link", name="Change limits of all of email").click()
        await visit.picture("tenant-limits")
        await page.get_by_label("A minute: 8 now, 20 by default").fill("12")
        await page.get_by_label("An hour: 30 now, 1,000 by default").fill("")
        await page.keyboard.press("Enter")
        await said(visit, "In force within seconds: minute 12, hour as by default.")
        change = page.get_by_role("link", name="Change limits of news@acme.example")
        await change.focus()
        await page.evaluate("window.sameDocument = true")
        await dispatch.configuration.refresh()
        await dispatch.claim(20)
        await expect(page.get_by_role("meter", name="A minute, news@acme.example")).to_have_attribute(
            "value", "12"
        )
        await expect(why).to_contain_text("has 48 sends in line.")
        await expect(change).to_be_focused()
        assert await page.evaluate("window.sameDocument"), "the bars are live"
        assert await world.run("select * from closures") == []


async def test_tenants_are_looked_at_in_the_dark_on_a_phone(
    chromium: Browser, database: Database, database_url: str, valkey_url: str
) -> None:
    async with (
        stuck(database, database_url, valkey_url) as (pages, world, _),
        visiting(chromium, pages, viewport=PHONE, color_scheme="dark") as visit,
    ):
        await visit.log_in()
        await visit.page.goto(f"/tenants/{world.tenant_id}")
        await visit.picture("tenant-phone-dark")
        long = "news@" + "x" * 300 + ".example"
        await world.run("update senders set address = :a where id = :s", a=long, s=world.senders["email"])
        await world.run("update tenants set name = :n where id = :t", n="Acme" + "e" * 300)
        for path in ("/tenants", f"/tenants/{world.tenant_id}", f"/tenants/{world.tenant_id}/limits"):
            await visit.page.goto(path)
            await expect(visit.page.get_by_role("heading", level=1)).to_be_visible()
            assert await visit.fits(), path


async def test_a_tenants_page_that_is_open_says_when_a_server_is_away_and_goes_on_by_itself(
    chromium: Browser, database: Database, database_url: str, valkey_url: str, postgres: EmbeddedPostgres
) -> None:
    async with (
        stuck(database, database_url, valkey_url) as (pages, world, _),
        visiting(chromium, pages) as visit,
    ):
        page = visit.page
        await visit.log_in()
        await page.goto(f"/tenants/{world.tenant_id}")
        why, banner = page.get_by_role("region", name="What holds it back"), page.locator("#offline")
        await expect(why).to_contain_text("Parked for")
        await postgres.stop()
        await expect(banner).to_have_text(
            "The admin service, or a server that it asks, does not answer; this page tries again by itself."
        )
        await expect(why).to_contain_text("Parked for")
        await postgres.start()
        await expect(banner).to_be_hidden()
        visit.complaints.clear()  # the browser's own, of the failed requests
