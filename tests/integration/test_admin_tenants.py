"""What the tenants' pages show of real rows, lines and limits, and what their forms do."""

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest

from services.admin import tenancy, tenants
from shared.jobs import QUEUES
from shared.queue.types import NewJob, Settlement, Verdict
from shared.redis.embedded import EmbeddedValkey
from shared.store import audit, closures, pauses
from shared.store.closures import Closure
from shared.store.database import Database
from shared.store.ids import uuid7
from shared.store.pages import Page
from shared.store.pauses import Pause
from tests.admin import OPERATOR, VIEWER, Browser, serving, settings
from tests.dispatching import Replica, dispatching, limit
from tests.floods import fill
from tests.integration.test_admin_overview import SCRIPT, texts
from tests.journeys import World, graph, send, to
from tests.operating import fail

HELLO = graph(hello=send(to("done")))


@dataclass
class Place:
    """A tenant, its dispatcher, and an operator's browser of the pages."""

    world: World
    dispatch: Replica
    browser: Browser

    @property
    def path(self) -> str:
        return f"/tenants/{self.world.tenant_id}"

    async def holds(self) -> list[str]:
        """What the page says that holds the tenant back."""
        page = (await self.browser.get(self.path)).text
        return texts(page, r"<li>(.*?)</li>") or texts(page, r'<p class="fine">(.*?)</p>')

    async def work(self) -> dict[str, list[str]]:
        """Of each queue: in line, running, due, later, went wrong."""
        return (await self.tables())[0]

    async def limits(self) -> dict[str, list[str]]:
        """Of each channel and sender: its limits by kind, and its line."""
        return (await self.tables())[1]

    async def tables(self) -> list[dict[str, list[str]]]:
        page = (await self.browser.get(self.path)).text
        found = []
        for body in re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL):
            rows = re.findall(r"<tr.*?</tr>", body, re.DOTALL)
            heads = [texts(row, r"<th.*?>(.*?)</th>")[0].removesuffix(" Change limits") for row in rows]
            found.append(
                {head: texts(row, r"<td.*?>(.*?)</td>") for head, row in zip(heads, rows, strict=True)}
            )
        return found

    async def does(self, act: str, **fields: str) -> str:
        """Send a form; what the page says then."""
        csrf = await self.browser.csrf(self.path)
        answer = await self.browser.post(f"{self.path}/{act}", {"csrf": csrf, "back": self.path, **fields})
        assert answer.status_code == 303
        page = (await self.browser.get(answer.headers["location"])).text
        return texts(page, r'<p class="said".*?>(.*?)</p>')[0]

    async def noted(self) -> list[tuple[str, str, str, dict[str, Any]]]:
        """Actor, action, target and detail of the audit, in order."""
        rows = await self.world.database.run(lambda tx: audit.page(tx, Page(100)))
        return [(row.actor, row.action, row.target, row.detail) for row in reversed(rows)]


@asynccontextmanager
async def place(
    database: Database, database_url: str, valkey_url: str, contacts: int = 0, name: str = OPERATOR
) -> AsyncIterator[Place]:
    """A tenant named Acme, whose senders are news@acme.example and +15550199."""
    world = await World.create(database, HELLO, contacts=contacts)
    await world.run("update tenants set name = 'Acme' where id = :t")
    for channel, address in (("email", "news@acme.example"), ("sms", "+15550199")):
        await world.run("update senders set address = :a where id = :s", a=address, s=world.senders[channel])
    async with (
        dispatching(database, valkey_url) as dispatch,
        serving(settings(database_url, valkey_url)) as pages,
        pages.browser(name) as browser,
    ):
        yield Place(world, dispatch, browser)


async def named(database: Database, *names: str) -> list[UUID]:
    """Tenants of these names."""
    ids = [uuid7() for _ in names]
    world = World(database)
    for tenant_id, name in zip(ids, names, strict=True):
        await world.run("insert into tenants (id, name) values (:id, :name)", id=tenant_id, name=name)
    return ids


async def listed(browser: Browser, path: str) -> list[list[str]]:
    """The rows of every page from this one on."""
    rows: list[list[str]] = []
    while path:
        page = (await browser.get(path)).text
        for row in re.findall(r"<tr>\s*<th scope=\"row\">.*?</tr>", page, re.DOTALL):
            rows.append(texts(row, r"<t[hd].*?>(.*?)</t[hd]>"))
        following = re.search(r'href="([^"]+)">Next page', page)
        path = following[1].replace("&amp;", "&") if following else ""
    return rows


async def test_tenants_are_listed_by_name_with_what_is_wrong_page_by_page(
    database: Database, database_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenants, "_COUNTED", 3)
    monkeypatch.setattr(tenants, "LIMIT", 2)
    async with place(database, database_url, valkey_url, contacts=2) as p:
        ids = await named(database, "Zoe", "Acid 100%", "Beta_", SCRIPT + "x" * 100_000)
        await p.world.enrol()
        for action in await p.world.actions():
            await fail(p.world, action)
        await fill(p.world, 5, "enqueued")
        await fill(p.world, 1, "submitting")
        await fill(p.world, 2, "unknown")
        sms = Closure(p.world.tenant_id, "sms", p.world.senders["sms"], "unauthorized", None)
        await database.run(lambda tx: closures.close(tx, [sms]))
        await database.run(lambda tx: pauses.add(tx, Pause("outreach:send", ids[0])))
        nothing = ["open", "1", "0", "0", "0", "0"]
        rows = [
            [SCRIPT + "x" * (80 - len(SCRIPT)) + "… (420 characters more)", *nothing],
            ["Acid 100%", *nothing],
            ["Acme", "1 closed sender", "1", "3+", "1", "2", "2"],
            ["Beta_", *nothing],
            ["Zoe", "paused", *nothing[1:]],
        ]
        assert sorted(await listed(p.browser, "/tenants")) == sorted(rows)
        assert await listed(p.browser, "/tenants?name=%20aC") == rows[1:3]
        assert await listed(p.browser, "/tenants?name=0%25") == rows[1:2]
        assert await listed(p.browser, "/tenants?name=a_") == rows[3:4]
        assert await listed(p.browser, "/tenants?name=nobody") == []
        assert await listed(p.browser, "/tenants?only=paused") == rows[4:]
        assert await listed(p.browser, "/tenants?only=closed") == rows[2:3]
        assert await listed(p.browser, "/tenants?only=failed") == rows[2:3]
        assert await listed(p.browser, "/tenants?only=failed&name=zoe") == []
        for cursor in ("x", str(uuid4()), "%F0%9F%98%80"):
            assert len(await listed(p.browser, f"/tenants?after={cursor}")) == 5, "it begins at the first"
        page = (await p.browser.get("/tenants")).text
        assert len(page) < 30_000 and SCRIPT not in page


async def test_what_makes_no_sense_is_refused_in_a_sentence(
    database: Database, database_url: str, valkey_url: str
) -> None:
    async with place(database, database_url, valkey_url) as p:
        for path in (f"/tenants/{uuid4()}", "/tenants/x", f"{p.path}/limits?channel=fax", f"{p.path}/x"):
            assert (await p.browser.get(path)).status_code == 404, path
        other = await World.create(database, HELLO)
        for sender in (other.senders["email"], p.world.senders["sms"]):
            answer = await p.browser.get(f"{p.path}/limits?channel=email&sender={sender}")
            assert answer.status_code == 404, "it is another tenant's, or sends by SMS"
        for path in (
            "/tenants?only=none",
            f"/tenants?name={'x' * 201}",
            f"{p.path}/limits?sender=x",
        ):
            assert (await p.browser.get(path)).status_code == 400, path
        assert await p.does("pause", queue="none") == (
            "There is no queue 'none': there are webhook:process, outreach:send, outreach:timeout."
        )
        assert await p.does("pause", reason="x" * 501) == "A reason has at most 500 characters."
        for text in ("0", "1001", "", "-1", "1_0", "٣", "9" * 500):
            assert (await p.does("weight", weight=text)).startswith("A weight is "), text
        for text in ("1e3", "-1", "1_0", "٣", "1.5", "9" * 500, "1000000001"):
            assert (await p.does("limits", channel="email", minute=text)).startswith("A limit is "), text
        assert "no channel" in await p.does("limits", channel="fax", minute="1")
        foreign = str(other.senders["email"])
        assert "There is no such sender" in await p.does(
            "limits", channel="email", sender=foreign, minute="1"
        )
        assert await p.does("reopen", sender=foreign) == "There is no closed sender with this id."
        assert await p.does("limits", channel="email", sender="x", minute="1") == "There is no such sender."
        assert await p.does("reopen", sender="x") == "There is no such sender."
        assert (await p.does("resume")).startswith("There is no such pause")
        assert await p.noted() == []
        await p.world.run("delete from tenants where id = :t")
        csrf = await p.browser.csrf("/")
        answer = await p.browser.post(f"{p.path}/pause", {"csrf": csrf, "back": "/tenants"})
        page = (await p.browser.get(answer.headers["location"])).text
        assert texts(page, r'<p class="said".*?>(.*?)</p>') == ["There is no such tenant."]


async def test_a_tenant_that_nothing_holds_back_shows_its_default_limits_and_no_work(
    database: Database, database_url: str, valkey_url: str
) -> None:
    async with place(database, database_url, valkey_url) as p:
        await p.dispatch.open()
        assert await p.holds() == ["Nothing holds it back."]
        page = (await p.browser.get(p.path)).text
        asked = [html.unescape(each) for each in re.findall(r'href="([^"]+tenant=[^"]+)"', page)]
        assert asked == [
            *(
                f"/{each}tenant={p.world.tenant_id}"
                for each in ("queues/outreach:send?state=failed&", "campaigns?")
            ),
            *(f"/{each}?tenant={p.world.tenant_id}" for each in ("deliveries", "unknown", "audit")),
            *(f"/queues/{quote(each, safe='')}?tenant={p.world.tenant_id}" for each in QUEUES),
        ]
        assert [(await p.browser.get(each)).status_code for each in asked] == [200] * 8
        assert await p.tables() == [
            {
                name: ["0", "0", "0", "0", "nothing"]
                for name in ("webhook:process", "outreach:send", "outreach:timeout")
            },
            {
                "email all senders together": [*email("0 of "), "any number", "0"],
                "news@acme.example": [*email("0 of "), "any number", "0"],
                "sms all senders together": ["0 of 10", "0 of 500", "0 of 5,000", "any number", "0"],
                "+15550199": ["0 of 10", "0 of 500", "0 of 5,000", "any number", "0"],
            },
        ]


def email(used: str, minute: str = "20") -> list[str]:
    """The limits of mail, of which so much is used."""
    return [f"{used}{limit}" for limit in (minute, "1,000", "10,000")]


async def test_what_holds_a_tenant_back_is_told_with_why_and_for_how_long(
    database: Database, database_url: str, valkey_url: str
) -> None:
    async with place(database, database_url, valkey_url, contacts=12) as p:
        world, news = p.world, p.world.senders["email"]
        await limit(world, None, minute=5, hour=9, concurrent=30)
        await limit(world, news, day=7, concurrent=6)
        await world.enrol()
        assert await p.holds() == [
            f"{name} is closed: dispatch opens it within seconds; look at dispatch's log if it stays so."
            for name in ("webhook:process", "outreach:send", "outreach:timeout")
        ]
        await p.dispatch.open()
        await p.dispatch.send_round()
        assert await p.holds() == ["No worker is there for outreach:send."]
        await p.dispatch.sends.beat("a worker", 3, 0.1)
        claimed = await p.dispatch.claim(9)
        await p.dispatch.sends.settle(0, [Settlement(each, Verdict.COMPLETED) for each in claimed[:2]])
        relieved = await p.holds()
        await p.dispatch.claim(9)
        await p.dispatch.sends.beat("a worker", 3, 0.1)
        (said,) = [re.sub(r"for \d+ s", "for … s", each) for each in await p.holds()]
        assert relieved == [said.replace("for … s", "until a worker looks")], "a slot of a cap was freed"
        assert said == (
            "news@acme.example (email) has 7 sends in line. Parked for … s: its minute limit is used up."
        )
        shown = {
            name: [re.sub(r"frees in .*", "frees", figure) for figure in figures]
            for name, figures in (await p.limits()).items()
        }
        whole, own = shown["email all senders together"], shown["news@acme.example"]
        assert whole == [
            "5 of 5 its own frees",
            "5 of 9 its own frees",
            "5 of 10,000 frees",
            "3 of 30 its own",
            "7",
        ]
        assert [*own[:4], re.sub(r"\d+ s:", "… s:", own[4])] == [
            *("5 of 5 frees", "5 of 9 frees", "5 of 7 its own frees", "3 of 6 its own"),
            "7 Parked for … s: its minute limit is used up",
        ]
        assert await p.work() == {
            "webhook:process": ["0", "0", "0", "0", "nothing"],
            "outreach:send": ["7", "3", "0", "0", "nothing"],
            "outreach:timeout": ["0", "0", "0", "0", "nothing"],
        }


async def test_the_longest_lines_that_wait_are_told_of_whichever_page_their_senders_are_on(
    database: Database, database_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenancy, "SENDERS", 1)
    async with place(database, database_url, valkey_url) as p:
        await limit(p.world, None, minute=0)
        await p.dispatch.open()
        accounts = await p.world.run("select id from provider_accounts")
        for n in range(8):
            sender = uuid7()
            await p.world.run(
                "insert into senders (tenant_id, id, provider_account_id, channel, address)"
                " values (:t, :id, :account, 'email', :address)",
                id=sender,
                account=accounts[0]["id"],
                address=f"{n}@acme.example",
            )
            lane = f"{p.world.tenant_id}/email/{sender}"
            jobs = [NewJob(f"{n}-{each}", lane, b"{}") for each in range(n)]
            await p.dispatch.sends.enqueue(jobs)
        await p.dispatch.sends.beat("a worker", 3, 0.1)
        await p.dispatch.claim(50)
        why = "Parked for … s: its tenant's minute limit is used up."
        told = [
            re.sub(r"for (\d+ s|1 min): its( tenant's)?", "for … s: its tenant's", each)
            for each in await p.holds()
        ]
        assert told == [
            *(f"{n}@acme.example (email) has {n} sends in line. {why}" for n in (7, 6, 5, 4, 3)),
            "2 more senders of the 50 with the longest lines wait too.",
        ]


async def test_pauses_closures_and_what_is_held_are_told_and_lead_to_what_can_be_done(
    database: Database, database_url: str, valkey_url: str
) -> None:
    async with place(database, database_url, valkey_url, contacts=3) as p:
        world, (news, sms) = p.world, p.world.senders.values()
        until = datetime(2100, 1, 1, tzinfo=UTC)

        async def stop(tx: Any) -> None:
            wrong = [Closure(world.tenant_id, "sms", sms, "unauthorized", None)]
            await closures.close(tx, [*wrong, Closure(world.tenant_id, "email", news, "rate_limited", until)])
            await pauses.add(tx, Pause("outreach:timeout", None), "maintenance")
            await pauses.add(tx, Pause("outreach:send", world.tenant_id), SCRIPT + "y" * 1_048_576)

        await database.run(stop)
        await world.enrol()
        held, failed, later = await world.actions()
        await world.set_action(held["id"], status="held", reason="campaign_paused")
        await world.set_action(failed["id"], status="failed")
        await world.set_action(later["id"], due_at=until)
        for state in ("received", "parked", "failed", "failed", "processed"):
            claim = await world.post()
            await world.run("update deliveries set state = :s where id = :id", s=state, id=claim.id)
        await p.dispatch.open()
        holds = [re.sub(r"since .{19} UTC", "since …", each) for each in await p.holds()]
        why = SCRIPT + "y" * (200 - len(SCRIPT)) + "… (300 characters more)"
        assert holds == [
            "Every tenant is paused in outreach:timeout since …: maintenance.",
            f"The tenant is paused in outreach:send since …: {why}.",
            "+15550199 is closed (unauthorized) until somebody reopens it.",
            "news@acme.example is closed (rate_limited) until 2100-01-01 00:00:00 UTC.",
            "1 of its sends and waits are held until their campaign or contact goes on.",
        ]
        assert await p.work() == {
            "webhook:process": ["0", "0", "1", "1", "2 failed"],
            "outreach:send": ["0", "0", "0", "1", "1 failed"],
            "outreach:timeout": ["0", "0", "0", "0", "nothing"],
        }
        page = (await p.browser.get(p.path)).text
        assert texts(page, r"<button.*?>(.*?)</button>")[1:] == [
            *("Resume outreach:send", "Reopen +15550199", "Reopen news@acme.example", "Pause", "Set"),
        ]
        assert len(page) < 30_000 and SCRIPT not in page


async def test_whatever_is_done_is_in_the_rows_and_in_the_audit_with_who_did_it(
    database: Database, database_url: str, valkey_url: str
) -> None:
    async with place(database, database_url, valkey_url) as p:
        world, sms = p.world, str(p.world.senders["sms"])
        closed = Closure(world.tenant_id, "sms", world.senders["sms"], "unauthorized", None)
        await database.run(lambda tx: closures.close(tx, [closed]))
        said = [
            await p.does("pause", reason=" too many bounces "),
            await p.does("pause"),
            await p.does("pause", queue="outreach:send"),
            await p.does("resume", queue=""),
            await p.does("weight", weight=" 7 "),
            await p.does(
                "limits", channel="email", minute="100", hour="", day="5", was_day="5", concurrent="0"
            ),
            await p.does("limits", channel="sms", sender=sms, day="3"),
            await p.does("limits", channel="email", minute="", was_minute="100"),
            await p.does("limits", channel="email", hour="", day="5", was_day="5"),
            await p.does("reopen", sender=sms),
        ]
        assert said == [
            "Paused in every queue: what runs ends, and what waits stays.",
            "It was paused already.",
            "Paused in outreach:send: what runs ends, and what waits stays.",
            "Resumed in every queue: it goes on within seconds.",
            "Its weight is 7 now.",
            "In force within seconds: minute 100, concurrent 0.",
            "In force within seconds: day 3.",
            "In force within seconds: minute as by default.",
            "Nothing was changed.",
            "Reopened: its waiting sends go on within seconds.",
        ]
        assert [each[1:] for each in await p.noted()] == [
            ("pause", "Acme", {"reason": "too many bounces"}),
            ("pause", "Acme", {"reason": ""}),
            ("pause", "Acme in outreach:send", {"reason": ""}),
            ("resume", "Acme", {}),
            ("tenants.weight", "Acme", {"weight": 7}),
            ("tenants.limits", "Acme/email", {"minute": 100, "concurrent": 0}),
            ("tenants.limits", f"Acme/sms/{sms}", {"day": 3}),
            ("tenants.limits", "Acme/email", {"minute": None}),
            ("senders.reopen", sms, {}),
        ]
        assert {actor for actor, *_ in await p.noted()} == {OPERATOR}
        assert await database.run(pauses.current) == [Pause("outreach:send", world.tenant_id)]
        (tenant,) = await world.run("select weight from tenants where id = :t")
        limits = await world.run('select channel, kind, "limit" from rate_limits order by channel, kind')
        assert tenant["weight"] == 7
        assert [tuple(row.values()) for row in limits] == [("email", "concurrent", 0), ("sms", "day", 3)]
        assert await world.run("select * from closures") == []
        assert (await p.limits())["email all senders together"][3] == "0 its own"


async def test_a_form_for_limits_shows_what_is_in_force_and_what_is_by_default(
    database: Database, database_url: str, valkey_url: str
) -> None:
    async with place(database, database_url, valkey_url) as p:
        news = p.world.senders["email"]
        await limit(p.world, None, minute=50, concurrent=4)
        await limit(p.world, news, minute=60, day=0)
        sender = f"{p.path}/limits?channel=email&sender={news}"
        tenant = (await p.browser.get(f"{p.path}/limits")).text
        assert texts(tenant, r"<label.*?>(.*?)</label>") == [
            "A minute: 50 now, 20 by default",
            "An hour: 1,000 now, 1,000 by default",
            "A day: 10,000 now, 10,000 by default",
            "At once: 4 now, any number by default",
        ]
        page = (await p.browser.get(sender)).text
        assert texts(page, r"<label.*?>(.*?)</label>") == [
            "A minute: 60 now, 50 by default",
            "An hour: 1,000 now, 1,000 by default",
            "A day: 0 now, 10,000 by default",
            "At once: any number now, any number by default",
        ]
        fields = dict(re.findall(r'name="(\w+)"[^>]* value="([^"]*)"', page))
        kinds = {"minute": "60", "hour": "", "day": "0", "concurrent": ""}
        wanted = kinds | {f"was_{kind}": value for kind, value in kinds.items()}
        assert {name: fields[name] for name in wanted} == wanted
        async with serving(settings(database_url)) as pages, pages.browser(VIEWER) as viewer:
            seen = (await viewer.get(sender)).text
        assert texts(seen, r"<dd>(.*?)</dd>")[0] == "60, 50 by default" and "<input id" not in seen


async def test_a_viewer_sees_the_same_and_no_form(
    database: Database, database_url: str, valkey_url: str
) -> None:
    async with place(database, database_url, valkey_url, name=VIEWER) as p:
        await p.dispatch.open()
        await database.run(lambda tx: pauses.add(tx, Pause(None, p.world.tenant_id), "ana@example.org asked"))
        page = (await p.browser.get(p.path)).text
        assert [re.sub(r"since .{19}", "since …", each) for each in await p.holds()] == [
            "The tenant is paused since … UTC: a…@… asked."
        ]
        assert "ana@" not in page + (await p.browser.get(f"{p.path}/live")).text
        assert texts(page, r"<button>(.*?)</button>") == ["Log out"]
        assert "Change limits" not in page
        csrf = await p.browser.csrf("/")
        for act in ("pause", "resume", "weight", "limits", "reopen"):
            answer = await p.browser.post(f"{p.path}/{act}", {"csrf": csrf, "back": p.path, "weight": "5"})
            assert answer.status_code == 403
        assert await p.noted() == []


async def test_senders_are_paged_and_the_part_that_is_live_stays_on_its_page(
    database: Database, database_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenancy, "SENDERS", 2)
    async with place(database, database_url, valkey_url) as p:
        await p.world.run(
            "insert into senders (tenant_id, id, provider_account_id, channel, address)"
            " select tenant_id, :id, provider_account_id, 'email', :address from senders limit 1",
            id=uuid7(),
            address="third@acme.example",
        )
        await p.dispatch.open()
        both = ["email all senders together", "sms all senders together"]
        assert sorted(await p.limits()) == sorted([*both, "news@acme.example", "+15550199"])
        page = (await p.browser.get(p.path)).text
        following = re.search(rf'href="{p.path}\?after=([^"]+)">More senders', page)
        assert following is not None
        for path in (f"{p.path}?after={following[1]}", f"{p.path}/live?after={following[1]}"):
            page = (await p.browser.get(path)).text
            assert "third@acme.example" in page and "news@acme.example" not in page
            assert "More senders" not in page and "First senders" in page
        assert "news@acme.example" in (await p.browser.get(f"{p.path}?after=nonsense")).text


async def test_with_redis_away_the_rows_are_shown_and_can_be_acted_on_and_all_of_it_comes_back(
    valkey: EmbeddedValkey,
    database: Database,
    database_url: str,
    valkey_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tenancy, "_PATIENCE", timedelta(seconds=1))
    async with place(database, database_url, valkey_url) as p:
        await valkey.stop()
        try:
            assert await p.holds() == [
                "Redis does not answer: what is in line, what runs and what limits leave is not known."
            ]
            assert (await p.work())["outreach:send"] == ["not known", "not known", "0", "0", "nothing"]
            assert (await p.limits())["news@acme.example"] == [*email(""), "any number", "not known"]
            assert (await p.does("pause")).startswith("Paused in every queue")
        finally:
            await valkey.start()
        await p.dispatch.open()
        assert len(await p.holds()) == 1
        assert (await p.limits())["news@acme.example"] == [*email("0 of "), "any number", "0"]
