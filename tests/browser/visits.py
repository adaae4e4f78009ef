"""Visits: somebody in a browser of their own, who logs in and looks around.

With `OUTREACH_TEST_SCREENSHOTS` set to a folder, pictures of what they see land there.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, Page, expect

from tests.admin import OPERATOR, PASSWORDS, Running
from tests.servers import chosen_path

expect.set_options(timeout=20_000)

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


@dataclass
class Visit:
    """Somebody's visit, and what their browser complained of."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    async def log_in(self, name: str = OPERATOR) -> None:
        """From the first page."""
        await self.page.goto("/login")
        await expect(self.page.get_by_label("Name")).to_be_focused()
        await self.log_in_here(name)
        await expect(self.page.get_by_role("heading", name="Overview")).to_be_visible()

    async def log_in_here(self, name: str = OPERATOR) -> None:
        """By keyboard alone: the first field has the focus."""
        await expect(self.page.get_by_role("heading", name="Log in")).to_be_visible()
        await self.page.keyboard.type(name)
        await self.page.keyboard.press("Tab")
        await self.page.keyboard.type(PASSWORDS[name])
        await self.page.keyboard.press("Enter")

    async def answer_yes(self, button: str) -> None:
        """By keyboard alone: the button of a question has the focus."""
        await expect(self.page.get_by_role("button", name=button)).to_be_focused()
        await self.page.keyboard.press("Enter")

    async def fits(self) -> bool:
        """Whether nothing sticks out to the right."""
        return bool(await self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))

    async def picture(self, name: str) -> None:
        """Keep what is seen, if somebody wants pictures."""
        folder = chosen_path("OUTREACH_TEST_SCREENSHOTS")
        if folder is not None:
            await self.page.screenshot(path=folder / f"{name}.png")


@asynccontextmanager
async def visiting(chromium: Browser, pages: Running, **how: Any) -> AsyncIterator[Visit]:
    """A visit in a browser of its own; it must end without a complaint."""
    async with await chromium.new_context(
        base_url=pages.url, viewport=how.pop("viewport", DESK), **how
    ) as context:
        visit = Visit(await context.new_page())
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        visit.page.on(
            "console", lambda said: visit.complaints.append(said.text) if said.type == "error" else None
        )
        yield visit
        assert visit.complaints == []
