"""After an older database was restored: what may have gone out since its snapshot is no longer due."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text

from shared.store.database import AsyncConnection
from shared.store.sets import checked

Cursor = tuple[Any, ...]
"""Where a page ended: the columns of its index, in order."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """How many sends of a page became unknown, and where to go on; None: these were the last."""

    changed: int
    after: Cursor | None


def _page(status: str, where: str, order: Mapping[str, str]) -> TextClause:
    """A page of a partial index in its order: `order` are its columns, each with its type."""
    names, types = ", ".join(order), ", ".join(f"cast(:{name} as {kind})" for name, kind in order.items())
    return text(f"""
with looked as (
    select {names}, due_at <= :until and created_at <= :snapshot_at as wanted from scheduled_actions
    where {where} and status = '{status}' and ({names}) > ({types})
    order by {names} limit :most
), locked as (
    select a.tenant_id, a.id from looked join scheduled_actions a using (tenant_id, id)
    where looked.wanted and {checked(f"a.status = '{status}' and a.kind = 'send'")}
    order by a.id for update of a
), guarded as (
    update scheduled_actions a set status = 'unknown', status_at = now(), reason = 'restored'
    from locked where a.tenant_id = locked.tenant_id and a.id = locked.id
    returning a.id
)
select (select count(*) from guarded), (select count(*) from looked), last.*
from (select 1) one left join lateral (
    select {names} from looked order by {", ".join(f"{name} desc" for name in order)} limit 1
) last on true
""")


_LANES = {"tenant_id": "uuid", "lane_id": "uuid"}
ORDERS: Mapping[str, Mapping[str, str]] = {
    "pending": {**_LANES, "due_at": "timestamptz", "id": "uuid"},
    "enqueued": {**_LANES, "status_at": "timestamptz", "id": "uuid"},
    "held": {"tenant_id": "uuid", "campaign_id": "uuid", "id": "uuid"},
}
"""What an action may be in that waits, and the columns of the index that has those, in order."""

_PAGES = {
    status: _page(status, "true" if status == "held" else "kind = 'send'", order)
    for status, order in ORDERS.items()
}
FIRST = {"uuid": UUID(int=0), "timestamptz": datetime(1970, 1, 1, tzinfo=UTC)}
"""Before all others, by type."""

STATUSES = tuple(_PAGES)
"""What a send may be in that waits to go out."""


# The audit is what people did: few rows, read once after a restore.
_EARLIER = text("""
select cast(detail ->> 'until' as timestamptz) as until from audit
where action = :action and target = :target order by id limit 1
""")


async def clock(tx: AsyncConnection) -> datetime:
    """The database's time now."""
    now: datetime = (await tx.execute(text("select now()"))).scalar_one()
    return now


async def earlier(tx: AsyncConnection, action: str, target: str) -> datetime | None:
    """Until when the same snapshot was guarded before, if it was."""
    found: datetime | None = await tx.scalar(_EARLIER, {"action": action, "target": target})
    return found


async def guard(
    tx: AsyncConnection, status: str, snapshot_at: datetime, until: datetime, after: Cursor | None, most: int
) -> Guarded:
    """Look at the next sends in a status, at most so many; those in the snapshot and due become unknown."""
    order = ORDERS[status]
    place = dict(zip(order, after or (FIRST[kind] for kind in order.values()), strict=True))
    asked = {"snapshot_at": snapshot_at, "until": until, "most": most}
    changed, looked, *last = (await tx.execute(_PAGES[status], {**asked, **place})).one()
    return Guarded(changed, tuple(last) if looked == most else None)
