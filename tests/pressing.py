"""Buttons of the admin pages for tests: a form is sent as a browser sends it, and what the next page says."""

import html
import re

from tests.admin import Browser


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of the page's form that asks whether one is sure."""
    [form] = re.findall(r'<form class="card sure".*?</form>', page, re.DOTALL)
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form)
    return {html.unescape(name): html.unescape(value) for name, value in found}


def heading(page: str) -> str:
    """What the page is about."""
    [text] = re.findall(r"<h1>(.*?)</h1>", page, re.DOTALL)
    return html.unescape(text)


async def press(browser: Browser, back: str, path: str, **fields: str) -> list[str]:
    """Send a form of the page `back`, say yes to what is asked; the questions, and what is said last."""
    told: list[str] = []
    sent = {"csrf": await browser.csrf("/"), "back": back, **fields}
    while True:
        answer = await browser.post(path, sent)
        if answer.status_code == 303:
            page = (await browser.get(answer.headers["location"])).text
            [said] = re.findall(r'<p class="said" role="status">(.*?)</p>', page, re.DOTALL)
            return [*told, html.unescape(said)]
        assert answer.status_code == 200, answer.text
        told.append(heading(answer.text))
        sent = hidden(answer.text)
