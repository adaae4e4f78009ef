"""What waits in a queue or is due for it, page by page in the order of an index."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, TextClause, text

from shared.store.database import AsyncConnection
from shared.store.restoring import FIRST, ORDERS, Cursor

RECEIVED = "received"
STATUSES = tuple(ORDERS)
"""What an action may be in that waits; of deliveries those `RECEIVED` do."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The rows that wait of those looked at, and where to go on; None: these were the last."""

    rows: Sequence[Row[Any]]
    after: Cursor | None


def _page(source: str, shown: str, wanted: str, where: str, order: Mapping[str, str]) -> TextClause:
    names, types = ", ".join(order), ", ".join(f"cast(:{name} as {kind})" for name, kind in order.items())
    return text(f"""
select {shown}, {names}, {wanted} as wanted from {source}
where {where} and ({names}) > ({types})
order by {names} limit :most
""")


def _pages(source: str, shown: str, wanted: str, where: str, order: Mapping[str, str]) -> list[TextClause]:
    """For all tenants, and for one."""
    only = f"tenant_id = :only and {where}"
    return [_page(source, shown, wanted, which, order) for which in (where, only)]


_ACTIONS = {
    status: _pages(
        "scheduled_actions",
        "g, visit_id, enrollment_id",
        "kind = :kind and due_at <= :until",
        f"status = '{status}'" + ("" if status == "held" else " and kind = :kind"),
        order,
    )
    for status, order in ORDERS.items()
}
_BY_ARRIVAL = {"tenant_id": "uuid", "received_at": "timestamptz", "id": "uuid"}
_DELIVERIES = _pages("deliveries", "g", "received_at <= :until", f"state = '{RECEIVED}'", _BY_ARRIVAL)


async def actions(
    tx: AsyncConnection,
    kind: str,
    status: str,
    only: UUID | None,
    until: datetime,
    after: Cursor | None,
    most: int,
) -> Waiting:
    """Look at the next actions in a status, of a tenant or all; those of the kind that were due by a time."""
    asked = {"kind": kind, "only": only, "until": until}
    return await _look(tx, _ACTIONS[status][only is not None], ORDERS[status], asked, after, most)


async def deliveries(
    tx: AsyncConnection, only: UUID | None, until: datetime, after: Cursor | None, most: int
) -> Waiting:
    """The same for deliveries that nobody has begun to process."""
    asked = {"only": only, "until": until}
    return await _look(tx, _DELIVERIES[only is not None], _BY_ARRIVAL, asked, after, most)


async def _look(
    tx: AsyncConnection,
    statement: TextClause,
    order: Mapping[str, str],
    asked: Mapping[str, Any],
    after: Cursor | None,
    most: int,
) -> Waiting:
    place = dict(zip(order, after or (FIRST[kind] for kind in order.values()), strict=True))
    looked = (await tx.execute(statement, {**asked, **place, "most": most})).all()
    last = looked[-1] if len(looked) == most else None
    end = tuple(getattr(last, name) for name in order) if last is not None else None
    return Waiting([row for row in looked if row.wanted], end)
