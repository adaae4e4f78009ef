"""Actions as an operator acts on them: found by id, listed where they failed, and set going or ended.

Who retries or ends a send locks its visit first (`shared.store.visits.lock`), as everybody does who may move
one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import CursorResult, Row, text

from shared.store.database import AsyncConnection
from shared.store.sets import by_key, checked, columns
from shared.store.visits import Key


class Claim(NamedTuple):
    """An action in a generation."""

    tenant_id: UUID
    id: UUID
    g: int


@dataclass(frozen=True, slots=True)
class Which:
    """Which failed sends; None: any. Without `unconfirmed`, none that may have gone out after all."""

    tenant_id: UUID | None = None
    sender_id: UUID | None = None
    campaign_id: UUID | None = None
    reason: str | None = None
    unconfirmed: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """The rows asked for among those looked at, and where to go on; None: these were the last."""

    rows: Sequence[Row[Any]]
    after: Key | None


_NONE = UUID(int=0)

# An id is unique within its tenant: one probe of the key for each tenant there is.
_FIND = text("""
select t.name as tenant, a.* from tenants t
cross join lateral (
    select * from scheduled_actions x where x.tenant_id = t.id and x.id = :id offset 0
) a
""")

_SHOWN = "f.tenant_id, f.id, f.g, f.campaign_id, f.contact_id, f.node_id, f.channel, f.sender_id, f.visit_id"

# The index of failed sends in its order, so many at a time; what else is asked of them is only looked at.
_LOOKED = """
with looked as (
    select * from scheduled_actions where kind = 'send' and status = 'failed' and {more}
    order by tenant_id, id limit :most
), found as (
    select f.*, (
        (cast(:sender_id as uuid) is null or f.sender_id = :sender_id)
        and (cast(:campaign_id as uuid) is null or f.campaign_id = :campaign_id)
        and (cast(:reason as text) is null or starts_with(f.reason, :reason))
        and (:unconfirmed or f.reason is distinct from 'unconfirmed')
    ) as wanted
    from looked f
)
"""
_LIST = f"""{_LOOKED}
select {_SHOWN}, f.status, f.reason, f.tries, f.status_at, f.wanted from found f order by f.tenant_id, f.id
"""
_COUNT = f"{_LOOKED} select count(*) filter (where wanted) as wanted, count(*) as looked from found"
_OF_ALL = "(tenant_id, id) > (:after_tenant, :after)"
_OF_ONE = "tenant_id = :tenant_id and id > :after"
_ASKED = {query: {of: text(query.format(more=of)) for of in (_OF_ALL, _OF_ONE)} for query in (_LIST, _COUNT)}

_WANTED = """
unnest(cast(:tenant_id as uuid[]), cast(:id as uuid[]), cast(:g as int[])) as wanted (tenant_id, id, g)"""

# The failed edge that the send's visit took is taken back, as if it had not been: where the contact was led
# on to another node, or entered the campaign anew, it stays.
_RETRY = text(f"""
with locked as (
    select a.tenant_id, a.id, a.visit_id, a.enrollment_id, a.campaign_id, a.contact_id
    from {_WANTED} join scheduled_actions a using (tenant_id, id)
    where {checked("a.status = 'failed' and a.kind = 'send'")} and a.g = wanted.g
    order by a.id for update of a
), back as (
    select a.tenant_id, a.id, a.visit_id, a.enrollment_id
    from locked a
    cross join lateral {by_key("visits", "a.visit_id")} v
    cross join lateral {by_key("enrollments", "a.enrollment_id")} e
    cross join lateral {by_key("campaigns", "a.campaign_id")} c
    cross join lateral {by_key("contacts", "a.contact_id")} ct
    where v.edge = 'failed' and e.status = 'exited' and c.status <> 'cancelled' and ct.deleted_at is null
        and not exists (
            select 1 from visits next where next.tenant_id = v.tenant_id
                and next.enrollment_id = v.enrollment_id and next.previous_visit_id = v.id offset 0
        ) and not exists (
            select 1 from enrollments other where other.tenant_id = e.tenant_id
                and other.campaign_id = e.campaign_id and other.contact_id = e.contact_id
                and other.exited_at is null offset 0
        )
), staying as (
    update visits v set left_at = null, edge = null, event_id = null
    from back where v.tenant_id = back.tenant_id and v.id = back.visit_id
), enrolled as (
    update enrollments e set status = 'active', exit = null, reason = null, exited_at = null
    from back where e.tenant_id = back.tenant_id and e.id = back.enrollment_id
)
update scheduled_actions a set
    status = 'pending', g = a.g + 1, status_at = now(), reason = null, tries = 0,
    due_at = now(), scheduled_at = now()
from back where a.tenant_id = back.tenant_id and a.id = back.id
returning a.tenant_id, a.id, a.g
""")

_CANCEL = text(f"""
with locked as (
    select a.tenant_id, a.id from {_WANTED} join scheduled_actions a using (tenant_id, id)
    where {checked("a.status in ('pending', 'enqueued', 'held')")} and a.kind = 'send' and a.g = wanted.g
    order by a.id for update of a
)
update scheduled_actions a set status = 'cancelled', status_at = now(), reason = :reason
from locked where a.tenant_id = locked.tenant_id and a.id = locked.id
returning a.tenant_id, a.id, a.visit_id, a.g, a.reason
""")

_HASTEN = text(f"""
with locked as (
    select a.tenant_id, a.id from {_WANTED} join scheduled_actions a using (tenant_id, id)
    where {checked("a.status = 'pending' and a.due_at > now()")} and a.kind = 'send' and a.g = wanted.g
    order by a.id for update of a
)
update scheduled_actions a set due_at = now()
from locked where a.tenant_id = locked.tenant_id and a.id = locked.id
returning a.id
""")

# An enqueued one goes back, so that no crash lets it run at its old time; its lateness counts anew.
_RESCHEDULE = text(f"""
with locked as (
    select a.tenant_id, a.id from {_WANTED} join scheduled_actions a using (tenant_id, id)
    where {checked("a.status in ('pending', 'enqueued')")} and a.kind = 'send' and a.g = wanted.g
    order by a.id for update of a
)
update scheduled_actions a set
    status = 'pending', g = a.g + 1, due_at = :at, scheduled_at = :at,
    status_at = case when a.status = 'pending' then a.status_at else now() end
from locked where a.tenant_id = locked.tenant_id and a.id = locked.id
returning a.tenant_id, a.id, a.g
""")

_ATTEMPTS = text("""
select g, charged_at, submitted_at, ended_at, outcome, reason, cost, given_back from attempts
where tenant_id = :tenant_id and action_id = :id order by submitted_at limit 100
""")


async def find(tx: AsyncConnection, action_id: UUID) -> Row[Any] | None:
    """A send or timeout by its id alone, with its tenant's name; None: there is none."""
    return (await tx.execute(_FIND, {"id": action_id})).one_or_none()


async def attempts(tx: AsyncConnection, key: Key) -> list[Row[Any]]:
    """The times that a send reached its provider's door, the first 100 in order."""
    return list(await tx.execute(_ATTEMPTS, {"tenant_id": key[0], "id": key[1]}))


async def failed(tx: AsyncConnection, which: Which, after: Key | None, most: int) -> Found:
    """Look at the next failed sends, at most so many, by tenant and in the order that they were made in.

    `reason` is what the row's begins with.
    """
    looked = (await _ask(tx, _LIST, which, after, most)).all()
    end = looked[-1] if len(looked) == most else None
    return Found([row for row in looked if row.wanted], (end.tenant_id, end.id) if end is not None else None)


async def count_failed(tx: AsyncConnection, which: Which, after: Key | None, most: int) -> tuple[int, bool]:
    """How many of the next failed sends are asked for, of so many looked at, and whether these are all."""
    row = (await _ask(tx, _COUNT, which, after, most)).one()
    return row.wanted, row.looked < most


async def _ask(
    tx: AsyncConnection, query: str, which: Which, after: Key | None, most: int
) -> CursorResult[Any]:
    tenant_id, last = after or (which.tenant_id or _NONE, _NONE)
    asked = {
        "sender_id": which.sender_id,
        "campaign_id": which.campaign_id,
        "reason": which.reason,
        "unconfirmed": which.unconfirmed,
        "after": last,
        "most": most,
    }
    if which.tenant_id is None:
        return await tx.execute(_ASKED[query][_OF_ALL], {**asked, "after_tenant": tenant_id})
    return await tx.execute(_ASKED[query][_OF_ONE], {**asked, "tenant_id": which.tenant_id})


async def retry(tx: AsyncConnection, claims: Sequence[Claim]) -> list[Claim]:
    """Let failed sends wait again, under the next g and with all their attempts; those that do.

    Not those whose contact was led on or enrolled anew meanwhile, or whose campaign was cancelled. The visits
    and the contacts are locked.
    """
    return [Claim(*row) for row in await tx.execute(_RETRY, columns(Claim._fields, claims))]


async def cancel(tx: AsyncConnection, claims: Sequence[Claim], reason: str) -> list[Row[Any]]:
    """End sends that nobody has begun to submit; tenant_id, id, visit_id, g and reason. Visits are locked."""
    return list(await tx.execute(_CANCEL, {**columns(Claim._fields, claims), "reason": reason}))


async def reschedule(tx: AsyncConnection, claims: Sequence[Claim], at: datetime) -> list[Claim]:
    """Let sends that nobody has begun to submit be due at a time, under the next g; those that are."""
    return [
        Claim(*row) for row in await tx.execute(_RESCHEDULE, {**columns(Claim._fields, claims), "at": at})
    ]


async def hasten(tx: AsyncConnection, claims: Sequence[Claim]) -> frozenset[UUID]:
    """Let pending sends be due now that were due later; the ids of those."""
    return frozenset((await tx.execute(_HASTEN, columns(Claim._fields, claims))).scalars())
