"""Campaigns as an operator sees them: all there are, what holds one up, and who is at a node of it.

Counts stop at a bound; no text is longer than 500 characters, since only its beginning is shown.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from shared.errors import NotFound
from shared.store.database import AsyncConnection
from shared.store.graphs import Version
from shared.store.pages import Page
from shared.store.visits import Key

COUNTED = 1_000
"""Contacts and held rows are counted up to so many."""

LOOKED = 100_000
"""Visits at a node that are looked at to list some of them."""

# In the order of the index of those that go on: they may be few among many that ended.
_INSIDE = """(
    select count(*) from (
        select 1 from enrollments e
        where e.tenant_id = c.tenant_id and e.campaign_id = c.id and e.exited_at is null
        order by e.contact_id limit :counted
    ) counted
)"""
_HELD = """(
    select count(*) from (
        select 1 from scheduled_actions a
        where a.tenant_id = c.tenant_id and a.campaign_id = c.id and a.status = 'held' limit :counted
    ) counted
)"""

_PAGE = """
select c.tenant_id, c.id, left(t.name, 500) as tenant, left(c.name, 500) as name, c.kind, c.status, c.version,
    {inside} as inside, {held} as held
from campaigns c join tenants t on t.id = c.tenant_id
where {more}
order by c.tenant_id, c.id limit :most
"""
_OF_ALL = text(_PAGE.format(inside=_INSIDE, held=_HELD, more="(c.tenant_id, c.id) > (:after_tenant, :after)"))
_OF_ONE = text(_PAGE.format(inside=_INSIDE, held=_HELD, more="c.tenant_id = :tenant_id and c.id > :after"))

_GET = text(f"""
select c.tenant_id, c.id, left(t.name, 500) as tenant, left(c.name, 500) as name, c.kind, c.status, c.version,
    c.reentry, c.reentry_days, c.max_lateness, c.paused_at, c.created_at, {_INSIDE} as inside
from campaigns c join tenants t on t.id = c.tenant_id
where c.tenant_id = :tenant_id and c.id = :campaign_id
""")

_HELD_BY = text("""
select reason, count(*) as held from (
    select coalesce(reason, '') as reason from scheduled_actions
    where tenant_id = :tenant_id and campaign_id = :campaign_id and status = 'held' limit :counted
) held group by reason order by 2 desc, 1
""")

# The first in, who have been there the longest, come first: ids are in order of time.
_AT_NODE = text("""
select here.*, left(contact.external_id, 500) as external_id, action.kind, action.action_id, action.status,
    action.reason, action.due_at, action.scheduled_at, action.status_at, action.event_type, action.g
from (
    select id, contact_id, entered_at from (
        select v.id, v.contact_id, v.entered_at from visits v
        where v.tenant_id = :tenant_id and v.campaign_id = :campaign_id and v.campaign_version = :version
            and v.node_id = :node_id and v.edge is null
        limit :looked
    ) looked
    where id > :after
    order by id limit :most
) here
left join lateral (
    select x.external_id from contacts x where x.tenant_id = :tenant_id and x.id = here.contact_id offset 0
) contact on true
left join lateral (
    select a.kind, a.id as action_id, a.status, left(a.reason, 500) as reason, a.due_at, a.scheduled_at,
        a.status_at, a.event_type, a.g
    from scheduled_actions a
    where a.tenant_id = :tenant_id and a.visit_id = here.id
        and case when a.status in ('pending', 'enqueued', 'held', 'submitting', 'unknown')
            then true else false end
    order by a.due_at limit 1
) action on true
order by here.id
""")

_NAMES = text("""
select id, left(name, 500) as name from campaigns
where tenant_id = :tenant_id and id = any(cast(:ids as uuid[]))
""")

_NONE = UUID(int=0)


async def page(
    tx: AsyncConnection, tenant_id: UUID | None, after: Key | None, most: int
) -> Sequence[Row[Any]]:
    """Campaigns of a tenant, or of all, in the order they were made in.

    Rows of tenant_id, id, tenant, name, kind, status, version, and counts up to `COUNTED`: `inside`, contacts
    that are in it, and `held`, what a pause holds.
    """
    after_tenant, last = after or (_NONE, _NONE)
    asked = {"after": last, "most": most, "counted": COUNTED}
    if tenant_id is None:
        return (await tx.execute(_OF_ALL, {**asked, "after_tenant": after_tenant})).all()
    return (await tx.execute(_OF_ONE, {**asked, "tenant_id": tenant_id})).all()


async def get(tx: AsyncConnection, tenant_id: UUID, campaign_id: UUID) -> Row[Any]:
    """One campaign without its graph, with its tenant's name and `inside`. Raises NotFound."""
    asked = {"tenant_id": tenant_id, "campaign_id": campaign_id, "counted": COUNTED}
    row = (await tx.execute(_GET, asked)).one_or_none()
    if row is None:
        raise NotFound("There is no such campaign.")
    return row


async def held_by(tx: AsyncConnection, tenant_id: UUID, campaign_id: UUID) -> Mapping[str, int]:
    """What pauses hold of a campaign, by reason; `COUNTED` rows in all, at most."""
    asked = {"tenant_id": tenant_id, "campaign_id": campaign_id, "counted": COUNTED}
    return {row.reason: row.held for row in await tx.execute(_HELD_BY, asked)}


async def at_node(tx: AsyncConnection, version: Version, node_id: str, page: Page) -> Sequence[Row[Any]]:
    """Who is at a node by a version's graph, the longest there first: of `LOOKED` visits, a page.

    Rows of a visit's id, contact_id, external_id, entered_at, and of the action that is next there, if any:
    kind, action_id, g, status, reason, due_at, scheduled_at, status_at, event_type.
    """
    asked = {**version._asdict(), "node_id": node_id, "looked": LOOKED}
    return (await tx.execute(_AT_NODE, {**asked, "after": page.after or _NONE, "most": page.limit})).all()


async def names(tx: AsyncConnection, tenant_id: UUID, ids: Collection[UUID]) -> Mapping[UUID, str]:
    """The names of a tenant's campaigns by their ids."""
    return {row.id: row.name for row in await tx.execute(_NAMES, {"tenant_id": tenant_id, "ids": list(ids)})}
