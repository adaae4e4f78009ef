"""What operators find and do on the pages of queues and jobs: rows decide, and pages say what was done."""

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.admin import browsing, bulk, job_acts
from services.admin.watch import Watch
from shared.jobs import job_id
from shared.operate import draining, retrying
from shared.queue.reporting import LogLine, Report, packed_progress
from shared.queue.types import NewJob, Settlement, Verdict
from shared.redis.embedded import EmbeddedValkey
from shared.store.database import Database
from tests.admin import OPERATOR, VIEWER, Browser, Running, serving, settings
from tests.dispatching import Replica, dispatching, limit
from tests.integration.test_admin_jobs import listed
from tests.integration.test_admin_overview import SCRIPT, texts
from tests.journeys import World, graph, send, to
from tests.operating import entries, fail
from tests.pressing import heading, press

HELLO = graph(hello=send(to("done")))
SENDS, TIMEOUTS, WEBHOOKS = "/queues/outreach:send", "/queues/outreach:timeout", "/queues/webhook:process"


@dataclass
class Place:
    """Pages over a world's rows and a dispatcher's queues, and an operator's browser of them."""

    world: World
    dispatch: Replica
    pages: Running
    browser: Browser

    async def page(self, path: str, status: int = 200) -> str:
        answer = await self.browser.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    async def ids(self, path: str) -> list[str]:
        return [cells[0] for cells in await listed(self.browser, path)]

    async def press(self, path: str, back: str = SENDS, **fields: str) -> list[str]:
        return await press(self.browser, back, path, **fields)


@asynccontextmanager
async def place(
    database: Database, database_url: str, valkey_url: str, contacts: int = 1, name: str = OPERATOR
) -> AsyncIterator[Place]:
    """An open queue, a world of so many contacts that nobody has enrolled yet, and pages that saw both."""
    world = await World.create(database, HELLO, contacts=contacts)
    async with (
        dispatching(database, valkey_url) as dispatch,
        serving(settings(database_url, valkey_url)) as pages,
        pages.browser(name) as browser,
    ):
        await dispatch.open()
        watches = pages.admin.watches
        for watch in (watches.queues, watches.rows):
            await _look(watch)
        yield Place(world, dispatch, pages, browser)


async def _look(watch: Watch[Any]) -> None:
    await watch.step()


def job_path(job: str) -> str:
    return f"{SENDS}/job?id={job}"


async def failed(world: World, reason: str = "invalid") -> list[str]:
    """Every contact's send fails; their jobs' ids."""
    await world.enrol()
    for action in await world.actions():
        await fail(world, action, reason)
    return [job_id("send", row["id"], row["g"]) for row in await world.actions()]


async def test_failed_sends_are_listed_by_their_rows_with_whose_they_are_and_searched(
    database: Database, database_url: str, valkey_url: str
) -> None:
    other = await World.create(database, HELLO, contacts=2)
    await other.run("update tenants set name = :name where id = :t", name=SCRIPT)
    await other.run(
        "update senders set address = 'news@example.org' where tenant_id = :t and channel = 'email'"
    )
    async with place(database, database_url, valkey_url, contacts=60) as it:
        mine, theirs = await failed(it.world, "invalid"), await failed(other, "rejected: no")
        path = f"{SENDS}?state=failed"
        assert sorted(await it.ids(path)) == sorted(mine + theirs)
        assert "From the rows: 62 failed sends." in await it.page(path)
        heads = ["Tick", "Job", "Whose", "Failed", "Tries used up", "Why"]
        assert texts(await it.page(path), r"<th scope=.col.>(.*?)</th>") == heads
        wanted = {
            f"&tenant={other.tenant_id}": theirs,
            "&tenant=%3Cscript%3Ealert(%27x%27)%3C/script%3E%26amp;": theirs,
            "&sender=news@example.org": theirs,
            f"&sender={it.world.senders['email']}": mine,
            f"&campaign={other.campaign_id}": theirs,
            "&reason=rejected": theirs,
            f"&tenant={it.world.tenant_id}&reason=rejected": [],
            "&cursor=x": mine[:50],
        }
        for query, ids in wanted.items():
            assert sorted(await it.ids(path + query))[: len(ids)] == sorted(ids), query
        alike = await it.page(f"{path}&sender=us")
        tenants = (it.world.tenant_id, it.world.tenant_id, other.tenant_id)
        assert sorted(re.findall(r"state=failed&amp;tenant=([^&]+)&amp;sender=", alike)) == sorted(
            map(str, tenants)
        )
        assert await it.press(f"{SENDS}/all", act="retry", state="failed", sender="us") == [
            "Several senders are named so: choose one of them."
        ]
        page = await it.page(path + "&reason=rejected")
        assert SCRIPT not in page and "From the rows: 2 failed sends of these." in page
        assert texts(page, r'<a href="/tenants/[^"]+">(.*?)</a>') == [SCRIPT] * 2
        for query, why in {
            "&tenant=none": "There is no tenant named 'none'.",
            "&sender=none": "There is no sender 'none'.",
            "&campaign=none": "A campaign is named by its id here: its page shows it.",
            f"&tenant={'x' * 513}": "There is nobody with such a name.",
        }.items():
            assert texts(await it.page(path + query, 404), r'<p class="banner" role="alert">(.*?)</p>') == [
                why
            ]


async def test_what_waits_is_found_by_its_tenants_senders_in_the_order_it_starts_in(
    database: Database, database_url: str, valkey_url: str
) -> None:
    async with place(database, database_url, valkey_url, contacts=70) as it:
        await it.world.enrol()
        await it.dispatch.send_round()
        tenant, sender = it.world.tenant_id, it.world.senders["email"]
        page = await it.page(f"{SENDS}?tenant={tenant}")
        assert texts(page, r"<tr><td>(.*?)</tr>") == [f"email: us {tenant} 70", f"sms: us {tenant} 0"]
        ids = await it.ids(f"{SENDS}?tenant={tenant}&sender={sender}")
        waiting = [job.id for job in await it.dispatch.claim(50)]
        assert (len(ids), ids[: len(waiting)]) == (70, waiting)
        assert sorted(await it.ids(f"{SENDS}?state=active&tenant={tenant}")) == sorted(waiting)
        assert await it.ids(f"{SENDS}?state=active&sender={it.world.senders['sms']}") == []
        lane = str(tenant)
        await it.dispatch.timeouts.enqueue([NewJob("t", lane, b"{}"), NewJob("u", "another", b"{}")])
        assert await it.ids(f"{TIMEOUTS}?tenant={tenant}") == ["t"]


async def test_a_queue_whose_lanes_are_all_parked_is_not_told_to_be_empty(
    database: Database, database_url: str, valkey_url: str
) -> None:
    async with place(database, database_url, valkey_url, contacts=5) as it:
        await limit(it.world, minute=2)
        await it.world.enrol(it.world.contacts)
        await it.dispatch.send_round()
        await it.dispatch.configuration.refresh()
        await it.dispatch.claim(5)
        await _look(it.pages.admin.watches.queues)
        told = "What is in line may not start yet."
        assert told + " 1 parked lane." in texts(await it.page(SENDS), '<p class="glance">(.*?)</p>')[0]
        overview = texts(await it.page("/live"), r"<p>(.*?)</p>")
        assert [each.rpartition(". ")[0] + "." for each in overview[-4:-1]] == [
            "Nobody is in line.",
            told,
            "Nobody is in line.",
        ]


async def test_ticked_jobs_are_acted_on_after_a_question_and_the_page_says_what_became_of_each(
    database: Database, database_url: str, valkey_url: str
) -> None:
    async with place(database, database_url, valkey_url, contacts=4) as it:
        one, two, three, four = await failed(it.world)
        ticked = {f"row{n}": job for n, job in enumerate((one, two, three), start=1)}
        path, back = f"{SENDS}/ticked", f"{SENDS}?state=failed"
        assert await it.press(path, back, act="retry", **ticked) == [
            "No job is ticked: tick some, or all on the page."
        ]
        assert await it.press(path, back, act="retry", **ticked, tick1="yes", tick3="yes") == [
            "Retry 2 jobs?",
            "2 jobs retried.",
        ]
        assert await it.ids(back) == [two, four]
        assert await it.press(path, back, act="retry", **ticked, page="yes") == [
            "Retry 3 jobs?",
            f"1 job retried. 2 refused: {one}: The job moved on: it is {one[:-1]}1 now. (and 1 more)",
        ]
        assert await it.press(path, back, act="none", **ticked, page="yes") == [
            "There is no such act: load the page again."
        ]
        await it.dispatch.send_round()
        assert await it.press(path, act="remove", row1=f"{two[:-1]}1", tick1="yes") == [
            "Remove 1 job? Their contacts take the failed edge.",
            "1 job removed.",
        ]
        assert [(action, count) for action, _, _, count in await entries(database)] == [
            *[("jobs.retry", 1)] * 3,
            ("jobs.remove", 1),
        ]


async def test_all_failed_sends_that_match_are_retried_some_seconds_a_click_with_what_is_left(
    database: Database, database_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "WITHIN", timedelta(0))
    monkeypatch.setattr(retrying, "PAGE", 2)
    other = await World.create(database, HELLO, contacts=1)
    async with place(database, database_url, valkey_url, contacts=5) as it:
        await failed(it.world)
        (theirs,) = await failed(other)
        await it.world.run(
            "update scheduled_actions set reason = 'unconfirmed' where tenant_id = :t and id ="
            " (select id from scheduled_actions where tenant_id = :t order by id limit 1)"
        )
        tenant = str(it.world.tenant_id)
        for act, state in (("remove", "failed"), ("retry", "delayed"), ("", "failed"), ("retry", "none")):
            [refused] = await it.press(f"{SENDS}/all", act=act, state=state, tenant=tenant)
            assert refused.startswith("There is no such ") and refused.endswith(": load the page again.")
        told = await it.press(f"{SENDS}/all", act="retry", state="failed", tenant=tenant)
        assert told == [
            "Retry 4 failed sends? Their contacts go back to where they were, if led nowhere since.",
            "1 send waits again. Left: 3 failed sends. Go on?",
            "3 sends wait again. Left: 1 failed send. Go on?",
            "4 sends wait again.",
        ]
        assert sorted(await it.ids(f"{SENDS}?state=failed")) == sorted(
            [theirs, job_id("send", (await it.world.actions())[0]["id"], 0)]
        ), "not what may have gone out, and nobody else's"
        assert [count for *_, count in await entries(database)] == [1, 2, 1]


async def test_delayed_jobs_are_promoted_or_removed_all_at_once_some_hundred_a_click(
    database: Database, database_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_acts, "_AT_ONCE", 2)
    async with place(database, database_url, valkey_url, contacts=3) as it:
        await it.world.enrol()
        await it.dispatch.send_round()
        later = datetime.now(UTC) + timedelta(hours=1)
        put_off = [
            Settlement(job, Verdict.DEFERRED, at_ms=int(later.timestamp() * 1000))
            for job in await it.dispatch.claim()
        ]
        await it.dispatch.sends.settle(0, put_off)
        form = {
            "state": "delayed",
            "tenant": str(it.world.tenant_id),
            "sender": str(it.world.senders["email"]),
        }
        assert await it.press(f"{SENDS}/all", act="promote", **form) == [
            "Promote the first 2 jobs?",
            "2 jobs promoted. There are more. Go on?",
            "1 job promoted.",
        ]
        assert await it.press(f"{SENDS}/all", act="promote", **form) == ["There is no such job any more."]
        counts = await it.dispatch.sends.counts(0)
        assert (counts.waiting, counts.delayed) == (3, 0)
        assert await it.press(f"{SENDS}/all", act="remove", **{**form, "state": "waiting"}) == [
            "Remove the first 2 jobs? Their contacts take the failed edge.",
            "2 jobs removed. There are more. Go on?",
            "1 job removed.",
        ]
        assert {row["status"] for row in await it.world.actions()} == {"cancelled"}


async def test_a_job_is_shown_with_its_row_its_attempts_its_limits_and_what_holds_it_back(
    database: Database, database_url: str, valkey_url: str
) -> None:
    async with place(database, database_url, valkey_url, contacts=2) as it:
        await limit(it.world, minute=1)
        await it.dispatch.configuration.refresh()
        await it.world.enrol()
        await it.dispatch.send_round()
        (claimed,) = await it.dispatch.claim()
        tenant, contact = it.world.tenant_id, (await it.world.actions())[0]["contact_id"]
        await it.world.run(
            "insert into attempts (tenant_id, action_id, g, sender_id, channel, cost, charged_at,"
            " submitted_at, outcome, reason, ended_at)"
            " values (:t, :id, 0, :sender, 'email', 1, now(), now(), 'rejected',"
            " 'no such box: ana@example.org', now())",
            id=claimed.id.split(":")[1],
            sender=it.world.senders["email"],
        )
        active = await it.page(job_path(claimed.id))
        assert "Redis" not in texts(active, r"<dd>(.*?)</dd>")
        for link in (
            f"/tenants/{tenant}",
            f"/campaigns/{tenant}/{it.world.campaign_id}",
            f"/contacts/{tenant}/",
        ):
            assert f'href="{link}' in active
        [lease] = [fact for fact in texts(active, r"<dd>(.*?)</dd>") if fact.startswith("under token 1-")]
        assert re.fullmatch(r"under token 1-\d+ since 20.{21}, .+ ago, until 20.{21}, in \d+ s", lease)
        attempts = [row for row in texts(active, r"<tr>(<td>.*?)</tr>") if "rejected" in row]
        assert len(attempts) == 1 and "no such box: ana@example.org" in attempts[0]
        assert "Why it waits" not in active

        (second,) = [
            job_id("send", row["id"], 0) for row in await it.world.actions() if row["contact_id"] != contact
        ]
        waiting = await it.page(job_path(second))
        why = texts(waiting, r"<li>(.*?)</li>")
        assert [re.sub(r"20.*", "then", each) for each in why] == [
            "No worker of its queue was seen lately.",
            "Its tenant's email has used 1 of 1 in 1 min; the first of that is free at then",
            "Its sender has used 1 of 1 in 1 min; the first of that is free at then",
        ]
        limits = [row.partition(" 20")[0] for row in texts(waiting, r"<tr>(<td>.*?)</tr>")]
        assert limits == [
            "Its tenant's email 1 min 1 of 1",
            "Its tenant's email 1 h 1 of 1,000",
            "Its tenant's email 1 d 1 of 10,000",
            "Its sender 1 min 1 of 1",
            "Its sender 1 h 1 of 1,000",
            "Its sender 1 d 1 of 10,000",
        ]
        async with it.pages.browser(VIEWER) as viewer:
            page = (await viewer.get(job_path(claimed.id))).text
            assert "no such box: a…@…" in page and "ana@" not in page
            for path in (job_path(claimed.id), SENDS, f"{SENDS}?state=active", "/"):
                forms = re.findall(r'method="post" action="([^"]+)"', (await viewer.get(path)).text)
                assert forms == ["/logout"], path
            assert "Stop and go" not in (await viewer.get("/")).text


async def test_one_job_is_retried_promoted_removed_and_cancelled_by_its_page(
    database: Database, database_url: str, valkey_url: str
) -> None:
    async with place(database, database_url, valkey_url, contacts=3) as it:
        one, two, three = await failed(it.world)
        await it.world.set_action((await it.world.actions())[0]["id"], reason="unconfirmed")
        page = await it.page(job_path(one))
        assert "not in Redis" in page and "failed: unconfirmed" in page
        path = f"{SENDS}/job"
        assert await it.press(path, job_path(one), act="retry", id=one, unconfirmed="yes") == [
            "It may have been sent: nobody knows. Retry it, though it may arrive twice?",
            "It waits again, under this id.",
        ]
        assert await it.press(path, job_path(two), act="retry", id=two) == ["It waits again, under this id."]
        assert await it.press(path, SENDS, act="retry", id=three) == ["It waits again, under this id."]
        gone = await it.page(job_path(two), 404)
        assert heading(gone) == "There is no such job" and f"{two[:-1]}1" in gone
        await it.dispatch.send_round()
        first, second, third = (f"{job[:-1]}1" for job in (one, two, three))
        claimed = {job.id: job for job in await it.dispatch.claim()}
        at = int((datetime.now(UTC) + timedelta(hours=1)).timestamp() * 1000)
        await it.dispatch.sends.settle(
            0,
            [
                Settlement(claimed[first], Verdict.DEFERRED, at_ms=at),
                Settlement(claimed[second], Verdict.RELEASED),
            ],
        )
        assert await it.press(path, job_path(first), act="promote", id=first) == [
            "It need not wait for its time any more."
        ]
        assert await it.press(path, job_path(first), act="promote", id=first) == [
            "It is not delayed: it is waiting."
        ]
        assert await it.press(path, SENDS, act="remove", id=third) == [
            "Remove this job? Their contacts take the failed edge.",
            "A worker holds it: cancel it instead.",
        ]
        assert await it.press(path, SENDS, act="cancel", id=third) == [
            "Cancel this job? Their contacts take the failed edge.",
            "The job is cancelled.",
        ]
        assert await it.press(path, SENDS, act="remove", id=second) == [
            "Remove this job? Their contacts take the failed edge.",
            "The job is removed.",
        ]
        assert [row["status"] for row in await it.world.actions()] == ["enqueued", "cancelled", "cancelled"]
        assert [action for action, *_ in await entries(database)] == [
            *["jobs.retry"] * 3,
            "jobs.promote",
            "jobs.cancel",
            "jobs.remove",
        ]


async def test_a_row_that_waits_says_for_what_and_offers_what_its_row_allows(
    database: Database, database_url: str, valkey_url: str
) -> None:
    async with place(database, database_url, valkey_url) as it:
        await it.world.enrol()
        (action,) = await it.world.actions()
        job = job_id("send", action["id"], 0)

        async def told() -> tuple[list[str], list[str]]:
            page = await it.page(job_path(job))
            offered = re.findall(r'name="act" value="(\w+)"', page)
            return offered, [each.partition(" 20")[0] for each in texts(page, r"<li>(.*?)</li>")]

        assert await told() == (["remove"], ["It is due since"])
        await it.world.set_action(action["id"], due_at=datetime.now(UTC) + timedelta(hours=1))
        await it.press("/pauses", queue="outreach:send")
        assert await told() == (["promote", "remove"], ["Its queue is paused since", "It is due at"])
        await it.world.set_action(action["id"], status="held")
        assert await told() == (
            ["remove"],
            ["A pause holds it: of its queue, its tenant, its campaign or its enrolment."],
        )
        for status in ("accepted", "cancelled", "unknown", "submitting", "skipped"):
            await it.world.set_action(action["id"], status=status)
            assert await told() == ([], []), status


async def test_a_queue_or_everything_is_paused_and_resumed_and_the_pages_say_so_at_once(
    database: Database, database_url: str, valkey_url: str
) -> None:
    async with place(database, database_url, valkey_url) as it:
        assert await it.press("/pauses", queue="outreach:send", reason=SCRIPT) == ["outreach:send is paused."]
        page = await it.page(SENDS)
        assert SCRIPT not in page and "outreach:send is paused since 20" in page
        assert await it.press("/pauses", queue="outreach:send") == ["outreach:send was paused already."]
        assert await it.press("/pauses", "/", queue="") == [
            "Pause everything? What runs ends; nothing is sent or processed until it is resumed.",
            "Everything is paused.",
        ]
        for path in (SENDS, WEBHOOKS, "/"):
            assert "Everything is paused since 20" in await it.page(path)
        assert await it.press("/pauses/lift", WEBHOOKS, queue="") == ["Everything goes on."]
        assert await it.press("/pauses/lift", "/", queue="outreach:send") == ["outreach:send goes on."]
        assert "is paused since" not in await it.page(SENDS) + await it.page("/")
        for path in ("/pauses", "/pauses/lift"):
            answer = await it.browser.post(path, {"csrf": await it.browser.csrf("/"), "queue": "none"})
            assert answer.status_code == 404
        assert await it.press("/pauses", queue="outreach:send", reason="x" * 501) == [
            "A reason has at most 500 characters."
        ]
        assert [(action, target) for action, target, *_ in await entries(database)] == [
            ("pause", "outreach:send"),
            ("pause", "outreach:send"),
            ("pause", "everything"),
            ("resume", "everything"),
            ("resume", "outreach:send"),
        ]


async def test_a_job_tells_how_far_its_worker_is_and_that_it_was_told_to_stop(
    database: Database, database_url: str, valkey_url: str
) -> None:
    async with place(database, database_url, valkey_url, contacts=2) as it:
        await it.world.enrol()
        await it.dispatch.send_round()
        one, two = await it.dispatch.claim()
        lines = [LogLine(one.claimed_ms, f"{SCRIPT} to ana@example.org")]
        await it.dispatch.sends.report(
            0,
            [
                Report(one, packed_progress(0.5), lines),
                Report(two, packed_progress({"to": "ana@example.org"})),
            ],
        )
        page = await it.page(job_path(one.id))
        assert "50 % done." in page and SCRIPT not in page
        assert texts(page, r"<tr>(<td>20.*?)</tr>")[-1].endswith(f"UTC {SCRIPT} to ana@example.org")
        assert 'Progress: {"to": "ana@example.org"}' in html.unescape(await it.page(job_path(two.id)))
        async with it.pages.browser(VIEWER) as viewer:
            for job in (one, two):
                page = (await viewer.get(job_path(job.id))).text
                assert "ana@" not in page and "a…@…" in page
        await it.dispatch.sends.cancel(0, [one.id])
        assert "active, told to stop" in texts(await it.page(job_path(one.id)), r"<dd>(.*?)</dd>")


async def test_a_job_in_line_is_given_another_priority(
    database: Database, database_url: str, valkey_url: str
) -> None:
    async with place(database, database_url, valkey_url, contacts=2) as it:
        await it.world.enrol()
        await it.dispatch.send_round()
        one, two = await it.ids(f"{SENDS}?sender={it.world.senders['email']}")
        assert re.findall(r'<option value="(\d)">', await it.page(job_path(two))) == ["0", "2", "3"]
        form = {"act": "reprioritise", "id": two}
        path = f"{SENDS}/job"
        assert await it.press(path, job_path(two), priority="0", **form) == [
            "Its priority is 0 now: it stands at the end of its like."
        ]
        assert await it.ids(f"{SENDS}?sender={it.world.senders['email']}") == [two, one]
        for wrong in ("4", "x", ""):
            assert await it.press(path, job_path(two), priority=wrong, **form) == [
                "A priority is from 0, the first to run, to 3."
            ]


async def test_what_waits_is_drained_of_a_tenant_or_of_all_some_seconds_a_click(
    database: Database, database_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "WITHIN", timedelta(0))
    monkeypatch.setattr(draining, "PAGE", 2)
    other = await World.create(database, HELLO, contacts=2)
    async with place(database, database_url, valkey_url, contacts=3) as it:
        await it.world.enrol()
        await other.enrol()
        await it.dispatch.send_round()
        tenant = str(it.world.tenant_id)
        assert await it.press(f"{SENDS}/drain", tenant=tenant) == [
            f"Drain? All that of {tenant} waits in outreach:send, or was due for it, ends."
            " Their contacts take the failed edge.",
            "2 jobs ended. There may be more. Go on?",
            "3 jobs ended. There may be more. Go on?",
            "3 jobs ended.",
        ]
        assert {row["status"] for row in await it.world.actions()} == {"cancelled"}
        assert (await it.dispatch.sends.counts(0)).waiting == 2
        await it.pages.admin.watches.queues.step()
        told = await it.press(f"{SENDS}/drain", tenant="")
        assert told[0].startswith("Drain? All that waits in outreach:send (2 jobs), or was due for it, ends.")
        assert told[-1] == "2 jobs ended."
        assert {row["status"] for row in await other.actions()} == {"cancelled"}


async def test_a_tenant_whose_sends_fail_just_now_is_named_and_leads_to_them(
    database: Database, database_url: str, valkey_url: str
) -> None:
    fine = await World.create(database, HELLO, contacts=12)
    async with place(database, database_url, valkey_url, contacts=6) as it:
        attempted = (
            "insert into attempts"
            " (tenant_id, action_id, g, channel, sender_id, cost, charged_at, submitted_at, outcome)"
            " select tenant_id, id, 0, 'email', sender_id, 1, now() - make_interval(mins => :ago), now(),"
            " case when status = 'failed' then 'rejected' else 'accepted' end from scheduled_actions"
            " where tenant_id = :t"
        )
        await failed(it.world)
        await fine.enrol()
        for action in (await fine.actions())[:5]:
            await fail(fine, action)
        await fine.run(attempted, ago=1)
        watch = it.pages.admin.watches.failing
        await it.world.run(attempted, ago=16)
        await watch.step()
        assert watch.view.seen == [], "five of twelve are few, and what was long ago is over"
        await it.world.run("update attempts set charged_at = now() where tenant_id = :t")
        await watch.step()
        [(link, told)] = re.findall(r'href="([^"]+)">([^<]+ not accepted\.)<', await it.page("/"))
        assert told == f"{it.world.tenant_id}: 6 of its last 6 sends were not accepted."
        assert len(await it.ids(link.replace("&amp;", "&"))) == 6


async def test_a_redis_that_is_away_hides_no_job_that_has_a_row(
    database: Database,
    database_url: str,
    valkey: EmbeddedValkey,
    valkey_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(browsing, "_PATIENCE", timedelta(seconds=1))
    async with place(database, database_url, valkey_url) as it:
        (one,) = await failed(it.world)
        await valkey.stop()
        try:
            page = await it.page(job_path(one))
            assert "Redis does not answer: this is what the rows say." in page and "failed: invalid" in page
            assert await it.ids(f"{SENDS}?state=failed") == [one]
        finally:
            await valkey.start()
