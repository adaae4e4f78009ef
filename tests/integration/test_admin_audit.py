"""The page of the audit: who did what and when, found by tenant, by who did it and by what was done."""

import pytest

from services.admin import trail
from shared.store import audit, tenants
from shared.store.audit import Entry, Via
from shared.store.database import Database
from shared.store.ids import uuid7
from tests.admin import VIEWER, serving, settings
from tests.integration.test_admin_deliveries import following, rows
from tests.integration.test_admin_overview import SCRIPT

GONE = uuid7()


async def noted(database: Database) -> None:
    """Five entries, the second of a tenant, the last of one that is gone."""
    acme = await database.run(lambda tx: tenants.create(tx, "acme & sons"))
    done = [
        Entry("ana", Via.CLI, "pause", "everything", detail={"reason": f"{SCRIPT} ana@example.org"}),
        Entry("bob@x.example", Via.PAGE, "tenants.weight", "acme & sons", acme, detail={"weight": 3}),
        Entry("ana", Via.CLI, "jobs.retry", "outreach:send", count=12_345, detail={"long": "y" * 5_000}),
        Entry("ana", Via.PAGE, "jobs.retry", "x" * 5_000),
        Entry("bob@x.example", Via.CLI, "pause", "gone", GONE),
    ]
    for entry in done:
        await database.run(lambda tx, entry=entry: audit.add(tx, entry))  # type: ignore[misc]  # its default


async def test_the_audit_tells_who_did_what_and_when_the_latest_first(
    database: Database, database_url: str
) -> None:
    await noted(database)
    async with serving(settings(database_url)) as pages, pages.browser(VIEWER) as browser:
        page = (await browser.get("/audit")).text
        assert [row.split(" UTC ")[1] for row in rows(page)] == [
            "bob@x.example by the command line pause gone – 1",
            f"ana by a page jobs.retry {'x' * 120}… (4,880 characters more) – 1",
            f"ana by the command line jobs.retry outreach:send – 12,345 long: {'y' * 194}… (4,806 characters"
            " more)",
            "bob@x.example by a page tenants.weight acme & sons acme & sons 1 weight: 3",
            f"ana by the command line pause everything – 1 reason: {SCRIPT} a…@…",
        ]
        assert SCRIPT not in page
        assert len(page) < 12_000


SEARCHES = {
    "tenant=acme+%26+sons": [1],
    f"tenant={GONE}": [4],
    "actor=ana": [3, 2, 0],
    "action=pause&actor=": [4, 0],
    "action=pause&actor=+ana+": [0],
    "actor=an": [],
    f"tenant={uuid7()}": [],
}
"""What is asked for, and which entries are found, the latest first."""


async def test_entries_are_found_by_tenant_actor_and_action(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await noted(database)
    async with serving(settings(database_url)) as pages, pages.browser(VIEWER) as browser:
        every = rows((await browser.get("/audit")).text)[::-1]
        for limit in (1, 2, 50):
            monkeypatch.setattr(trail, "LIMIT", limit)
            for query, found in SEARCHES.items():
                seen: list[str] = []
                at: str | None = f"/audit?{query}"
                while at is not None:
                    page = (await browser.get(at)).text
                    seen += rows(page)
                    at = following(page)
                assert seen == [every[n] for n in found], query


async def test_a_search_looks_at_so_many_entries_and_no_further(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await noted(database)
    for looked, found in ((1, 0), (2, 1), (5, 3)):
        monkeypatch.setattr(audit, "LOOKED", looked)
        rows = await database.run(lambda tx: audit.page(tx, audit.Page(50), actor="ana"))
        assert len(rows) == found
