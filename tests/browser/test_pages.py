"""The admin pages in a headless Chromium: by keyboard, live, in the dark, on a phone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, expect
from pydantic import SecretStr

from shared.broker.presence import presence
from shared.jobs import QUEUES, SENDS
from shared.metrics import Metrics
from shared.queue.queue import Queue
from shared.queue.types import NewJob, Settlement, Verdict
from shared.redis.client import connect
from shared.settings import RedisSettings
from shared.store import pauses
from shared.store.database import Database
from shared.store.embedded import EmbeddedPostgres
from shared.store.pauses import Pause
from tests.admin import Running, serving, settings
from tests.browser.visits import PHONE, visiting

pytestmark = pytest.mark.browser


@asynccontextmanager
async def filled(valkey_url: str, database_url: str) -> AsyncIterator[tuple[Running, Queue]]:
    """Pages of queues with some jobs in them, and a worker."""
    async with (
        connect(RedisSettings(url=SecretStr(valkey_url)), role="test") as redis,
        serving(settings(database_url, valkey_url)) as pages,
    ):
        queues = {name: Queue(redis, spec, prefix="outreach") for name, spec in QUEUES.items()}
        for queue in queues.values():
            await queue.begin_opening(0, 1)
            await queue.open(0, 1)
        queue = queues[SENDS.name]
        payload = b'{"version":1,"tenantId":"0197b3f0-5c1e-7a55-9c3d-0123456789ab","channel":"email"}'
        await queue.enqueue(
            [NewJob(f"send:0197b3f0-{n:04}:0", "acme/email/news", payload) for n in range(60)]
        )
        async with presence(queue, 3, Metrics.create()):
            yield pages, queue


async def work(queue: Queue, jobs: int) -> None:
    """End some jobs, one of them badly."""
    claimed = (await queue.claim(0, jobs)).jobs
    verdicts = [Verdict.COMPLETED] * (len(claimed) - 1) + [Verdict.FAILED]
    await queue.settle(
        0, [Settlement(job, word, reason="mailbox full") for job, word in zip(claimed, verdicts, strict=True)]
    )


async def test_one_logs_in_by_keyboard_alone_and_skips_to_the_content(
    chromium: Browser, valkey_url: str, database_url: str
) -> None:
    async with filled(valkey_url, database_url) as (pages, _), visiting(chromium, pages) as visit:
        await visit.log_in()
        await visit.page.keyboard.press("Tab")
        await expect(visit.page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await visit.page.keyboard.press("Enter")
        await expect(visit.page.locator("main")).to_be_focused()
        await visit.page.keyboard.press("Tab")
        await expect(visit.page.get_by_role("link", name="webhook:process")).to_be_focused()
        await visit.page.get_by_role("button", name="Log out").press("Enter")
        await expect(visit.page.get_by_role("heading", name="Log in")).to_be_visible()


async def test_a_link_of_another_site_leads_who_is_logged_in_to_its_page_and_others_by_the_login(
    chromium: Browser, valkey_url: str, database_url: str
) -> None:
    async with filled(valkey_url, database_url) as (pages, _), visiting(chromium, pages) as visit:
        page = visit.page
        alert = f"data:text/html,<a href='{pages.url}/queues/{SENDS.name}?state=failed'>an alert</a>"
        await page.goto(alert)
        await page.get_by_role("link", name="an alert").click()
        await visit.log_in_here()
        await expect(page.get_by_role("heading", name="Failed sends")).to_be_visible()
        await page.goto(alert)
        await page.get_by_role("link", name="an alert").click()
        await expect(page.get_by_role("heading", name="Failed sends")).to_be_visible()


async def test_the_overview_is_live_and_a_refresh_takes_nobodys_focus(
    chromium: Browser, valkey_url: str, database_url: str, database: Database
) -> None:
    async with filled(valkey_url, database_url) as (pages, queue), visiting(chromium, pages) as visit:
        await visit.log_in()
        sends = visit.page.get_by_role("region", name=SENDS.name)
        await expect(sends).to_contain_text("waiting60")
        await expect(visit.page.get_by_text("Nothing needs attention.")).to_be_visible()
        link = visit.page.get_by_role("link", name=SENDS.name)
        await link.focus()
        await visit.page.evaluate("window.sameDocument = true")
        for _ in range(3):
            await work(queue, 9)
            await asyncio.sleep(0.7)
        await database.run(lambda tx: pauses.add(tx, Pause("outreach:timeout", None), "maintenance"))
        await expect(sends).to_contain_text("waiting33")
        await expect(visit.page.get_by_text("outreach:timeout is paused for every tenant")).to_be_visible()
        await expect(link).to_be_focused()
        assert await visit.page.evaluate("window.sameDocument")
        await visit.picture("overview")


async def test_jobs_are_found_in_the_dark(chromium: Browser, valkey_url: str, database_url: str) -> None:
    async with (
        filled(valkey_url, database_url) as (pages, queue),
        visiting(chromium, pages, color_scheme="dark") as visit,
    ):
        await work(queue, 5)
        await visit.log_in()
        dark = await visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        await visit.page.emulate_media(color_scheme="light")
        assert dark != await visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        await visit.page.emulate_media(color_scheme="dark")
        await visit.picture("overview-dark")
        await visit.page.get_by_role("link", name=SENDS.name).click()
        await visit.page.get_by_role("link", name="completed").click()
        await expect(visit.page.get_by_role("columnheader", name="Ended")).to_be_visible()
        await visit.picture("queue-dark")
        await visit.page.get_by_role("table").get_by_role("link").first.click()
        await expect(visit.page.get_by_role("region", name="How it stands")).to_contain_text("completed")
        await visit.page.go_back()
        await visit.page.get_by_label("Find a job by its id").fill("none")
        await visit.page.keyboard.press("Enter")
        await expect(visit.page.get_by_role("heading", name="There is no such job")).to_be_visible()
        visit.complaints.clear()  # the browser's own, of the 404


async def test_every_page_fits_on_a_phone(chromium: Browser, valkey_url: str, database_url: str) -> None:
    async with (
        filled(valkey_url, database_url) as (pages, queue),
        visiting(chromium, pages, viewport=PHONE) as visit,
    ):
        await queue.enqueue([NewJob("x" * 500, "acme/email/news", b"y" * 5_000)])
        await visit.page.goto("/login")
        assert await visit.fits()
        await visit.log_in()
        await expect(visit.page.get_by_role("region", name=SENDS.name)).to_be_visible()
        for path in ("/", f"/queues/{SENDS.name}", f"/queues/{SENDS.name}/job?id={'x' * 500}"):
            await visit.page.goto(path)
            assert await visit.fits(), path
        await visit.page.goto("/")
        await visit.picture("overview-phone")


async def test_a_page_says_when_its_service_does_not_answer_and_goes_on_by_itself(
    chromium: Browser, valkey_url: str, database_url: str
) -> None:
    async with filled(valkey_url, database_url) as (pages, _), visiting(chromium, pages) as visit:
        await visit.log_in()
        banner = visit.page.get_by_text("The admin service, or a server that it asks, does not answer")
        await expect(banner).to_be_hidden()
        await visit.page.context.set_offline(True)
        await expect(banner).to_be_visible()
        await visit.page.context.set_offline(False)
        await expect(banner).to_be_hidden()
        visit.complaints.clear()  # the browser's own, of the failed requests


async def test_a_form_that_meets_a_server_that_is_away_comes_back_to_its_page_which_looks_again(
    chromium: Browser, valkey_url: str, database_url: str, postgres: EmbeddedPostgres
) -> None:
    async with filled(valkey_url, database_url) as (pages, _), visiting(chromium, pages) as visit:
        page = visit.page
        await visit.log_in()
        await postgres.stop()
        await page.get_by_role("button", name=f"Pause {SENDS.name}").click()
        await expect(page.locator(".said")).to_contain_text("look whether this was done, and try again.")
        await page.get_by_role("link", name="Tenants").click()
        await expect(page.get_by_role("heading", name="does not answer: it looks again")).to_be_visible()
        await postgres.start()
        await expect(page.get_by_role("heading", name="Tenants", exact=True, level=1)).to_be_visible()
        await page.goto("/")
        await page.get_by_role("button", name=f"Pause {SENDS.name}").click()
        await expect(page.locator(".said")).to_have_text(f"{SENDS.name} is paused.")
        visit.complaints.clear()  # the browser's own, of the page that was not there
