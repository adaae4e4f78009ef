"""A queue's jobs and a single one, as the pages show them: all of them, as text, masked for viewers."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from services.admin import browsing
from services.admin.words import masked
from shared.jobs import SENDS, TIMEOUTS, JobState, QueueSpec
from shared.queue.queue import Queue
from shared.queue.types import NewJob, Settlement, Verdict
from shared.redis.client import connect
from shared.redis.embedded import EmbeddedValkey
from shared.settings import EngineSettings, RedisSettings
from tests.admin import OPERATOR, VIEWER, Browser, serving, settings
from tests.integration.test_admin_overview import SCRIPT, texts

PATH = "/queues/outreach:send"
MOMENT = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC, .+ ago"
OTHER = "/queues/outreach:timeout"


@asynccontextmanager
async def pages_of(
    valkey_url: str, partitions: int = 1, name: str = OPERATOR, spec: QueueSpec = SENDS
) -> AsyncIterator[tuple[Queue, Browser]]:
    """An open queue, and a browser of its pages."""
    chosen = settings("", valkey_url, engine=EngineSettings(partitions=partitions))
    async with (
        connect(RedisSettings(url=SecretStr(valkey_url)), role="test") as redis,
        serving(chosen) as pages,
        pages.browser(name) as browser,
    ):
        queue = Queue(redis, spec, prefix="outreach", partitions=partitions)
        for partition in range(partitions):
            await queue.begin_opening(partition, 1)
            await queue.open(partition, 1)
        yield queue, browser


def rows(page: str) -> list[tuple[str, ...]]:
    """Id, attempts, and why, if it is told, of each job in a list."""
    found = [texts(each, r"<td>(.*?)</td>") for each in re.findall(r"<tr>(<td>.*?)</tr>", page, re.DOTALL)]
    jobs = [cells[1:] if cells[0] == "" else cells for cells in found]  # the first may be there to be ticked
    return [(cells[0], *cells[3:]) for cells in jobs]


async def listed(browser: Browser, path: str) -> list[tuple[str, ...]]:
    """The jobs of every page from this one on."""
    found: list[tuple[str, ...]] = []
    while path:
        page = (await browser.get(path)).text
        found += rows(page)
        following = re.search(r'href="([^"]+)">Next page', page)
        path = following[1].replace("&amp;", "&") if following else ""
    return found


@pytest.mark.parametrize("partitions", [1, 3])
async def test_every_job_of_a_state_is_on_a_page_once(valkey_url: str, partitions: int) -> None:
    async with pages_of(valkey_url, partitions) as (queue, browser):
        waiting = [NewJob(f"w{n}", f"tenant-{n}/email/s", b"{}") for n in range(600)]
        delayed = [
            NewJob(f"d{n}", f"tenant-{n}/email/s", b"{}", delay=timedelta(hours=1)) for n in range(120)
        ]
        await queue.enqueue([*waiting, *delayed])
        assert sorted(await listed(browser, PATH)) == sorted((each.id, "0") for each in waiting)
        assert sorted(await listed(browser, f"{PATH}?state=delayed")) == sorted(
            (each.id, "0") for each in delayed
        )
        for state in ("active", "completed"):
            assert "There are none." in (await browser.get(f"{PATH}?state={state}")).text


async def test_the_lists_links_lead_to_their_jobs_whatever_their_ids(valkey_url: str) -> None:
    ids = ["send:1:0", "a/b?c=d&e#f", f"{SCRIPT} é+%20", "x" * 500]
    async with pages_of(valkey_url) as (queue, browser):
        await queue.enqueue([NewJob(each, "tenant/email/s", b"{}") for each in ids])
        page = (await browser.get(PATH)).text
        links = re.findall(r'href="(/queues/[^"]+/job\?id=[^"]+)"', page)
        shown = [(await browser.get(each.replace("&amp;", "&"))) for each in links]
        assert [each.status_code for each in shown] == [200] * 4
        headings = {heading for each in shown for heading in texts(each.text, r"<h1>(.*?)</h1>")}
        assert headings == {*ids[:3], "x" * 200 + "… (300 characters more)"}
        assert SCRIPT not in page + "".join(each.text for each in shown)


async def facts(browser: Browser, job_id: str) -> dict[str, Any]:
    page = (await browser.get(f"{OTHER}/job?id={quote(job_id)}")).text
    names, values = texts(page, r"<dt>(.*?)</dt>"), texts(page, r"<dd>(.*?)</dd>")
    [payload] = texts(page, r"<pre>(.*?)</pre>")
    return {**dict(zip(names, values, strict=True)), "payload": payload, "length": len(page)}


async def test_a_job_is_shown_with_its_state_and_what_it_carries_shortened_and_as_text(
    valkey_url: str,
) -> None:
    payload = f'"{SCRIPT}' + "y" * 1_000_000
    async with pages_of(valkey_url, spec=TIMEOUTS) as (queue, browser):
        await queue.enqueue([NewJob("j", "tenant/email/s", payload.encode(), cost=2, priority=3)])
        [claimed] = (await queue.claim(0, 1)).jobs
        await queue.settle(0, [Settlement(claimed, Verdict.FAILED, reason=SCRIPT * 30)])
        seen = await facts(browser, "j")
        assert re.fullmatch(MOMENT, seen.pop("Enqueued"))
        assert re.fullmatch(MOMENT, seen.pop("Ended"))
        assert seen.pop("length") < 6_000
        assert seen == {
            "Queue": TIMEOUTS.name,
            "State": f"failed: {(SCRIPT * 30)[:200]}… ({len(SCRIPT * 30) - 200} characters more)",
            "Lane": "tenant/email/s",
            "Attempts": "1 of 3",
            "Priority": "3",
            "Cost": "2",
            "payload": payload[:2_000],
        }
        assert await listed(browser, f"{OTHER}?state=failed") == [
            ("j", "1", seen["State"].removeprefix("failed: "))
        ]


@pytest.mark.parametrize("name", [OPERATOR, VIEWER])
async def test_contacts_are_shown_to_operators_and_masked_for_viewers(valkey_url: str, name: str) -> None:
    text = "to ana@example.org or +4915112345678"
    known = text if name == OPERATOR else "to a…@… or +…"
    async with pages_of(valkey_url, name=name, spec=TIMEOUTS) as (queue, browser):
        edge = "z" * 1_990 + " ana@example.org"
        await queue.enqueue(
            [NewJob("j", "t/email/s", text.encode()), NewJob("edge", "t/email/s", edge.encode())]
        )
        claimed = (await queue.claim(0, 2)).jobs
        await queue.settle(0, [Settlement(each, Verdict.FAILED, reason=text) for each in claimed])
        seen = await facts(browser, "j")
        assert (seen["payload"], seen["State"]) == (known, f"failed: {known}")
        assert sorted(await listed(browser, f"{OTHER}?state=failed")) == [
            ("edge", "1", known),
            ("j", "1", known),
        ]
        assert (await facts(browser, "edge"))["payload"].endswith("a@examp" if name == OPERATOR else " a…@…")


async def test_a_job_gone_between_listing_and_click_is_told_so_as_are_unknown_queues(valkey_url: str) -> None:
    async with pages_of(valkey_url) as (queue, browser):
        await queue.enqueue([NewJob("j", "tenant/email/s", b"{}")])
        assert (await browser.get(f"{PATH}/job?id=j")).status_code == 200
        await queue.remove(0, ["j"])
        answer = await browser.get(f"{PATH}/job?id={quote(SCRIPT)}")
        assert (answer.status_code, texts(answer.text, "<h1>(.*?)</h1>")) == (404, ["There is no such job"])
        assert SCRIPT not in answer.text
        answer = await browser.get(f"{PATH}/job?id=%20j%20")
        assert "outreach:send has no job j: it ended and was dropped since" in answer.text
        for path in ("/queues/none", "/queues/none/job?id=j"):
            assert (await browser.get(path)).status_code == 404
        for path in (f"{PATH}?state=none", f"{PATH}/job", f"{PATH}/job?id={'x' * 513}"):
            assert (await browser.get(path)).status_code == 400


@pytest.mark.parametrize(
    "cursor", ["x", "9-0", "0-99999999999999999999", "0-999999999999999", "-1-0", "999-1", "0-", "é", "0-٣"]
)
async def test_a_cursor_that_is_none_breaks_nothing(valkey_url: str, cursor: str) -> None:
    async with pages_of(valkey_url) as (queue, browser):
        await queue.enqueue([NewJob("j", "tenant/email/s", b"{}")])
        for state in JobState:
            assert (await browser.get(f"{OTHER}?state={state}&cursor={quote(cursor)}")).status_code == 200


async def test_a_redis_that_is_away_is_told_and_the_page_looks_again_by_itself(
    valkey: EmbeddedValkey, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "_PATIENCE", timedelta(seconds=1))
    async with pages_of(valkey_url) as (_, browser):
        await valkey.stop()
        try:
            for path in (PATH, f"{PATH}/job?id=j"):
                answer = await browser.get(path)
                assert answer.status_code == 503
                assert '<meta http-equiv="refresh" content="5">' in answer.text
                assert "does not answer" in answer.text
        finally:
            await valkey.start()
        assert (await browser.get(PATH)).status_code == 200


def test_addresses_and_numbers_are_masked_wherever_they_stand() -> None:
    text = '{"email":"Ana.B@example.org","to":["<x@y.z>",\'q+1@mail.example.com\'],"phone":"+4915112345678"}'
    assert masked(text) == '{"email":"A…@…","to":["<x…@…>",\'q…@…\'],"phone":"+…"}'
    assert masked("+49 (151) 123-456.78 and whatsapp:%2B4915112345678") == "+… and whatsapp:+…"
    assert (
        masked('{"url":"https://x.example/login/ana?t=1"}, http:\\/\\/y')
        == '{"url":"https://…"}, http:\\/\\/…'
    )
    assert masked("nothing @ all, send:0190d6a0-7c3e:0") == "nothing @ all, send:0190d6a0-7c3e:0"
