"""Tenants as an operator sees them: what stands in their way, and how much of theirs went wrong."""

from typing import Any

from sqlalchemy import Row, text

from shared.store.database import AsyncConnection
from shared.store.pages import Page

COUNTED = 1000
"""Rows are counted up to so many: a flood is not read to be counted."""


def _count(status: str) -> str:
    return f"""(
        select count(*) from (
            select 1 from scheduled_actions a
            where a.tenant_id = t.id and a.kind = 'send' and a.status = '{status}' limit {COUNTED}
        ) counted
    )"""


_PAGE = text(f"""
select t.id, t.name, t.weight,
    exists (select 1 from pauses p where p.tenant_id = t.id) as paused,
    (
        select count(distinct k.sender_id) from closures k
        where k.tenant_id = t.id and (k.until is null or k.until > now())
    ) as closed_senders,
    {_count("enqueued")} as enqueued, {_count("submitting")} as submitting, {_count("failed")} as failed,
    {_count("unknown")} as unknown
from tenants t
where cast(:after as uuid) is null or t.id > :after
order by t.id limit :most
""")


async def page(tx: AsyncConnection, page: Page) -> list[Row[Any]]:
    """Tenants: id, name, weight, whether paused, closed senders, and sends by status, counted to 1,000."""
    return list(await tx.execute(_PAGE, {"after": page.after, "most": page.limit}))
