"""The pages of deliveries over HTTP: what was posted, what became of it, and to let it be processed anew."""

import html
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.admin import deliveries as pages_of_deliveries
from services.admin import listings
from shared.store.database import Database
from shared.store.ids import uuid7
from tests.admin import OPERATOR, VIEWER, Browser, serving, settings
from tests.integration.test_admin_overview import SCRIPT, texts
from tests.journeys import World, graph, mail_event, send, to
from tests.operating import entries
from tests.posted import FORM, arrive, set_state, worked

HELLO = graph(hello=send(to("opened", "open"), to("done", "no_open", after=60)))
NOBODY = "/deliveries/0197b3f0-5c1e-7a55-9c3d-0123456789ab"


@asynccontextmanager
async def looking(database_url: str, valkey_url: str = "", name: str = OPERATOR) -> AsyncIterator[Browser]:
    async with serving(settings(database_url, valkey_url)) as pages, pages.browser(name) as browser:
        yield browser


def rows(page: str) -> list[str]:
    return texts(page, r"<tr>(<td.*?)</tr>")


def facts(page: str) -> dict[str, str]:
    return dict(zip(texts(page, r"<dt>(.*?)</dt>"), texts(page, r"<dd>(.*?)</dd>"), strict=True))


def following(page: str) -> str | None:
    found = re.search(r'rel="next" href="([^"]+)"', page)
    return html.unescape(found[1]) if found else None


async def all_pages(browser: Browser, path: str) -> list[list[str]]:
    """The ids of deliveries on each page."""
    pages: list[list[str]] = []
    at: str | None = path
    while at is not None:
        page = (await browser.get(at)).text
        pages.append(re.findall(r'<tr><td class="at"><a href="/deliveries/([^"]+)"', page))
        at = following(page)
    return pages


async def sent(database: Database) -> tuple[World, Any]:
    """A world whose one contact was written to."""
    world = await World.create(database, HELLO)
    await world.enrol()
    (action,) = await world.actions(kind="send")
    await world.accept(action["visit_id"], datetime.now(UTC) - timedelta(minutes=10))
    return world, (await world.actions(kind="send"))[0]


async def test_a_delivery_shows_what_it_holds_what_came_of_it_and_where_its_events_came_from_first(
    database: Database, database_url: str
) -> None:
    world, action = await sent(database)
    at = datetime(2026, 1, 31, 3, tzinfo=UTC)
    opened = mail_event("open", action, at)
    first = await arrive(world, mail_event("delivered", action, at))
    again = await arrive(world, mail_event("delivered", action, at), opened, {"event": "open"})
    assert [await worked(world, each) for each in (first, again)] == [(1, 0), (2, 1)]
    async with looking(database_url) as browser:
        page = (await browser.get(f"/deliveries/{again}")).text
        mail = f"{action['contact_id']}@example.org"
        when = "2026-01-31 03:00:00 UTC"
        whose = "; of a send that is accepted, its contact"
        assert rows(page)[:2] == [
            f"{when} delivered {mail} kept; it moved nobody; another delivery brought it first{whose}",
            f"{when} open {mail} it moved its contact on{whose}",
        ]
        assert rows(page)[2] == "not told unknown: open without a timestamp – kept, and matches no send"
        seen = facts(page)
        assert seen.pop("State").startswith("processed since 20")
        assert {name: seen[name] for name in ("Which means", "New events", "Job", "user-agent")} == {
            "Which means": "Its events are kept.",
            "New events": "2",
            "Job": f"webhook:{again}:0",
            "user-agent": "SendGrid Event API",
        }
        [body] = texts(page, r"<pre>(.*?)</pre>")
        assert json.loads(body)[1] == opened
        links = re.findall(r'<td class="long">[^<]*<a href="([^"]+)"', page)
        assert links[0] == f"/deliveries/{first}"
        send_link = f"/queues/outreach%3Asend/job?id=send%3A{action['id']}%3A{action['g']}"
        assert send_link in page
        assert f"/contacts/{world.tenant_id}/{action['contact_id']}" in page


async def test_a_parked_delivery_tells_what_it_waits_for_and_until_when(
    database: Database, database_url: str
) -> None:
    world = await World.create(database, HELLO)
    stranger = mail_event(
        "delivered", {"id": uuid7(), "contact_id": uuid7()}, datetime(2026, 1, 31, tzinfo=UTC)
    )
    del stranger["outreach_action"]
    parked = await arrive(world, stranger)
    await worked(world, parked)
    at = datetime(2026, 1, 31, 4, tzinfo=UTC)
    await set_state(world, parked, "parked", retry_at=at, tries=2)
    async with looking(database_url) as browser:
        page = (await browser.get(f"/deliveries/{parked}")).text
        assert facts(page)["Which means"] == (
            "It holds events that match no send yet. It is looked at again 2026-01-31 04:00:00 UTC, time 2 of"
            " 5; what still matches none at the last, about 2026-01-31 04:01:30 UTC, is kept as unmatched."
        )
        assert rows(page) == [
            f"2026-01-31 00:00:00 UTC delivered {stranger['email']} not kept yet: it matches no send; message"
            f" {stranger['sg_message_id'].partition('.')[0]}"
        ]
        listed = (await browser.get("/deliveries?state=parked")).text
        assert [each.partition(" UTC ")[2] for each in rows(listed)] == [
            f"{world.tenant_id} parked until 2026-01-31 04:00:00 UTC sendgrid 2 0"
            f" {len(json.dumps([stranger]))}"
        ]
        assert (await worked(world, parked, park_attempts=0)) == (0, 0), "of another generation"
        await world.run("update deliveries set g = 0, state = 'received', tries = 5 where tenant_id = :t")
        assert await worked(world, parked) == (1, 0)
        page = (await browser.get(f"/deliveries/{parked}")).text
        assert rows(page)[0].endswith("kept, and matches no send")
        page = (await browser.get(f"/deliveries/unmatched?tenant={world.tenant_id}")).text
        assert [row.split(" sendgrid,")[0] for row in rows(page)] == [
            f"2026-01-31 00:00:00 UTC delivered {stranger['email']}"
            f" {stranger['sg_message_id'].partition('.')[0]}"
        ]
        assert f'href="/deliveries/{parked}"' in page


async def several(database: Database, count: int = 2) -> tuple[list[World], dict[str, list[str]]]:
    """Tenants with a delivery in each state, and the ids by state in the order that they came."""
    worlds = [await World.create(database, HELLO) for _ in range(count)]
    came: dict[str, list[str]] = {}
    for state in ("received", "processing", "parked", "failed", "processed"):
        for world in worlds:
            delivery_id = await arrive(world, {"event": "open", "n": f"{state}{world.tenant_id}"})
            await set_state(world, delivery_id, state)
            came.setdefault(state, []).append(str(delivery_id))
    return worlds, came


async def test_deliveries_are_listed_by_tenant_and_state_page_after_page_the_latest_first(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    worlds, came = await several(database)
    everything = [each for ids in came.values() for each in ids]
    mine = [ids[0] for ids in came.values()]
    tenant = f"tenant={worlds[0].tenant_id}"
    async with looking(database_url, name=VIEWER) as browser:
        for limit in (1, 3, 50):
            monkeypatch.setattr(listings, "LIMIT", limit)
            found = [each for page in await all_pages(browser, "/deliveries") for each in page]
            assert found == everything[::-1]
            found = [each for page in await all_pages(browser, f"/deliveries?{tenant}") for each in page]
            assert found == mine[::-1]
            for state, ids in came.items():
                pages = await all_pages(browser, f"/deliveries?state={state}")
                assert [each for page in pages for each in page] == ids[::-1], state
                pages = await all_pages(browser, f"/deliveries?state={state}&{tenant}")
                assert [each for page in pages for each in page] == ids[:1], state
        page = (await browser.get("/deliveries?state=failed")).text
        counted = "all received 2 processing 2 parked 2 failed 2 processed unmatched events"
        assert texts(page, r'<nav class="states".*?</nav>') == [counted]
        assert '<form class="act"' not in page


async def test_older_days_come_after_the_latest_whoever_they_are_of(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    worlds = [await World.create(database, HELLO) for _ in range(2)]
    ids: list[str] = []
    for days in (400, 1, 0):
        for world in worlds:
            delivery_id = uuid7()
            await world.run(
                "insert into deliveries"
                " (tenant_id, id, endpoint_id, provider, headers, body, state, received_at) values"
                " (:t, :id, :id, 'sendgrid', '{}', '', 'failed', now() - make_interval(days => :days))",
                id=delivery_id,
                days=days,
            )
            ids.append(str(delivery_id))
    async with looking(database_url) as browser:
        for limit in (1, 3, 50):
            monkeypatch.setattr(listings, "LIMIT", limit)
            for state in ("failed", "parked"):
                await worlds[0].run("update deliveries set state = :state", state=state)
                pages = await all_pages(browser, f"/deliveries?state={state}")
                assert [each for page in pages for each in page] == ids[::-1]


async def test_a_cursor_that_is_none_begins_at_the_first(database: Database, database_url: str) -> None:
    [world], came = await several(database, 1)
    last = "9" * 17 + f"~{world.tenant_id}~{world.tenant_id}"
    async with looking(database_url) as browser:
        for cursor in ("x", "~~", "1~2~3", "9" * 30 + "~x~y", "é", last):
            for query in ("state=all", "state=failed", f"state=failed&tenant={world.tenant_id}"):
                answer = await browser.get(f"/deliveries?{query}&cursor={cursor}")
                assert (came["failed"][0] in answer.text) or cursor == last
                assert answer.status_code == 200
            for path in ("/unknown?", "/audit?", f"/deliveries/unmatched?tenant={world.tenant_id}&"):
                assert (await browser.get(f"{path}cursor={cursor}")).status_code == 200


async def test_what_is_not_there_is_told_so(database: Database, database_url: str) -> None:
    async with looking(database_url) as browser:
        answer = await browser.get(NOBODY)
        assert (answer.status_code, texts(answer.text, "<h1>(.*?)</h1>")) == (
            404,
            ["There is no such delivery, or its day is no longer kept."],
        )
        for path in ("/deliveries", "/deliveries/unmatched", "/unknown", "/audit"):
            for name in ("nobody", SCRIPT):
                answer = await browser.get(f"{path}?tenant={name}")
                assert answer.status_code == 404
                assert "There is no tenant" in answer.text
                assert SCRIPT not in answer.text
        for path in ("/deliveries?state=none", f"{NOBODY}?from=-1", f"{NOBODY}?from=x"):
            assert (await browser.get(path)).status_code == 400
        assert (await browser.get("/deliveries/none")).status_code == 404


async def test_a_body_that_is_no_json_a_form_or_a_megabyte_is_shown_as_text_and_shortened(
    database: Database, database_url: str
) -> None:
    world = await World.create(database, HELLO)
    bodies = {
        "form": b"From=%2B4915112345678&Body=" + SCRIPT.encode() + b"&MessageStatus=delivered",
        "deep": b"[" * 100_000,
        "long": json.dumps([{"event": SCRIPT + "x" * 1_000_000}]).encode(),
        "wild": b'["\\ud800", 1e999, ' + b"9" * 5_000 + b"]",
        "odd": b'["\\ud800\\u0000"]',
        "bytes": b"\x00\xff" + SCRIPT.encode(),
        "empty": b"",
    }
    ids = {
        name: await arrive(
            world,
            body=body,
            provider="twilio" if name == "form" else "sendgrid",
            headers=FORM if name == "form" else None,
            query="x=1&y=a%40b.example" if name == "form" else "",
        )
        for name, body in bodies.items()
    }
    async with looking(database_url) as browser:
        pages = {name: (await browser.get(f"/deliveries/{each}")).text for name, each in ids.items()}
        assert {len(page) < 40_000 and SCRIPT not in page for page in pages.values()} == {True}
        heads = {name: texts(page, r'<h2 id="body">(.*?)</h2>')[0] for name, page in pages.items()}
        assert heads == {
            "form": f"Body: form, {len(bodies['form'])} bytes",
            "deep": "Body: text, 100,000 bytes",
            "long": f"Body: JSON, {len(bodies['long']):,} bytes",
            "wild": f"Body: text, {len(bodies['wild']):,} bytes",
            "odd": f"Body: JSON, {len(bodies['odd'])} bytes",
            "bytes": f"Body: text, {len(bodies['bytes'])} bytes",
            "empty": "Body: text, 0 bytes",
        }
        cut = [name for name, page in pages.items() if "This is its beginning." in page]
        assert cut == ["deep", "long"]
        form = facts(pages["form"])
        assert {name: form[name] for name in ("From", "Body", "MessageStatus", "x", "y")} == {
            "From": "+4915112345678",
            "Body": "<script>alert('x')</script>",
            "MessageStatus": "delivered",
            "x": "1",
            "y": "a@b.example",
        }
        for name, each in ids.items():
            answer = await browser.get(f"/deliveries/{each}/body")
            assert answer.content == bodies[name]
            assert answer.headers["content-type"] == "application/octet-stream"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-disposition"] == f'attachment; filename="delivery-{each}.bin"'


async def test_a_viewer_sees_contacts_masked_no_raw_body_and_no_forms(
    database: Database, database_url: str
) -> None:
    world, action = await sent(database)
    event = mail_event("click", action, datetime.now(UTC), url="https://x.example/login/s3cret")
    posted = [
        await arrive(world, event),
        await arrive(world, body=b"From=%2B4915112345678", provider="twilio", headers=FORM),
        await arrive(world, body=b"ana%2Bexample.org +4915112345678", query="to=ana%40example.org"),
    ]
    for each in posted[:2]:
        await worked(world, each)
    await set_state(world, posted[2], "failed", reason="no body of ana@example.org")
    contact = str(action["contact_id"])
    async with looking(database_url, name=VIEWER) as browser:
        paths = [f"/deliveries/{each}" for each in posted] + [
            "/deliveries?state=failed",
            f"/deliveries/unmatched?tenant={world.tenant_id}",
        ]
        seen = [(await browser.get(path)).text for path in paths]
        for page in seen:
            text = re.sub(r'href="[^"]+"', "", page)
            assert not re.search(rf"{contact}@|49151|example\.org|s3cret", text)
            assert 'class="act"' not in page
            assert "Download" not in page
        assert "so that nothing in it can be masked" in seen[2]
        answer = await browser.get(f"/deliveries/{posted[0]}/body")
        assert (answer.status_code, answer.content.count(b"@example.org")) == (403, 0)
        csrf = await browser.csrf("/")
        for path in (f"/deliveries/{posted[2]}/replay", "/deliveries/replay"):
            assert (await browser.post(path, {"csrf": csrf})).status_code == 403
    assert [row["state"] for row in await world.deliveries()][2] == "failed"


async def test_events_of_a_large_body_are_paged(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages_of_deliveries, "EVENTS", 2)
    world, action = await sent(database)
    kinds = ("processed", "deferred", "delivered", "open", "click")
    posted = await arrive(world, *(mail_event(kind, action, datetime.now(UTC)) for kind in kinds))
    await worked(world, posted)
    found = []
    at: str | None = f"/deliveries/{posted}"
    async with looking(database_url) as browser:
        while at is not None:
            page = (await browser.get(at)).text
            found.append([row.split(" ")[3] for row in rows(page)])
            at = following(page)
        assert found == [["processed", "deferred"], ["delivered", "open"], ["click"]]
        assert "No more events." in (await browser.get(f"/deliveries/{posted}?from=1000")).text


def said(page: str) -> str:
    return texts(page, r'class="said" role="status">(.*?)</p>')[0]


async def replayed(browser: Browser, path: str, fields: dict[str, str]) -> tuple[str, str]:
    """What a form asks, and what the page says once it was answered."""
    asked = {"csrf": await browser.csrf("/"), "back": "/deliveries", **fields}
    question = await browser.post(path, asked)
    if question.status_code == 303:
        return "", said((await browser.get(question.headers["location"])).text)
    assert question.status_code == 200, question.text
    done = await browser.post(path, {**asked, "sure": "yes"})
    assert (done.status_code, done.headers["location"]) == (303, "/deliveries")
    return texts(question.text, "<h1>(.*?)</h1>")[0], said((await browser.get("/deliveries")).text)


async def test_deliveries_are_replayed_by_operators_who_are_asked_first_and_each_is_in_the_audit(
    database: Database, database_url: str, valkey_url: str
) -> None:
    worlds, came = await several(database)
    name = str(worlds[0].tenant_id)

    async def states() -> list[str]:
        listed = [row for world in worlds for row in await world.deliveries()]
        return sorted(row["state"] for row in listed)

    before = await states()
    async with looking(database_url, valkey_url) as browser:
        csrf = await browser.csrf("/")
        [failed, _] = came["failed"]
        await browser.post(f"/deliveries/{failed}/replay", {"csrf": csrf})
        await browser.post("/deliveries/replay", {"csrf": csrf, "state": "failed"})
        assert await states() == before, "only asked"
        assert await replayed(browser, f"/deliveries/{failed}/replay", {}) == (
            "Replay this delivery? What it did already is not done twice.",
            f"It is processed anew, by the job webhook:{failed}:1.",
        )
        again = await replayed(browser, f"/deliveries/{failed}/replay", {})
        assert again[1] == "It cannot be replayed. It waits to be processed."
        answer = await replayed(browser, "/deliveries/replay", {"state": "parked", "tenant": name})
        assert answer == (f"Replay 1 parked delivery of {name}?", "1 delivery is processed anew.")
        answer = await replayed(browser, "/deliveries/replay", {"state": "failed"})
        assert answer == ("Replay 1 failed delivery of everybody?", "1 delivery is processed anew.")
        for fields, word in (
            ({"state": "failed"}, "No delivery of everybody is failed."),
            ({"state": "processed"}, "Only deliveries that are failed or parked are replayed in bulk."),
            ({"state": "failed", "tenant": "nobody"}, "There is no tenant nobody."),
        ):
            assert (await replayed(browser, "/deliveries/replay", fields))[1] == word
    assert await states() == sorted(["received"] * 5 + ["processing"] * 2 + ["parked"] + ["processed"] * 2)
    assert [entry for entry in await entries(database) if entry[3]] == [
        ("deliveries.replay", failed, name, 1),
        ("deliveries.replay", "parked", name, 1),
        ("deliveries.replay", "failed", None, 1),
    ]


async def test_a_postgres_that_is_away_is_told_and_looked_for_again(valkey_url: str) -> None:
    async with looking("", valkey_url) as browser:
        for path in ("/deliveries", "/deliveries/unmatched", NOBODY, "/unknown", "/audit"):
            answer = await browser.get(path)
            assert answer.status_code == 503
            assert '<meta http-equiv="refresh" content="5">' in answer.text
