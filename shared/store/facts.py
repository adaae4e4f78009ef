"""What is true of sends that are about to go out: the SQL behind the checks, for dispatch and the worker."""

from sqlalchemy import bindparam, text
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.types import Interval

from shared.jobs import SENDS
from shared.store.sets import by_key

FACTS = f"""
    now() as now,
    exists (
        select 1 from pauses p where p.tenant_id is null and (p.queue is null or p.queue = '{SENDS.name}')
    ) as queue_paused,
    exists (
        select 1 from pauses p
        where p.tenant_id = a.tenant_id and (p.queue is null or p.queue = '{SENDS.name}')
    ) as tenant_paused,
    c.status as campaign_status,
    c.kind as campaign_kind,
    e.status as enrollment_status,
    v.left_at is not null as visit_left,
    ct.deleted_at is not null as contact_deleted,
    case a.channel when 'email' then ct.email else ct.phone end as address,
    s.id is null as sender_missing,
    closed.found as closed,
    closed.until as closed_until,
    suppressed.scopes as suppressed,
    c.unsubscribe_group,
    a.scheduled_at,
    coalesce(c.max_lateness, :max_lateness) as max_lateness
"""
"""The columns of `SendFacts`, by its fields' names and in their order, of actions `a`."""

JOINS = f"""
    cross join lateral {by_key("visits", "a.visit_id")} v
    cross join lateral {by_key("enrollments", "a.enrollment_id")} e
    cross join lateral {by_key("campaigns", "a.campaign_id")} c
    cross join lateral {by_key("contacts", "a.contact_id")} ct
    left join lateral {by_key("senders", "a.sender_id")} s on true
    cross join lateral (
        select
            count(*) > 0 as found,
            case when bool_or(k.until is null) then null else max(k.until) end as until
        from closures k
        where k.tenant_id = a.tenant_id and k.channel = a.channel
            and (k.sender_id is null or k.sender_id = a.sender_id)
            and (k.until is null or k.until > now())
    ) closed
    cross join lateral (
        select coalesce(array_agg(x.scope), '{{}}') as scopes
        from suppressions x
        where x.tenant_id = a.tenant_id and x.channel = a.channel
            and x.address = case a.channel when 'email' then ct.email else ct.phone end
    ) suppressed
"""

CONTENT = """
    v.campaign_version,
    c.name as campaign_name,
    ct.email,
    ct.phone,
    ct.external_id,
    ct.attributes
"""
"""What rendering a message needs besides."""


def with_facts(statement: str) -> TextClause:
    """A statement that uses the fragments above: `:max_lateness` is an interval."""
    return text(statement).bindparams(bindparam("max_lateness", type_=Interval))
