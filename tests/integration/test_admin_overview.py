"""What the overview tells of real queues and rows, and of servers that are away."""

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from services.admin import watch
from shared.jobs import QUEUES, SENDS
from shared.queue.queue import Queue
from shared.queue.types import NewJob, Settlement, Verdict
from shared.redis.client import connect
from shared.redis.embedded import EmbeddedValkey
from shared.settings import RedisSettings
from shared.store import closures, pauses
from shared.store.closures import Closure
from shared.store.database import Database
from shared.store.embedded import EmbeddedPostgres
from shared.store.pauses import Pause
from tests.admin import OPERATOR, VIEWER, Running, serving, settings
from tests.gateway import eventually
from tests.journeys import World, graph, send, to

HELLO = graph(hello=send(to("done")))
SCRIPT = "<script>alert('x')</script>&amp;"


def texts(page: str, pattern: str) -> list[str]:
    """The texts of elements, as a person reads them."""
    found = re.findall(pattern, page, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", each)).split()) for each in found]


def facts(page: str) -> dict[str, Any]:
    """What the page tells."""
    return {
        "attention": texts(page, r"<li>(.*?)</li>"),
        "fine": "Nothing needs attention." in page,
        "counts": [
            dict(zip(*[iter(texts(each, r"<d[td]>(.*?)</d[td]>"))] * 2, strict=True))
            for each in re.findall(r"<dl.*?</dl>", page, re.DOTALL)
        ],
        "rows": texts(page, r"<tr><td>(.*?)</tr>"),
    }


NOTHING = dict.fromkeys(("waiting", "delayed", "active", "completed", "failed", "parked lanes"), "0")


async def opened(redis: Any) -> dict[str, Queue]:
    """The three queues, open."""
    queues = {name: Queue(redis, spec, prefix="outreach") for name, spec in QUEUES.items()}
    for queue in queues.values():
        await queue.begin_opening(0, 1)
        await queue.open(0, 1)
    return queues


async def live(pages: Running, name: str = VIEWER) -> dict[str, Any]:
    async with pages.browser(name) as browser:
        return facts((await browser.get("/live")).text)


async def comes_to_show(pages: Running, expected: dict[str, Any]) -> None:
    """The page gets there by itself."""
    async with pages.browser(OPERATOR) as browser:
        seen: dict[str, Any] = {}

        async def shows() -> bool:
            nonlocal seen
            seen = facts((await browser.get("/live")).text)
            return {name: seen[name] for name in expected} == expected

        try:
            await eventually(shows)
        except TimeoutError:
            assert seen == expected


async def test_quiet_queues_need_nobody_and_say_so_in_a_sentence(valkey_url: str, database_url: str) -> None:
    async with (
        connect(RedisSettings(url=SecretStr(valkey_url)), role="test") as redis,
        serving(settings(database_url, valkey_url)) as pages,
    ):
        await opened(redis)
        nothing = {"attention": [], "fine": True, "counts": [NOTHING] * 3, "rows": []}
        await comes_to_show(pages, nothing)
        async with pages.browser(VIEWER) as browser:
            page = (await browser.get("/")).text
        assert facts(page) == nothing
        assert texts(page, r"<h2.*?</h2>") == ["Needs attention", *QUEUES, "Workers"]
        assert page.count("Nobody is in line.") == 3


async def test_depths_by_state_workers_and_rates_are_shown(valkey_url: str, database_url: str) -> None:
    url = RedisSettings(url=SecretStr(valkey_url))
    async with (
        connect(url, role="test") as redis,
        serving(settings(database_url, valkey_url)) as pages,
    ):
        queue = (await opened(redis))[SENDS.name]
        await queue.beat("pod-1.7.beef", 3, 0)
        await queue.beat("pod-0.7.cafe", 3, 0)
        await queue.enqueue([NewJob(f"j{n}", "tenant/email/sender", b"{}") for n in range(1_010)])
        await queue.enqueue([NewJob("later", "tenant/email/sender", b"{}", delay=timedelta(hours=1))])
        claimed = (await queue.claim(0, 9)).jobs
        await queue.settle(0, [Settlement(each, Verdict.COMPLETED) for each in claimed[:5]])
        await queue.settle(0, [Settlement(each, Verdict.FAILED, reason="why") for each in claimed[5:7]])
        counts = {
            "waiting": "1,001",
            "delayed": "1",
            "active": "2",
            "completed": "5",
            "failed": "2",
            "parked lanes": "0",
        }
        await comes_to_show(pages, {"attention": [], "fine": True, "counts": [NOTHING, counts, NOTHING]})
        async with pages.browser(VIEWER) as browser:
            page = (await browser.get("/live")).text
        assert [re.sub(r"[\d.]+ (ms|s) ago", "just now", row) for row in facts(page)["rows"]] == [
            "outreach:send pod-0.7.cafe just now",
            "outreach:send pod-1.7.beef just now",
        ]
        assert texts(page, r"\d workers?\.") == ["0 workers.", "2 workers.", "0 workers."]
        assert re.search(r'aria-label="Jobs ended: 0\.7 a second now, 0\.7 a second at most"', page)


async def test_whatever_stands_still_is_told_with_why_and_shown_as_text(
    valkey_url: str, database_url: str, database: Database
) -> None:
    world = await World.create(database, HELLO)
    await world.run("update tenants set name = :name where id = :t", name=SCRIPT + "x" * 2_000)
    sender = world.senders["email"]
    await world.run("update senders set address = :a where id = :id", a=f"{SCRIPT}@us", id=sender)
    until = datetime(2100, 1, 1, tzinfo=UTC)

    async def stop(tx: Any) -> None:
        await closures.close(tx, [Closure(world.tenant_id, "email", sender, "unauthorized", None)])
        await closures.close(
            tx, [Closure(world.tenant_id, "sms", world.senders["sms"], "rate_limited", until)]
        )
        await pauses.add(tx, Pause(SENDS.name, None), SCRIPT + "y" * 1_048_576)
        await pauses.add(tx, Pause("outreach:timeout", None), "ana@example.org asked")
        await pauses.add(tx, Pause(None, world.tenant_id))

    await database.run(stop)
    await world.run("update gateway_beats set at = now() - interval '1 hour'")
    await world.run("insert into queues (name, partitions) values ('outreach:send', 4)")
    async with serving(settings(database_url, valkey_url)) as pages:
        name = SCRIPT + "x" * (80 - len(SCRIPT)) + "… (420 characters more)"
        closed = [
            f"{each} is closed in 1 partition: dispatch opens it within seconds; look at dispatch's log"
            " if it stays so."
            for each in QUEUES
        ]
        why = "y" * (200 - len(SCRIPT)) + "… (300 characters more)"
        attention = [
            *closed,
            "outreach:send has 4 partitions, and this page looks at 1: start the admin service with"
            " QUEUE_PARTITIONS=4.",
            f"outreach:send is paused for every tenant ({SCRIPT}{why}).",
            "outreach:timeout is paused for every tenant (ana@example.org asked).",
            f"every queue is paused for {name}.",
            f"{SCRIPT}@us of {name} is closed (unauthorized) until somebody reopens it.",
            "No gateway has served for 1 h: providers cannot post to us.",
        ]
        rows = [
            f"{name} email: {SCRIPT}@us unauthorized reopened",
            f"{name} sms: us rate_limited 2100-01-01 00:00:00 UTC",
        ]
        shown = {"attention": attention, "fine": False, "counts": [NOTHING] * 3, "rows": rows}
        await comes_to_show(pages, shown)
        masked = [each.replace("ana@example.org", "a…@…") for each in attention]
        assert await live(pages) == {**shown, "attention": masked}
        async with pages.browser(VIEWER) as browser:
            page = (await browser.get("/")).text
        tenant = f"/tenants/{world.tenant_id}"
        places = ["/queues/outreach%3Asend", "/queues/outreach%3Atimeout", tenant, tenant]
        assert re.findall(r'<li><a id="[^"]+" href="([^"]+)"', page) == places
        assert re.findall(r'<td><a id="[^"]+" href="([^"]+)"', page) == [tenant, tenant]
        assert len(page) < 30_000
        assert SCRIPT not in page


async def test_work_that_nobody_does_is_told(valkey_url: str, database_url: str, database: Database) -> None:
    world = await World.create(database, HELLO, contacts=3)
    await world.enrol(world.contacts)
    await world.run("update scheduled_actions set status = 'unknown' where tenant_id = :t")
    for state, age in (("received", 61), ("received", 1), ("parked", 1), ("processed", 100)):
        await world.run(
            "insert into deliveries (tenant_id, id, endpoint_id, provider, headers, body, state, received_at)"
            " values (:t, gen_random_uuid(), gen_random_uuid(), 'sendgrid', '{}', '', :state,"
            " now() - make_interval(secs => :age))",
            state=state,
            age=age,
        )
    async with (
        connect(RedisSettings(url=SecretStr(valkey_url)), role="test") as redis,
        serving(settings(database_url, valkey_url)) as pages,
    ):
        queue = (await opened(redis))[SENDS.name]
        await queue.enqueue([NewJob("one", str(UUID(int=0)), b"{}")])
        await comes_to_show(
            pages,
            {
                "attention": [
                    "outreach:send has 1 job waiting, and no worker is there.",
                    "3 sends without a known outcome: a webhook, or the tenant's policy, ends that.",
                    "1 webhook delivery waiting for over a minute.",
                    "1 webhook delivery parked: their events match no send yet.",
                ],
                "fine": False,
            },
        )
        async with pages.browser(VIEWER) as browser:
            links = re.findall(r'<li><a id="[^"]+" href="([^"]+)">', (await browser.get("/live")).text)
            assert links == [
                "/queues/outreach%3Asend",
                "/unknown",
                "/deliveries?state=received",
                "/deliveries?state=parked",
            ]
            assert [(await browser.get(link)).status_code for link in links] == [200] * 4


@pytest.mark.timeout(180)
async def test_servers_that_went_away_are_named_with_the_last_figures_and_come_back_by_themselves(
    valkey: EmbeddedValkey,
    valkey_url: str,
    postgres: EmbeddedPostgres,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "_PATIENCE", timedelta(seconds=1.5))

    async def open_all() -> None:
        async with connect(RedisSettings(url=SecretStr(valkey_url)), role="test") as redis:
            await opened(redis)

    fine = {"attention": [], "fine": True, "counts": [NOTHING] * 3}
    async with serving(settings(database_url, valkey_url)) as pages, pages.browser(VIEWER) as browser:
        await open_all()
        await comes_to_show(pages, fine)
        await valkey.stop()
        await postgres.stop()
        try:

            async def told() -> bool:
                said = facts((await browser.get("/live")).text)["attention"]
                return len(said) == 2

            await eventually(told)
            answer = await browser.get("/")
            seen = facts(answer.text)
            assert (answer.status_code, seen["counts"], seen["fine"]) == (200, [NOTHING] * 3, False)
            for server, sentence in zip(("Redis", "Postgres"), seen["attention"], strict=True):
                assert re.fullmatch(
                    rf"{server} has not answered for \d+ s: figures of it are as old\.", sentence
                )
        finally:
            await valkey.start()
            await postgres.start()
        await open_all()
        await comes_to_show(pages, fine)


async def test_pages_that_never_saw_a_server_say_so() -> None:
    async with serving(settings()) as pages, pages.browser(VIEWER) as browser:
        page = (await browser.get("/")).text
        assert "Looking for the first time." in page
        assert "The queues were not seen since this service started." in page
        assert facts(page) == {"attention": [], "fine": False, "counts": [], "rows": []}
