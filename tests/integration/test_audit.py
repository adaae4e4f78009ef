"""The audit: what was done is there, the latest first, with the transaction that did it or not at all."""

from typing import Any

import pytest

from shared.store import audit, tenants
from shared.store.audit import Entry, Via
from shared.store.database import AsyncConnection, Database
from shared.store.ids import uuid7
from shared.store.pages import Page


async def test_entries_come_latest_first_in_pages_of_all_or_of_a_tenant(database: Database) -> None:
    tenant_id = await database.run(lambda tx: tenants.create(tx, "acme"))
    done = [
        Entry("ana", Via.CLI, "pause", "every queue"),
        Entry("bob", Via.PAGE, "tenants.weight", "acme", tenant_id, detail={"weight": 3}),
        Entry("ana", Via.CLI, "jobs.retry", "a tenant that is gone", uuid7(), count=7),
    ]

    async def add(tx: AsyncConnection) -> None:
        for entry in done:
            await audit.add(tx, entry)

    await database.run(add)
    rows = await database.run(lambda tx: audit.page(tx, Page(10)))
    assert [shown(row) for row in rows] == [
        ("ana", "cli", "jobs.retry", "a tenant that is gone", 7, {}, None),
        ("bob", "page", "tenants.weight", "acme", 1, {"weight": 3}, "acme"),
        ("ana", "cli", "pause", "every queue", 1, {}, None),
    ]
    after = await database.run(lambda tx: audit.page(tx, Page(1, rows[0].id)))
    assert [row.id for row in after] == [rows[1].id]
    of_tenant = await database.run(lambda tx: audit.page(tx, Page(10), tenant_id))
    assert [row.id for row in of_tenant] == [rows[1].id]


async def test_what_was_rolled_back_was_not_done(database: Database) -> None:
    async def fails(tx: AsyncConnection) -> None:
        await audit.add(tx, Entry("ana", Via.CLI, "pause", "every queue"))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.run(fails)
    assert await database.run(lambda tx: audit.page(tx, Page(10))) == []


def shown(row: Any) -> tuple[Any, ...]:
    return row.actor, row.via, row.action, row.target, row.count, row.detail, row.tenant
