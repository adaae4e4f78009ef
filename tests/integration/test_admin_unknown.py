"""The page of sends whose outcome nobody knows: whose, since when, why, and what ends that."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.admin import unknown
from shared.settings import SendSettings
from shared.store.database import Database
from tests.admin import VIEWER, serving, settings
from tests.integration.test_admin_deliveries import following, rows
from tests.integration.test_admin_overview import SCRIPT, texts
from tests.journeys import World, graph, mail_event, send, to

HELLO = graph(hello=send(to("done")))
AT = datetime(2026, 1, 31, 3, tzinfo=UTC)


async def lost(database: Database, contacts: int, reason: str | None = None) -> tuple[World, list[str]]:
    """A tenant whose sends are all unknown, one a minute; and their jobs, the oldest first."""
    world = await World.create(database, HELLO, contacts=contacts)
    await world.enrol()
    actions = await world.actions(kind="send")
    for n, action in enumerate(actions):
        await world.set_action(
            action["id"],
            status="unknown",
            status_at=AT + timedelta(minutes=n),
            reason=reason,
            recipient=f"{action['contact_id']}@example.org",
        )
    return world, [f"send:{action['id']}:{action['g']}" for action in actions]


async def jobs(browser: Any, path: str) -> list[str]:
    """The jobs listed on all pages."""
    found: list[str] = []
    at: str | None = path
    while at is not None:
        page = (await browser.get(at)).text
        found += [row.split(" ")[0] for row in rows(page)]
        at = following(page)
    return found


async def test_each_unknown_send_tells_whose_it_is_why_and_what_ends_it(
    database: Database, database_url: str
) -> None:
    keeping, kept = await lost(database, 1, f"{SCRIPT} to ana@example.org")
    failing, ends = await lost(database, 1, "worker_lost")
    await keeping.run("update tenants set unknown_policy = 'keep' where id = :t")
    chosen = settings(database_url, sends=SendSettings(unknown_window=timedelta(hours=6)))
    async with serving(chosen) as pages, pages.browser(VIEWER) as browser:
        page = (await browser.get("/unknown")).text
        assert rows(page) == [
            f"{kept[0]} {keeping.tenant_id} email: us 2026-01-31 03:00:00 UTC {SCRIPT} to a…@…"
            " by a webhook alone",
            f"{ends[0]} {failing.tenant_id} email: us 2026-01-31 03:00:00 UTC its worker was lost while the"
            " provider had it by a webhook, or failed 2026-01-31 09:00:00 UTC",
        ]
        assert texts(page, r'<h2 id="sends">(.*?)</h2>') == ["2 sends of everybody"]
        assert "The tenant's policy, 6 h after it became unknown" in texts(page, r"<li>(.*?)</li>")[2]
        assert SCRIPT not in page
        (action,) = await failing.actions(kind="send")
        await failing.happens(mail_event("delivered", action, AT))
        page = (await browser.get(f"/unknown?tenant={failing.tenant_id}")).text
        assert (rows(page), "Every send&#39;s outcome is known." in page) == ([], True)


async def test_unknown_sends_are_paged_by_tenant_and_sender_the_oldest_first(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [await lost(database, 4) for _ in range(2)]
    everything = [job for _, listed in made for job in listed]
    async with serving(settings(database_url)) as pages, pages.browser(VIEWER) as browser:
        for limit in (1, 3, 8):
            monkeypatch.setattr(unknown, "LIMIT", limit)
            assert await jobs(browser, "/unknown") == everything
            assert await jobs(browser, f"/unknown?tenant={made[1][0].tenant_id}") == made[1][1]
