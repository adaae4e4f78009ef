"""Whose sends fail just now: a bounded look at the latest attempts of tenants that have failed sends."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.types import Interval

from shared.store.database import AsyncConnection

LATELY = timedelta(minutes=15)
_TENANTS = 500
_LATEST = 30
_LEAST = 5
_LISTED = 5

# Statistics are older than a flood: for few rows the planner would read and sort all that is of the time.
_IN_ORDER = text(
    "select set_config(name, 'off', true) from unnest(array['enable_bitmapscan', 'enable_sort']) name"
)

# A loose index scan, one probe a tenant, and then each one's latest attempts by the index of their time.
_FAILING = text(f"""
with recursive found as (
    (
        select tenant_id from scheduled_actions where kind = 'send' and status = 'failed'
        order by tenant_id limit 1
    )
    union all
    select (
        select x.tenant_id from scheduled_actions x
        where x.kind = 'send' and x.status = 'failed' and x.tenant_id > found.tenant_id
        order by x.tenant_id limit 1
    ) from found where found.tenant_id is not null
), failing as (
    select f.tenant_id, count(*) as tried, count(*) filter (where a.outcome <> 'accepted') as failed
    from (select tenant_id from found where tenant_id is not null limit {_TENANTS}) f
    cross join lateral (
        select outcome from attempts x
        where x.tenant_id = f.tenant_id
            and x.charged_at between now() - :lately and now() + interval '1 minute'
        order by x.charged_at desc limit {_LATEST}
    ) a
    where a.outcome <> 'rate_limited'
    group by f.tenant_id
)
select f.tenant_id, left(t.name, 500) as tenant, f.tried, f.failed from failing f
join tenants t on t.id = f.tenant_id
where f.failed >= {_LEAST} and f.failed * 2 >= f.tried
order by f.failed desc, f.tried, f.tenant_id limit {_LISTED}
""").bindparams(bindparam("lately", type_=Interval))


@dataclass(frozen=True, slots=True)
class Failing:
    """A tenant of whose latest `tried` sends at least half were not accepted; what runs does not count."""

    tenant_id: UUID
    tenant: str
    tried: int
    failed: int


async def failing(tx: AsyncConnection) -> list[Failing]:
    """The tenants whose sends fail just now, the worst first, at most 5 of the 500 that were looked at.

    A tenant is told of from its fifth send on that failed in the last 15 minutes, of its last 30.
    """
    await tx.execute(_IN_ORDER)
    return [Failing(*row) for row in await tx.execute(_FAILING, {"lately": LATELY})]
