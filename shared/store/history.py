"""A contact's history: what was sent to it, what it did, and where it was led."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from shared.store.database import AsyncConnection
from shared.store.pages import Page

# Ids grow with time, so a page of the whole is made of a page of each part, the latest first.
_HISTORY = text("""
with sends as (
    select id, 'send' as kind, status_at as at, campaign_id, node_id, channel, status as what,
        reason, recipient, null as url, null::text as automated
    from scheduled_actions
    where tenant_id = :tenant_id and contact_id = :contact_id and kind = 'send'
        and (cast(:before as uuid) is null or id < :before)
    order by id desc limit :limit
), happened as (
    select id, 'event' as kind, occurred_at as at, campaign_id, node_id, null as channel, type as what,
        reason, recipient, url, automated
    from events
    where tenant_id = :tenant_id and contact_id = :contact_id
        and (cast(:before as uuid) is null or id < :before)
    order by id desc limit :limit
), visited as (
    select visits.id, 'visit' as kind, visits.entered_at as at, visits.campaign_id, visits.node_id,
        null as channel, coalesce(visits.edge, 'here') as what,
        null as reason, null as recipient, null as url, null as automated
    from enrollments join visits
        on visits.tenant_id = enrollments.tenant_id and visits.enrollment_id = enrollments.id
    where enrollments.tenant_id = :tenant_id and enrollments.contact_id = :contact_id
        and (cast(:before as uuid) is null or visits.id < :before)
    order by visits.id desc limit :limit
)
select * from sends union all select * from happened union all select * from visited
order by id desc limit :limit
""")


async def of_contact(
    connection: AsyncConnection, tenant_id: UUID, contact_id: UUID, page: Page
) -> list[Row[Any]]:
    """The page's entries, the latest first: id, kind, at, campaign_id, node_id, channel, what, reason, …

    A send's `what` is its status, an event's its type, a visit's the edge it was left by or `here`.
    """
    asked = {"tenant_id": tenant_id, "contact_id": contact_id, "before": page.after, "limit": page.limit}
    return list(await connection.execute(_HISTORY, asked))
