"""The pages of queues and jobs in a headless Chromium: searched, ticked and acted on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from playwright.async_api import Browser, expect

from shared.jobs import job_id
from shared.queue.types import Settlement, Verdict
from shared.store.database import Database
from tests.admin import Running, serving, settings
from tests.browser.visits import PHONE, Visit, visiting
from tests.dispatching import Replica, dispatching, limit
from tests.journeys import World, graph, send, to
from tests.operating import fail

pytestmark = pytest.mark.browser

HELLO = graph(hello=send(to("done")))
SENDS = "/queues/outreach:send"


@asynccontextmanager
async def busy(
    database: Database, database_url: str, valkey_url: str
) -> AsyncIterator[tuple[World, Running, Replica]]:
    """Sends that wait for their limit, that run, that are put off and that failed; and the pages of them."""
    world = await World.create(database, HELLO, contacts=30)
    await world.run("update tenants set name = 'Acme Outdoor' where id = :t")
    await world.run(
        "update senders set address = 'news@acme.example' where tenant_id = :t and channel = 'email'"
    )
    await limit(world, minute=8)
    async with (
        dispatching(database, valkey_url) as dispatch,
        serving(settings(database_url, valkey_url)) as pages,
    ):
        await dispatch.open()
        await world.enrol(world.contacts[:26])
        await dispatch.send_round()
        claimed = await dispatch.claim(8)
        put_off = [
            Settlement(
                job, Verdict.DEFERRED, at_ms=job.claimed_ms + timedelta(hours=1) // timedelta(milliseconds=1)
            )
            for job in claimed[:2]
        ]
        await dispatch.sends.settle(0, put_off)
        await dispatch.claim(8)  # the two that they gave back
        await world.enrol(world.contacts[26:])
        for row in (await world.actions())[-4:]:
            await fail(world, row, "550 no such mailbox")
        yield world, pages, dispatch


async def said(visit: Visit, text: str) -> None:
    await expect(visit.page.locator(".said")).to_have_text(text)


async def test_jobs_are_searched_ticked_and_acted_on_by_keyboard_alone(
    chromium: Browser, database: Database, database_url: str, valkey_url: str
) -> None:
    async with (
        busy(database, database_url, valkey_url) as (_, pages, _),
        visiting(chromium, pages) as visit,
    ):
        page = visit.page
        await visit.log_in()
        await page.get_by_role("link", name="outreach:send", exact=True).press("Enter")
        await page.get_by_label("Tenant").fill("Acme Outdoor")
        await page.keyboard.press("Enter")
        await visit.picture("queue-senders")
        await page.get_by_role("link", name="email: news@acme.example").press("Enter")
        await expect(page.get_by_role("row")).to_have_count(1 + 16)
        await visit.picture("queue-waiting")
        await page.get_by_role("link", name="failed").press("Enter")
        await page.get_by_label("Reason begins with").fill("550")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("From the rows: 4 failed sends of these.")).to_be_visible()
        await visit.picture("queue-failed")
        for box in (await page.get_by_role("checkbox").all())[1:3]:
            await box.press("Space")
        await page.get_by_role("button", name="Retry ticked").press("Enter")
        await expect(page.get_by_role("heading", name="Retry 2 jobs?")).to_be_visible()
        await visit.picture("queue-sure")
        await visit.answer_yes("Yes, retry")
        await said(visit, "2 jobs retried.")
        await page.get_by_role("button", name="Retry all that match").press("Enter")
        await expect(page.get_by_role("heading", name="Retry 2 failed sends?")).to_be_visible()
        await visit.answer_yes("Yes, retry")
        await said(visit, "2 sends wait again.")


async def test_a_job_is_understood_and_acted_on_by_its_page(
    chromium: Browser, database: Database, database_url: str, valkey_url: str
) -> None:
    async with (
        busy(database, database_url, valkey_url) as (_, pages, _),
        visiting(chromium, pages) as visit,
    ):
        page = visit.page
        await visit.log_in()
        await page.goto(f"{SENDS}?state=active")
        await page.locator("table a").first.click()
        await expect(page.get_by_text("under token")).to_be_visible()
        await visit.picture("job-active")
        await page.goto(f"{SENDS}?tenant=Acme+Outdoor&sender=news@acme.example")
        await page.locator("table.jobs td a").first.click()
        await expect(page.get_by_role("region", name="Why it waits")).to_be_visible()
        await visit.picture("job-waiting")
        await page.get_by_role("button", name="Remove").click()
        await page.get_by_role("button", name="Yes, remove").click()
        await said(visit, "The job is removed.")
        await page.goto(f"{SENDS}?state=delayed")
        await page.get_by_label("all on this page").check()
        await page.get_by_role("button", name="Promote ticked").click()
        await page.get_by_role("button", name="Yes, promote").click()
        await said(visit, "2 jobs promoted.")
        await page.goto(f"{SENDS}?state=failed")
        await page.locator("table.jobs td a").first.click()
        await page.get_by_role("button", name="Retry").click()
        await said(visit, "It waits again, under this id.")
        await visit.picture("job-retried")


async def test_whatever_can_be_done_to_one_job_or_to_many_is_done_by_a_button(
    chromium: Browser, database: Database, database_url: str, valkey_url: str
) -> None:
    async with (
        busy(database, database_url, valkey_url) as (world, pages, dispatch),
        visiting(chromium, pages) as visit,
    ):
        page = visit.page
        await visit.log_in()

        async def press(path: str, button: str, sure: str, told: str) -> None:
            """A button of a page, or of the first job of its list."""
            await page.goto(f"{SENDS}?{path}")
            if page.url.endswith("#first"):
                await page.locator("table.jobs td a").first.press("Enter")
            await page.get_by_role("button", name=button, exact=True).press("Enter")
            if sure:
                await page.get_by_role("button", name=sure, exact=True).press("Enter")
            await expect(page.locator(".said")).to_contain_text(told)

        async def tick(state: str, button: str, sure: str, told: str) -> None:
            """A button for the second job of a list."""
            await page.goto(f"{SENDS}?{state}")
            await page.get_by_role("checkbox").nth(2).press("Space")
            await page.get_by_role("button", name=button, exact=True).press("Enter")
            await page.get_by_role("button", name=sure, exact=True).press("Enter")
            await said(visit, told)

        line = "state=waiting&tenant=Acme+Outdoor&sender=news@acme.example"
        await press(f"{line}#first", "Change", "", "Its priority is 0 now: it stands at the end of its like.")
        await press("state=delayed#first", "Promote", "", "It need not wait for its time any more.")
        await press("state=delayed", "Promote all", "Yes, promote", "1 job promoted.")
        await press("state=active#first", "Cancel", "Yes, cancel", "The job is cancelled.")
        await tick("state=active", "Cancel ticked", "Yes, cancel", "1 job cancelled.")
        await press("state=active", "Cancel all", "Yes, cancel", "6 jobs cancelled.")
        await tick(line, "Remove ticked", "Yes, remove", "1 job removed.")
        await press(line, "Remove all that match", "Yes, remove", "17 jobs removed.")
        await world.run("update scheduled_actions set reason = 'unconfirmed' where status = 'failed'")
        await press("state=failed#first", "Retry", "Yes, retry", "It waits again, under this id.")
        await dispatch.send_round()
        await press("", "Drain outreach:send", "Yes, drain", "1 job ended.")


async def test_queues_are_stopped_and_started_and_all_of_it_fits_on_a_phone_in_the_dark(
    chromium: Browser, database: Database, database_url: str, valkey_url: str
) -> None:
    async with (
        busy(database, database_url, valkey_url) as (world, pages, _),
        visiting(chromium, pages, viewport=PHONE, color_scheme="dark") as visit,
    ):
        page = visit.page
        await visit.log_in()
        await (
            page.get_by_role("region", name="Stop and go")
            .get_by_label("Why")
            .nth(2)
            .fill("refused by everybody")
        )
        await page.get_by_role("button", name="Pause outreach:send").click()
        await said(visit, "outreach:send is paused.")
        await visit.picture("stop-phone")
        await page.get_by_role("link", name="outreach:send is paused for every tenant").click()
        await expect(page.get_by_text("outreach:send is paused since")).to_be_visible()
        await visit.picture("queue-phone")
        assert await visit.fits()
        await page.goto("/")
        await page.get_by_role("button", name="Pause everything").click()
        await expect(page.get_by_role("heading", name="Pause everything?")).to_be_visible()
        await page.get_by_role("button", name="Pause everything").click()
        await said(visit, "Everything is paused.")
        waiting = job_id("send", (await world.actions())[20]["id"], 0)
        for path in (
            "/",
            SENDS,
            f"{SENDS}?state=failed",
            f"{SENDS}?state=active",
            f"{SENDS}/job?id={waiting}",
        ):
            await page.goto(path)
            assert await visit.fits(), path
        await visit.picture("job-phone")
        await page.goto(SENDS)
        await page.get_by_role("button", name="Resume everything").click()
        await said(visit, "Everything goes on.")
        await page.get_by_role("button", name="Resume outreach:send").click()
        await said(visit, "outreach:send goes on.")
