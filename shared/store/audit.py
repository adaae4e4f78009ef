"""The audit: who did what, and when. Written in the transaction that did it; never with contact data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, update

from shared.store.database import AsyncConnection
from shared.store.ids import uuid7
from shared.store.pages import Page
from shared.store.tables import audit, tenants

LOOKED = 100_000
"""Entries that a search looks at."""


class Via(StrEnum):
    """By what somebody acted."""

    PAGE = "page"
    CLI = "cli"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something done: `target` and `detail` name our own ids and settings, `count` the rows it changed."""

    actor: str
    via: Via
    action: str
    target: str
    tenant_id: UUID | None = None
    count: int = 1
    detail: Mapping[str, Any] = field(default_factory=dict)


async def add(tx: AsyncConnection, entry: Entry) -> UUID:
    """Note what the transaction does; the entry's id."""
    entry_id = uuid7()
    await tx.execute(
        insert(audit).values(
            id=entry_id,
            actor=entry.actor,
            via=entry.via.value,
            action=entry.action,
            target=entry.target,
            tenant_id=entry.tenant_id,
            count=entry.count,
            detail=dict(entry.detail),
        )
    )
    return entry_id


async def add_count(tx: AsyncConnection, entry_id: UUID, count: int) -> None:
    """Note that an action of several transactions changed so many rows more."""
    query = update(audit).where(audit.c.id == entry_id)
    await tx.execute(query.values(count=audit.c.count + count))


async def page(
    tx: AsyncConnection,
    page: Page,
    tenant_id: UUID | None = None,
    actor: str | None = None,
    action: str | None = None,
) -> list[Row[Any]]:
    """The page's entries, the latest first, of a tenant or all; `page.after` is the last one seen.

    Those by an actor, or of an action, both named whole, among the next `LOOKED`. Rows of id, at, actor, via,
    action, target, tenant (its name, None if it is gone), count and detail.
    """
    looked = select(audit).order_by(audit.c.id.desc()).limit(LOOKED)
    if tenant_id is not None:
        looked = looked.where(audit.c.tenant_id == tenant_id)
    if page.after is not None:
        looked = looked.where(audit.c.id < page.after)
    entries = looked.subquery()
    found = select(entries).order_by(entries.c.id.desc()).limit(page.limit)
    for column, wanted in ((entries.c.actor, actor), (entries.c.action, action)):
        if wanted is not None:
            found = found.where(column == wanted)
    shown = found.subquery()
    columns = (column for column in shown.c if column.name != "tenant_id")
    query = select(*columns, tenants.c.name.label("tenant"))
    query = query.join_from(shown, tenants, tenants.c.id == shown.c.tenant_id, isouter=True)
    return list(await tx.execute(query.order_by(shown.c.id.desc())))
