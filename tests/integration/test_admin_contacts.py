"""A contact as the pages show it: found by what is known of it, with its whole story, masked for viewers."""

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from services.admin import timeline
from shared.store.database import Database
from shared.store.ids import uuid7
from tests.admin import OPERATOR, VIEWER, Browser, serving, settings
from tests.drip import Drip
from tests.integration.test_admin_overview import SCRIPT, texts
from tests.journeys import World, graph, mail_event, send, to
from tests.operating import entries

HELLO = graph(hello=send(to("done"), to("opened", "open")))
_TIME = re.compile(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC")
_FAR = re.compile(r"\b(in )?\d+ (?:ms|s|min|h|d)( \d+ (?:s|min|h))?( ago)?\b")


@asynccontextmanager
async def browsing(database_url: str, name: str = OPERATOR) -> AsyncIterator[Browser]:
    """A browser of pages that have rows and no Redis."""
    async with serving(settings(database_url)) as pages, pages.browser(name) as browser:
        yield browser


def path_of(world: World, contact: UUID) -> str:
    return f"/contacts/{world.tenant_id}/{contact}"


def told(page: str) -> list[list[str]]:
    """What each entry says, its ids, times and lengths of time apart."""
    found = []
    for each in re.findall(r"<li id=.*?</li>", page, re.DOTALL):
        kind, *lines = texts(each, r"<p.*?>(.*?)</p>")[:-1]
        kind = kind.rpartition(" · ")[2]
        found.append([kind, *(_FAR.sub("…", _TIME.sub("T", line)) for line in lines)])
    return found


async def test_a_contacts_story_is_told_the_latest_first_with_what_was_late_and_why_it_moved_nothing(
    database: Database, database_url: str
) -> None:
    drip = await Drip.create(database)
    world = drip.world
    hello, again = await drip.send_of(drip.ana, "hello"), await drip.send_of(drip.ana, "again")
    async with browsing(database_url) as browser:
        page = (await browser.get(path_of(world, drip.ana))).text
    mail = f"email {drip.ana}@example.org, message id m-"
    assert told(page) == [
        ["timeout", "At again: the time to wait ends T."],
        ["send", "At again: the send was accepted.", f"{mail}{again['id']}"],
        ["transition", "Left hello by no_open, to again."],
        ["timeout", "At hello: the timeout no_open fired."],
        ["event", "No open at hello: it moved its contact."],
        [
            "event late",
            "Open at hello: it was in time but told late, when what followed was out: it moved nothing.",
            "told … later",
        ],
        [
            "event mpp",
            "Open at hello, by a mail privacy proxy (mpp):"
            " no edge there counts machines, so it moved nothing.",
            "told … later",
        ],
        ["event", "Delivered at hello: no edge there, so it moved nothing.", "told … later"],
        [
            "send",
            "At hello: the send was accepted.",
            f"{mail}{hello['id']}, the provider last said delivered, … after its time",
            "T: unavailable after … (http_503)",
            "T: accepted after …",
        ],
        ["enrolment", "Enrolled."],
    ]
    links = re.findall(r'href="(/(?:queues|deliveries)/[^"]+)"', page)
    told_by = {f"/deliveries/{each['delivery_id']}" for each in await world.events() if each["delivery_id"]}
    assert len(told_by.intersection(links)) == 2
    moved = (await world.visits(drip.ana))[0]["event_id"]
    assert re.findall(r'href="[^"]+before=[^"]+#(event-[^"]+)"', page) == [f"event-{moved}"]


async def test_every_entry_is_on_a_page_once_in_the_order_of_time(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drip = await Drip.create(database)
    world = drip.world
    async with browsing(database_url) as browser:
        path = path_of(world, drip.ana)
        whole = re.findall(r'<li id="(.*?)"', (await browser.get(path)).text)
        monkeypatch.setattr(timeline, "MOST", 3)
        await world.run("update events set occurred_at = (select min(occurred_at) from events)")
        same = re.findall(r'<li id="(.*?)"', (await browser.get(path)).text)
        found: list[str] = []
        following = path
        while following:
            page = (await browser.get(following)).text
            found += re.findall(r'<li id="(.*?)"', page)
            times = re.findall(r'<time datetime="(.*?)"', page)
            assert times == sorted(times, reverse=True)
            link = re.search(r'href="([^"]+)">Earlier', page)
            following = html.unescape(link[1]) if link else ""
        assert (len(found), sorted(found)) == (len(set(found)), sorted(whole))
        for nonsense in ("x", "1-event-x", "9" * 18 + f"-event-{uuid7()}", f"1-none-{uuid7()}", "é"):
            page = (await browser.get(f"{path}?before={quote(nonsense)}")).text
            assert re.findall(r'<li id="(.*?)"', page) == same
        page = (await browser.get(f"{path}?before=1-event-{uuid7()}")).text
        assert "Nothing more happened." in page


async def test_a_transition_leads_to_the_event_that_made_it_on_whatever_page_that_is(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drip = await Drip.create(database)
    monkeypatch.setattr(timeline, "MOST", 1)
    path = path_of(drip.world, drip.ana)
    async with browsing(database_url) as browser:
        for _ in range(2):
            page = (await browser.get(path)).text
            path = html.unescape(re.findall(r'href="([^"]+)">Earlier', page)[0])
        [to_event] = re.findall(r'href="([^"]+)#(event-[^"]+)"', (await browser.get(path)).text)
        page = (await browser.get(html.unescape(to_event[0]))).text
    assert re.findall(r'<li id="(.*?)"', page) == [to_event[1]]
    assert [entry[1] for entry in told(page)] == ["No open at hello: it moved its contact."]


@pytest.mark.parametrize("name", [OPERATOR, VIEWER])
async def test_contact_data_is_shown_to_operators_and_masked_for_viewers(
    database: Database, database_url: str, name: str
) -> None:
    drip = await Drip.create(database)
    world = drip.world
    await world.run("update contacts set external_id = 'x-' || email where tenant_id = :t")
    await world.run(
        "insert into suppressions (tenant_id, id, channel, address, scope, reason)"
        " values (:t, :t, 'email', 'dan@example.org', 'all', 'told by dan@example.org')"
    )
    async with browsing(database_url, name) as browser:
        dan, ben, ana = [
            (await browser.get(path_of(world, each))).text for each in (drip.dan, drip.ben, drip.ana)
        ]
        page = (await browser.get(f"/campaigns/{world.tenant_id}/{world.campaign_id}")).text
        node = (
            await browser.get(
                f"/campaigns/{world.tenant_id}/{world.campaign_id}/contacts?node=hello&version=1"
            )
        ).text
    seen = "".join((dan, ben, ana, page, node))
    mails = set(re.findall(r"[\w.-]+@[\w.-]+", seen.replace("…@…", "")))
    assert bool(mails) == (name == OPERATOR), mails
    known = "dan@example.org" if name == OPERATOR else "d…@…"
    assert texts(dan, r"<dd>(.*?)</dd>")[1] == known
    assert texts(dan, "<h1>(.*?)</h1>") == ["x-dan@example.org" if name == OPERATOR else "x…@…"]
    assert "+15550100" in dan or name == VIEWER
    assert f"all: told by {known}" in dan
    assert f"(invalid {known})" in dan
    assert ("example.com" in ben) == (name == OPERATOR), "a URL may hold anything"
    assert re.findall(r'action="([^"]+)"', ana)[1:] == (
        []
        if name == VIEWER
        else [f"{path_of(world, drip.ana)}/enrollments/{each}" for each in await acts(drip)]
    )


async def acts(drip: Drip) -> list[str]:
    """What can be done to the enrolment that goes on."""
    enrolled = (await drip.world.current(drip.ana))["enrollment_id"]
    return [f"{enrolled}/pause", f"{enrolled}/cancel"]


async def find(browser: Browser, tenant: str, contact: str) -> Any:
    form = {"csrf": await browser.csrf("/campaigns"), "back": "/campaigns"}
    return await browser.post("/contacts", {**form, "tenant": tenant, "contact": contact})


async def message(browser: Browser) -> str:
    [found] = texts((await browser.get("/campaigns")).text, r'<p class="said" role="status">(.*?)</p>')
    return found


async def test_a_contact_is_found_by_its_id_its_tenants_id_of_it_and_its_addresses(
    database: Database, database_url: str
) -> None:
    drip = await Drip.create(database)
    other = await World.create(database, HELLO, contacts=2)
    world, tenant = drip.world, str(drip.world.tenant_id)
    await other.run("update contacts set phone = '+49 151', email = 'two@example.org' where tenant_id = :t")
    await other.run("update contacts set phone = '+49151' where tenant_id = :t")
    async with browsing(database_url) as browser:
        for wanted in (str(drip.ana), "ana-1", " Ana@Example.org ", "ana@example.org"):
            answer = await find(browser, tenant, wanted)
            assert (answer.status_code, answer.headers["location"]) == (303, path_of(world, drip.ana))
        both = (await find(browser, str(other.tenant_id), "two@example.org")).text
        assert texts(both, "<h1>(.*?)</h1>") == ["2 contacts"]
        assert [f'href="{path_of(other, each)}"' in both for each in other.contacts] == [True, True]
        assert texts((await find(browser, str(other.tenant_id), "+49 151")).text, "<h1>(.*?)</h1>") == [
            "2 contacts"
        ]
        for wanted in (str(other.contacts[0]), "nobody", str(uuid7()), "%", SCRIPT):
            assert (await find(browser, tenant, wanted)).headers["location"] == "/campaigns"
            assert await message(browser) == "The tenant has no such contact."
        for asked in (("", "x"), (tenant, ""), (tenant, "x" * 513)):
            assert (await find(browser, *asked)).headers["location"] == "/campaigns"
            assert (await message(browser)).startswith("Say of which tenant")
        await find(browser, "nobody", "x")
        assert await message(browser) == "There is no tenant named 'nobody'."
        assert (await browser.get(path_of(world, other.contacts[0]))).status_code == 404
    async with browsing(database_url, VIEWER) as browser:
        assert (await find(browser, tenant, "ana-1")).status_code == 403


async def test_an_operator_holds_a_contact_and_takes_it_out_once_that_is_sure(
    database: Database, database_url: str
) -> None:
    world = await World.create(database, HELLO)
    await world.enrol()
    path = path_of(world, world.contacts[0])
    enrolled = (await world.current())["enrollment_id"]
    async with browsing(database_url) as browser:

        async def act(word: str, **fields: str) -> Any:
            form = {"csrf": await browser.csrf(path), "back": path, **fields}
            return await browser.post(f"{path}/enrollments/{enrolled}/{word}", form)

        async def said() -> list[str]:
            return texts((await browser.get(path)).text, r'<p class="said" role="status">(.*?)</p>')

        assert (await act("pause")).headers["location"] == path
        page = (await browser.get(path)).text
        assert texts(page, r'<strong class="mark">(.*?)</strong>') == ["paused"]
        await act("pause")
        assert await said() == ["The enrolment is paused: this cannot be done to it."]
        await act("resume")
        assert await said() == ["The contact goes on, with the time that was left."]
        assert "Take this contact out of the campaign?" in (await act("cancel")).text
        assert await world.path() == [("hello", None)]
        await act("cancel", sure="yes")
        assert await said() == ["The contact is taken out of the campaign."]
        assert (await act("none")).status_code == 404
        page = (await browser.get(path)).text
        assert told(page)[:2] == [
            ["transition", "Taken out of the campaign at hello (enrollment_cancelled)."],
            ["send", "At hello: the send was cancelled: the enrolment ended."],
        ]
        assert "/enrollments/" not in page
    assert await world.path() == [("hello", "cancelled"), ("cancelled", None)]
    assert await entries(database) == [
        (f"enrollments.{word}", str(enrolled), str(world.tenant_id), 1)
        for word in ("pause", "resume", "cancel")
    ]


async def test_whatever_a_name_or_a_reason_holds_is_text_and_shortened(
    database: Database, database_url: str
) -> None:
    world = await World.create(database, HELLO)
    await world.enrol()
    visit, long = await world.current(), SCRIPT + "y" * 2**20
    await world.accept(visit["id"])
    (action,) = await world.actions(kind="send")
    await world.happens(mail_event("bounce", action, datetime.now(UTC), reason=long, type="bounce"))
    await world.run("update contacts set email = :long where tenant_id = :t", long=long[:2000])
    await world.run("update contacts set external_id = :long where tenant_id = :t", long=long[:2000])
    await world.run("update campaigns set name = :long where tenant_id = :t", long=long)
    await world.run("update enrollments set reason = :long where tenant_id = :t", long=long)
    await world.run(
        "update scheduled_actions set reason = :long, provider_message_id = 'm' where tenant_id = :t",
        long=long,
    )
    async with browsing(database_url) as browser:
        for path in (
            path_of(world, world.contacts[0]),
            f"/campaigns/{world.tenant_id}/{world.campaign_id}",
            f"/campaigns/{world.tenant_id}/{world.campaign_id}/contacts?node=hello&version=1",
            "/campaigns",
        ):
            answer = await browser.get(path)
            assert (answer.status_code, SCRIPT in answer.text, len(answer.text) < 20_000) == (
                200,
                False,
                True,
            ), path


async def test_a_deleted_contact_keeps_its_story_and_one_without_a_story_says_so(
    database: Database, database_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=2)
    await world.enrol(world.contacts[:1])
    await world.run(
        "update contacts set email = null, phone = null, deleted_at = now() where id = :id",
        id=world.contacts[0],
    )
    later = datetime.now(UTC) + timedelta(hours=2)
    await world.run(
        "update scheduled_actions set due_at = :later, reason = 'closed' where tenant_id = :t", later=later
    )
    async with browsing(database_url) as browser:
        page = (await browser.get(path_of(world, world.contacts[0]))).text
        assert "nothing is sent to it" in page
        assert texts(page, r"<dd>(.*?)</dd>")[1:3] == ["none", "none"]
        assert told(page) == [
            ["send", "At hello: the send waits for T (closed)."],
            ["enrolment", "Enrolled."],
        ]
        page = (await browser.get(path_of(world, world.contacts[1]))).text
        assert "It was never in a campaign." in page
        assert "Nothing happened." in page
