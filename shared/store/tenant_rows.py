"""Tenants as an operator sees them: what stands in their way, how much of theirs waits, and what went wrong.

Rows are counted up to a bound: a flood is not read to be counted. No text is longer than 500 characters.
"""

from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from shared.errors import NotFound
from shared.store.database import AsyncConnection
from shared.store.pages import Page

COUNTED = 1000
"""Where counts end, if nothing else is asked for."""
_LANES = 1000  # of a tenant, looked at for what is due


class Only(StrEnum):
    """Which tenants."""

    ANY = "any"
    PAUSED = "paused"
    CLOSED = "closed"
    FAILED = "failed"


_PAUSED = "t.id in (select tenant_id from pauses where tenant_id is not null)"
_CLOSED = "t.id in (select tenant_id from closures where until is null or until > now())"
# A probe a tenant: joined, it would read every send to learn whose failed.
_FAILED = """exists (
    select 1 from scheduled_actions a where a.tenant_id = t.id and a.kind = 'send' and a.status = 'failed'
    order by a.id offset 0
)"""


def _count(name: str, rows: str, order: str) -> str:
    # In the order of the index that has them, or the planner would read all of it into a bitmap.
    return f"(select count(*) from (select 1 from {rows} order by {order} limit :counted) counted) as {name}"


def _sends(name: str, status: str) -> str:
    rows = f"scheduled_actions a where a.tenant_id = t.id and a.kind = 'send' and a.status = '{status}'"
    return _count(name, rows, "a.id" if status == "failed" else "a.lane_id, a.status_at")


def _page(only: str) -> str:
    # Cut to a page before anything is counted.
    return f"""
with chosen as (
    select t.id, t.name, t.weight from tenants t
    where coalesce(t.name > (select name from tenants where id = cast(:after as uuid)), true)
        and (cast(:search as text) is null or strpos(lower(t.name), lower(:search)) > 0) and {only}
    order by t.name limit :most
)
select t.id, left(t.name, 500) as name, t.weight, {_PAUSED} as paused,
    (
        select count(distinct k.sender_id) from closures k
        where k.tenant_id = t.id and (k.until is null or k.until > now())
    ) as closed_senders,
    {_sends("enqueued", "enqueued")}, {_sends("submitting", "submitting")},
    {_sends("failed", "failed")}, {_sends("unknown", "unknown")}
from chosen t order by t.name
"""


_PAGES = {
    only: text(_page(where)) for only, where in zip(Only, ("true", _PAUSED, _CLOSED, _FAILED), strict=True)
}

_FIND = text("select id, name, left(name, 500) as shown, weight, created_at from tenants where id = :id")


def _of_lane(tenant: str, kind: str, when: str) -> str:
    return (
        f"scheduled_actions a where a.tenant_id = {tenant} and a.kind = '{kind}' and a.status = 'pending'"
        f" and a.lane_id = lane.id and a.due_at {when}"
    )


def _pending(name: str, kind: str, when: str) -> str:
    # Lane by lane, as the index has them: what is due of one is a range of it.
    lanes = "select t.id"
    if kind == "send":
        lanes = f"select id from senders s where s.tenant_id = t.id limit {_LANES}"
    found = f"select 1 from {_of_lane('t.id', kind, when)} order by a.due_at limit :counted"
    return f"""(
        select count(*) from (
            select 1 from ({lanes}) lane cross join lateral ({found}) found limit :counted
        ) counted
    ) as {name}"""


def _deliveries(name: str, state: str) -> str:
    rows = f"deliveries d where d.tenant_id = t.id and d.state = '{state}'"
    return _count(name, rows, "d.id" if state == "failed" else "d.received_at")


_WORK = text(f"""
select
    {_pending("sends_due", "send", "<= now()")}, {_pending("sends_later", "send", "> now()")},
    {_sends("sends_failed", "failed")}, {_sends("sends_unknown", "unknown")},
    {_pending("timeouts_due", "timeout", "<= now()")}, {_pending("timeouts_later", "timeout", "> now()")},
    {_deliveries("deliveries_received", "received")}, {_deliveries("deliveries_parked", "parked")},
    {_deliveries("deliveries_failed", "failed")},
    {_count("held", "scheduled_actions a where a.tenant_id = t.id and a.status = 'held'", "a.campaign_id")}
from tenants t where t.id = :id
""")

_PAUSES = text("""
select queue, tenant_id is not null as own, left(reason, 500) as reason, paused_at
from pauses where tenant_id = :id or tenant_id is null
order by tenant_id nulls first, queue nulls first limit 20
""")

_CLOSURES = text("""
select k.channel, k.sender_id, left(s.address, 500) as address, k.reason, k.until
from closures k left join senders s on s.tenant_id = k.tenant_id and s.id = k.sender_id
where k.tenant_id = :id and (k.until is null or k.until > now())
order by k.until nulls first, k.closed_at limit :most
""")

_LANES_OF = text("""
select id, channel, left(address, 500) as address from senders where tenant_id = :id order by id limit :most
""")

_SENDERS = text(f"""
select lane.id, lane.channel, left(lane.address, 500) as address, left(lane.name, 500) as name,
    {_count("due", _of_lane("lane.tenant_id", "send", "<= now()"), "a.due_at")}
from senders lane
where lane.tenant_id = :id and (cast(:after as uuid) is null or lane.id > :after)
order by lane.id limit :most
""")


async def page(
    tx: AsyncConnection,
    page: Page,
    search: str | None = None,
    only: Only = Only.ANY,
    counted: int = COUNTED,
) -> list[Row[Any]]:
    """Tenants by name: id, name, weight, whether paused, closed senders, and sends by status up to `counted`.

    `search` is part of the name, in whichever case. A page behind a tenant that is gone is the first.
    """
    wanted = {"after": page.after, "search": search, "most": page.limit, "counted": counted}
    return list(await tx.execute(_PAGES[only], wanted))


async def find(tx: AsyncConnection, tenant_id: UUID) -> Row[Any]:
    """A tenant: id, name, the name as it is shown, weight, created_at. Raises NotFound."""
    row = (await tx.execute(_FIND, {"id": tenant_id})).one_or_none()
    if row is None:
        raise NotFound("There is no such tenant.")
    return row


async def work(tx: AsyncConnection, tenant_id: UUID) -> Row[Any]:
    """How many of a tenant's sends, timeouts and deliveries are where, each counted up to 1,000.

    What is due waits for a place in its queue, what is later for its time, what is held for the end of a
    pause. Of the sends that are due or later those of 1,000 senders are looked at.
    """
    return (await tx.execute(_WORK, {"id": tenant_id, "counted": COUNTED})).one()


async def pauses(tx: AsyncConnection, tenant_id: UUID) -> list[Row[Any]]:
    """What pauses a tenant, the widest first: queue (None: every one), whether its own, reason, paused_at."""
    return list(await tx.execute(_PAUSES, {"id": tenant_id}))


async def closures(tx: AsyncConnection, tenant_id: UUID, most: int) -> list[Row[Any]]:
    """A tenant's closures: channel, sender_id and address (None: the channel's), reason, until.

    Those first that only an operator ends.
    """
    return list(await tx.execute(_CLOSURES, {"id": tenant_id, "most": most}))


async def lanes(tx: AsyncConnection, tenant_id: UUID) -> list[Row[Any]]:
    """Id, channel and address of a tenant's senders, the first 1,000."""
    return list(await tx.execute(_LANES_OF, {"id": tenant_id, "most": _LANES}))


async def senders(tx: AsyncConnection, tenant_id: UUID, page: Page) -> list[Row[Any]]:
    """A tenant's senders: id, channel, address, name, and how many sends are due, up to 1,000."""
    wanted = {"id": tenant_id, "after": page.after, "most": page.limit, "counted": COUNTED}
    return list(await tx.execute(_SENDERS, wanted))
