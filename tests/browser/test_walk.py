"""Every page there is, in a headless Chromium: as an operator, and as a viewer in the dark on a phone."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, expect

from services.admin.http import PLACES, overview
from shared.store.database import Database
from tests.admin import OPERATOR, VIEWER, Running, serving, settings
from tests.browser.visits import PHONE, Visit, visiting
from tests.dispatching import dispatching
from tests.drip import Drip
from tests.journeys import mail_event
from tests.posted import FORM, arrive, set_state, worked

pytestmark = pytest.mark.browser

NO_PAGES = {"/login", "/live", "/assets/{name:str}", "/tenants/{tenant_id:uuid}/live"}
NO_PAGES |= {"/deliveries/{delivery_id:uuid}/body"}
"""What is asked for by pages, or is a file."""

FOR_OPERATORS = {"/tenants/{tenant_id:uuid}/limits"}
"""Pages that only forms lead to."""


def pages_there_are() -> Iterator[str]:
    """The paths of all pages."""
    for handler in (overview, *(each for place in PLACES for each in place.ROUTES)):
        if "GET" in handler.http_methods:
            yield from handler.paths - NO_PAGES


def which(path: str, pages: set[str]) -> str | None:
    """The page that a path is of."""
    for page in sorted(pages, key=lambda page: page.count("{")):
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", page), path):
            return page
    return None


@asynccontextmanager
async def full(database: Database, database_url: str, valkey_url: str) -> AsyncIterator[Running]:
    """Pages of a campaign in the midst of its run, with webhooks, unknown sends, and sends in line."""
    drip = await Drip.create(database)
    world = drip.world
    action = (await world.actions(kind="send"))[0]
    kept = await arrive(world, mail_event("click", action, datetime.now(UTC), url="https://x.example/s3cret"))
    await worked(world, kept)
    form = b"MessageSid=SM1&MessageStatus=delivered&To=%2B4915112345678"
    failed = await arrive(world, body=form, provider="twilio", headers=FORM)
    await set_state(world, failed, "failed", reason="no body of ana@example.org")
    lost = (await world.actions(kind="send"))[1]
    await world.set_action(lost["id"], status="unknown", status_at=datetime.now(UTC), reason="worker_lost")
    await world.run("update scheduled_actions set due_at = now() where status = 'pending'")
    async with (
        dispatching(database, valkey_url) as dispatch,
        serving(settings(database_url, valkey_url)) as pages,
    ):
        await dispatch.open()
        await dispatch.send_round()
        yield pages


async def walk(visit: Visit) -> dict[str, list[str]]:
    """Follow links until there are no others, three of each page; what each page says."""
    there_are = set(pages_there_are())
    seen: dict[str, list[str]] = {page: [] for page in there_are}
    left, known = ["/"], {"/"}
    while left:
        path = left.pop(0)
        page = which(urlsplit(path).path, there_are)
        if page is None or len(seen[page]) == 3:
            continue
        answer = await visit.page.goto(path)
        assert answer is not None and answer.status == 200, path
        await expect(visit.page.get_by_role("heading", level=1)).to_have_count(1)
        assert await visit.fits(), path
        seen[page].append(await visit.page.content())
        links = [
            await each.get_attribute("href") or "" for each in await visit.page.locator("main a, nav a").all()
        ]
        left += [each for each in links if each.startswith("/") and each not in known]
        known |= set(links)
    return seen


async def test_links_lead_an_operator_to_every_page_there_is(
    chromium: Browser, database: Database, database_url: str, valkey_url: str
) -> None:
    async with full(database, database_url, valkey_url) as pages, visiting(chromium, pages) as visit:
        await visit.log_in(OPERATOR)
        seen = await walk(visit)
        assert [page for page, found in seen.items() if not found] == []
        assert "ana@example.org" in "".join(text for found in seen.values() for text in found)


async def test_a_viewer_sees_every_page_without_a_contact_or_anything_to_do(
    chromium: Browser, database: Database, database_url: str, valkey_url: str
) -> None:
    async with (
        full(database, database_url, valkey_url) as pages,
        visiting(chromium, pages, viewport=PHONE, color_scheme="dark") as visit,
    ):
        await visit.log_in(VIEWER)
        seen = await walk(visit)
        assert {page for page, found in seen.items() if not found} == FOR_OPERATORS
        for text in (text for found in seen.values() for text in found):
            assert re.findall(r'<form[^>]*method="post"[^>]*action="([^"]+)"', text) == ["/logout"]
            assert re.findall(r"[\w.-]+@example\.org|%40|\+\d{6,}|4915112345678|s3cret|Download", text) == []
