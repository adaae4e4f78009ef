"""Campaigns as the pages show them: who is where, who went which way, and what an operator does to one."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote
from uuid import UUID

import pytest

from services.admin import journeys
from shared.store import campaign_views, flows
from shared.store.database import Database
from shared.store.flows import Flow
from shared.store.graphs import Version
from shared.store.ids import uuid7
from tests.admin import OPERATOR, VIEWER, Browser, serving, settings
from tests.drip import Drip
from tests.floods import fill
from tests.integration.test_admin_overview import SCRIPT, texts
from tests.journeys import World, graph, send, to
from tests.operating import entries

HELLO = graph(hello=send(to("done")))


@asynccontextmanager
async def browsing(database_url: str, name: str = OPERATOR) -> AsyncIterator[Browser]:
    """A browser of pages that have rows and no Redis."""
    async with serving(settings(database_url)) as pages, pages.browser(name) as browser:
        yield browser


def path_of(world: World) -> str:
    return f"/campaigns/{world.tenant_id}/{world.campaign_id}"


def rows(page: str) -> list[str]:
    return texts(page, r"<tr><t[dh].*?>(.*?)</tr>")[1:]


async def said(browser: Browser, world: World, act: str, **fields: str) -> str:
    """What the campaign's page says after an act."""
    path = path_of(world)
    form = {"csrf": await browser.csrf(path), "back": path, **fields}
    answer = await browser.post(f"{path}/{act}", form)
    assert (answer.status_code, answer.headers["location"]) == (303, path), answer.text
    [message] = texts((await browser.get(path)).text, r'<p class="said" role="status">(.*?)</p>')
    return message


async def test_a_campaign_shows_who_is_where_and_who_went_which_way(
    database: Database, database_url: str
) -> None:
    drip = await Drip.create(database)
    async with browsing(database_url) as browser:
        page = (await browser.get(path_of(drip.world))).text
    assert rows(page) == [
        "hello email 1 4 click → done: 0 open → later: 1 no_open after 1 h → again: 1 failed → lost: 1",
        "done exit – 0",
        "later wait 1 d 1 1 else → again: 0",
        "again email 1 1 click → done: 0 open → later: 0 else after 3 d → silent: 0",
        "lost exit – 1",
        "silent exit – 0",
    ]
    drawn = re.sub(r"\s+", " ", " ".join(texts(page, r"<text.*?>(.*?)</text>")))
    for words in ("hello email 1 here · 4 came", "no_open after 1 h: 1", "lost exit 1 came"):
        assert words in drawn
    assert texts(page, r"<dd>(.*?)</dd>")[2:5] == ["3", "nothing", "never"]


async def test_each_version_is_counted_by_itself_and_what_has_no_edge_is_told(
    database: Database, database_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=3)
    await world.enrol(world.contacts[:1])
    await world.add_version(2, graph(hello=send(to("done"), to("done", "click"))))
    await world.enrol(world.contacts[1:])
    visit = await world.current(world.contacts[1])
    await world.advance(world.move(visit["id"], "bounce", reason="hard"))
    async with browsing(database_url) as browser:
        latest = (await browser.get(path_of(world))).text
        earlier = (await browser.get(f"{path_of(world)}?version=1")).text
        assert (await browser.get(f"{path_of(world)}?version=3")).status_code == 404
        for nonsense in ("0", "x", "-1", str(2**31)):
            assert (await browser.get(f"{path_of(world)}?version={nonsense}")).status_code == 400
    assert rows(latest)[0] == (
        "hello email 1 2 else → done: 0 click → done: 0 bounced (no edge of this node) : 1"
    )
    assert rows(earlier)[0] == "hello email 1 1 else → done: 0"
    assert "Version 2, which new contacts get" in latest
    assert "Version 1, an earlier one" in earlier
    assert texts(latest, r"<option.*?>(.*?)</option>") == ["2", "1"]


async def test_counts_stop_at_a_bound_and_say_so(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await World.create(database, HELLO)
    await fill(world, 30)
    await world.run(
        "update visits set left_at = now(), edge = 'else' where id in (select id from visits limit 9)"
    )
    version = Version(world.tenant_id, world.campaign_id, 1)
    monkeypatch.setattr(flows, "FIRST", 10)
    whole = await database.run(lambda tx: flows.flows(tx, version, ["hello", "done"]))
    assert sorted(whole, key=str) == [Flow("hello", "else", 9, False), Flow("hello", None, 21, False)]
    monkeypatch.setattr(flows, "MOST", 20)
    monkeypatch.setattr(campaign_views, "COUNTED", 5)
    monkeypatch.setattr("services.admin.campaigns.COUNTED", 5)
    async with browsing(database_url) as browser:
        assert rows((await browser.get(path_of(world))).text)[0] == "hello email ≥ 20 ≥ 29 else → done: 9"
        [row] = texts((await browser.get("/campaigns")).text, r"<tr><td>(.*?)</tr>")
        assert row == f"spring {world.tenant_id} active ≥ 5 0"


async def test_who_is_at_a_node_is_listed_once_the_longest_there_first_with_what_is_next(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journeys, "MOST", 7)
    world = await World.create(database, HELLO, contacts=20)
    await world.enrol()
    first = await world.current(world.contacts[0])
    await world.run(
        "update scheduled_actions set status = 'held', reason = 'campaign_paused' where visit_id = :id",
        id=first["id"],
    )
    found: list[str] = []
    async with browsing(database_url) as browser:
        path = f"{path_of(world)}/contacts?node=hello&version=1"
        while path:
            page = (await browser.get(path)).text
            found += re.findall(rf'href="/contacts/{world.tenant_id}/([0-9a-f-]+)"', page)
            if len(found) <= 7:
                assert "The send is held (campaign_paused) until that is lifted." in page
                assert page.count("and waits for its turn.") == 6
            following = re.search(r'href="([^"]+)">Next page', page)
            path = following[1].replace("&amp;", "&") if following else ""
        assert [UUID(each) for each in found] == world.contacts
        for nonsense in ("x", "0" * 36, "é", str(uuid7())[:-1]):
            path = f"{path_of(world)}/contacts?node=hello&version=1&after={quote(nonsense)}"
            assert (await browser.get(path)).text.count("/contacts/") == 7
        assert (
            "There is nobody there now."
            in (await browser.get(f"{path_of(world)}/contacts?node=done&version=1")).text
        )
        for wrong, status in (
            ("node=none&version=1", 404),
            ("node=hello&version=2", 404),
            ("node=hello", 400),
        ):
            assert (await browser.get(f"{path_of(world)}/contacts?{wrong}")).status_code == status


async def test_campaigns_are_listed_once_of_all_tenants_or_of_one_by_its_name_or_id(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journeys, "MOST", 2)
    worlds = [await World.create(database, HELLO) for _ in range(3)]
    await worlds[1].add_campaign(HELLO)
    await worlds[1].add_campaign(HELLO)
    await worlds[1].run("update campaigns set status = 'paused' where id = :c")
    name = f"{SCRIPT} & co " + "x" * 1_000
    await worlds[1].run("update tenants set name = :name where id = :t", name=name)

    async def listed(browser: Browser, path: str) -> list[str]:
        found: list[str] = []
        while path:
            page = (await browser.get(path)).text
            assert SCRIPT not in page
            found += re.findall(r'<td><a href="/campaigns/[0-9a-f-]+/([0-9a-f-]+)"', page)
            following = re.search(r'href="([^"]+)">Next page', page)
            path = following[1].replace("&amp;", "&") if following else ""
        return found

    async with browsing(database_url) as browser:
        every = await database.run(lambda tx: campaign_views.page(tx, None, None, 100))
        assert await listed(browser, "/campaigns") == [str(row.id) for row in every]
        assert len(every) == 5
        own = [str(row.id) for row in every if row.tenant_id == worlds[1].tenant_id]
        assert await listed(browser, f"/campaigns?tenant={worlds[1].tenant_id}") == own
        await worlds[1].run("update tenants set name = :name where id = :t", name=name[:400])
        assert await listed(browser, f"/campaigns?tenant={quote(name[:400])}") == own
        page = (await browser.get(f"/campaigns?tenant={worlds[1].tenant_id}&after=x")).text
        assert page.count("<td><a") == 2 * 2
        assert (await browser.get("/campaigns?tenant=nobody")).status_code == 404
        assert (await browser.get("/campaigns?tenant=%00")).status_code == 400
        for wrong in (f"/campaigns/{uuid7()}/{uuid7()}", path_of(worlds[0])[:-1], "/campaigns/x/y"):
            assert (await browser.get(wrong)).status_code == 404


async def test_an_operator_pauses_resumes_and_cancels_a_campaign_and_the_audit_has_it(
    database: Database, database_url: str
) -> None:
    world = await World.create(database, HELLO)
    await world.enrol()
    target = (str(world.campaign_id), str(world.tenant_id), 1)
    async with browsing(database_url) as browser:
        assert (await said(browser, world, "pause")).startswith("The campaign is paused")
        assert await said(browser, world, "pause") == "The campaign is paused."
        (action,) = await world.actions()
        await world.set_action(action["id"], status="held", reason="campaign_paused")
        page = (await browser.get(path_of(world))).text
        assert "Paused since 20" in page
        assert texts(page, r"<dd>(.*?)</dd>")[3] == "1 by campaign_paused"
        assert (await said(browser, world, "resume")).startswith("The campaign goes on")
        assert await world.statuses() == {"send": "pending"}
        path = path_of(world)
        form = {"csrf": await browser.csrf(path), "back": path}
        question = (await browser.post(f"{path}/cancel", form)).text
        assert texts(question, "<h1>(.*?)</h1>") == [
            "Cancel spring for good? It sends nothing more, and 1 contact is taken out."
        ]
        assert await world.statuses() == {"send": "pending"}
        assert (await said(browser, world, "cancel", sure="yes")).startswith("The campaign is cancelled")
        assert await said(browser, world, "resume") == "The campaign is cancelled."
        page = (await browser.get(path)).text
        assert "Cancelled: it sends nothing more." in page
        assert "/cancel" not in page
    assert await world.path() == [("hello", "cancelled"), ("cancelled", None)]
    assert await world.statuses() == {"send": "cancelled"}
    assert await entries(database) == [
        ("campaigns.pause", *target),
        ("campaigns.resume", *target),
        ("campaigns.cancel", *target),
    ]


async def test_a_viewer_looks_and_changes_nothing(database: Database, database_url: str) -> None:
    drip = await Drip.create(database)
    world = drip.world
    await world.run("update campaigns set name = 'for ana@example.org' where id = :c")
    async with browsing(database_url, VIEWER) as browser:
        path = path_of(world)
        page = (await browser.get(path)).text
        assert texts(page, "<h1>(.*?)</h1>") == ["for a…@…"]
        assert re.findall(r'action="([^"]+)"', page) == ["/logout"]
        form = {"csrf": await browser.csrf(path), "back": path, "sure": "yes"}
        for act in ("pause", "resume", "cancel"):
            assert (await browser.post(f"{path}/{act}", form)).status_code == 403
    assert await entries(database) == []


async def test_a_graph_too_large_to_be_drawn_is_in_the_table(database: Database, database_url: str) -> None:
    nodes = {f"n{n}": send(to(f"n{n + 1}" if n < 79 else "done")) for n in range(80)}
    world = await World.create(database, graph(**nodes))
    async with browsing(database_url) as browser:
        page = (await browser.get(path_of(world))).text
    assert "It is too large to be drawn: the table has all 81 nodes." in page
    assert len(rows(page)) == 81
    assert "<svg" not in page


async def test_a_postgres_that_is_away_is_told_and_the_page_looks_again_by_itself() -> None:
    async with browsing("") as browser:
        for path in ("/campaigns", f"/campaigns/{uuid7()}/{uuid7()}", f"/contacts/{uuid7()}/{uuid7()}"):
            answer = await browser.get(path)
            assert answer.status_code == 503
            assert '<meta http-equiv="refresh" content="5">' in answer.text
