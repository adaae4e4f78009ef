"""Sends whose outcome nobody knows, page by page: by tenant and sender, the oldest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, TextClause, text

from shared.store.database import AsyncConnection


class Spot(NamedTuple):
    """Where a page ended; the lane is a sender's."""

    tenant_id: UUID
    lane_id: UUID
    status_at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of sends, and where it ended; None: there are no more."""

    rows: Sequence[Row[Any]]
    after: Spot | None


_NONE = UUID(int=0)
_FIRST = Spot(_NONE, _NONE, datetime(1970, 1, 1, tzinfo=UTC), _NONE)


def _page(mine: str) -> TextClause:
    return text(f"""
with looked as (
    select * from scheduled_actions
    where kind = 'send' and status = 'unknown' and {mine}
        (tenant_id, lane_id, status_at, id) > (:tenant_id, :lane_id, :status_at, :id)
    order by tenant_id, lane_id, status_at, id limit :most
)
select a.tenant_id, a.lane_id, a.status_at, a.id, a.g, a.channel, a.sender_id, a.contact_id, a.campaign_id,
    a.reason, left(t.name, 500) as tenant, t.unknown_policy, left(s.address, 500) as address
from looked a
join tenants t on t.id = a.tenant_id
left join senders s on s.tenant_id = a.tenant_id and s.id = a.sender_id
order by a.tenant_id, a.lane_id, a.status_at, a.id
""")


_OF_ALL, _OF_ONE = _page(""), _page("tenant_id = :tenant_id and")

_COUNT = text("""
select count(*) from (
    select 1 from scheduled_actions where kind = 'send' and status = 'unknown' limit :most
) found
""")
_COUNT_OF_ONE = text(_COUNT.text.replace(" limit", " and tenant_id = :tenant_id limit"))


async def page(tx: AsyncConnection, tenant_id: UUID | None, after: Spot | None, most: int) -> Listed:
    """Sends in `unknown`, of a tenant or all, with the tenant's name and policy and the sender's address."""
    place = after or _FIRST
    if tenant_id is not None:
        place = place._replace(tenant_id=tenant_id)
    statement = _OF_ALL if tenant_id is None else _OF_ONE
    rows = (await tx.execute(statement, {**place._asdict(), "most": most})).all()
    last = rows[-1] if len(rows) == most else None
    end = Spot(last.tenant_id, last.lane_id, last.status_at, last.id) if last is not None else None
    return Listed(rows, end)


async def count(tx: AsyncConnection, tenant_id: UUID | None, most: int) -> int:
    """How many there are, of a tenant or all, counted to so many."""
    statement = _COUNT if tenant_id is None else _COUNT_OF_ONE
    return int((await tx.execute(statement, {"tenant_id": tenant_id, "most": most})).scalar_one())
