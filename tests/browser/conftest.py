"""The browser of the browser tests."""

import os
import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright

from tests.servers import without


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    """Debian's browser, without a window."""
    binary = shutil.which("chromium")
    if binary is None:
        without("no chromium: install Debian's package of this name")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=binary, args=sandbox)
        yield browser
        await browser.close()
