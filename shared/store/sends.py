"""Sends in work: what the worker reads, the mark it writes before it submits, and what came of it.

Who records locks the visits first (`shared.store.visits.lock`), as everybody does who may move one.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.types import Interval

from shared.store.database import AsyncConnection
from shared.store.facts import CONTENT, FACTS, JOINS, with_facts
from shared.store.sets import checked, columns


class Claim(NamedTuple):
    """A send as its job names it."""

    tenant_id: UUID
    id: UUID
    g: int


class Submission(NamedTuple):
    """A send about to go out: where to, and when the engine charged for it."""

    tenant_id: UUID
    id: UUID
    g: int
    recipient: str
    charged_at: datetime


class Change(NamedTuple):
    """A send that does not go out now: a status, why, and when to look again (`pending`)."""

    tenant_id: UUID
    id: UUID
    g: int
    status: str
    reason: str | None
    due_at: datetime | None
    cost: int | None = None


class Record(NamedTuple):
    """What came of a submission. `tries` is 1 where it used one up; `pending` has a time or a delay."""

    tenant_id: UUID
    id: UUID
    g: int
    status: str
    outcome: str
    reason: str | None
    message_id: str | None
    tries: int
    delay: timedelta
    due_at: datetime | None
    given_back: bool


CLAIMED = checked("a.status = 'enqueued'") + " and a.g = wanted.g"
"""The generation check: a job whose row has moved on may do nothing to it."""

_WANTED = """
unnest(cast(:tenant_id as uuid[]), cast(:id as uuid[]), cast(:g as int[])) as wanted (tenant_id, id, g)"""

_READ = with_facts(f"""
select
    a.tenant_id, a.id, a.g, a.visit_id, a.campaign_id, a.contact_id, a.node_id, a.channel, a.sender_id,
    a.cost, a.tries, s.address as sender_address, s.name as sender_name, pa.provider, pa.credentials,
    pa.base_url, {CONTENT}, {FACTS},
    (
        select w.id from webhook_endpoints w
        where w.tenant_id = a.tenant_id and w.provider = pa.provider order by w.id limit 1
    ) as endpoint_id
from {_WANTED}
join scheduled_actions a using (tenant_id, id)
{JOINS}
left join provider_accounts pa on pa.tenant_id = s.tenant_id and pa.id = s.provider_account_id
where {CLAIMED}
""")

_SUBMIT = text(f"""
with wanted as (
    select * from unnest(
        cast(:tenant_id as uuid[]), cast(:id as uuid[]), cast(:g as int[]), cast(:recipient as text[]),
        cast(:charged_at as timestamptz[])
    ) as wanted (tenant_id, id, g, recipient, charged_at)
), locked as (
    select a.tenant_id, a.id, wanted.recipient, wanted.charged_at
    from wanted join scheduled_actions a using (tenant_id, id)
    where {CLAIMED}
    order by a.id for update of a
), submitting as (
    update scheduled_actions a set
        status = 'submitting', status_at = clock_timestamp(), recipient = locked.recipient, reason = null
    from locked where a.tenant_id = locked.tenant_id and a.id = locked.id
    returning a.tenant_id, a.id, a.g, a.channel, a.sender_id, a.cost, locked.charged_at
), attempted as (
    insert into attempts (tenant_id, action_id, g, charged_at, channel, sender_id, cost, submitted_at)
    select tenant_id, id, g, charged_at, channel, sender_id, cost, clock_timestamp() from submitting
)
select tenant_id, id, g from submitting
""")

# A definite answer ends a submission also where the sweeper has given it up as unknown, and an acceptance
# stands beside one that a webhook told first.
_RECORD = text("""
with wanted as (
    select * from unnest(
        cast(:tenant_id as uuid[]), cast(:id as uuid[]), cast(:g as int[]), cast(:status as text[]),
        cast(:outcome as text[]), cast(:reason as text[]), cast(:message_id as text[]), cast(:tries as int[]),
        cast(:delay as interval[]), cast(:due_at as timestamptz[]), cast(:given_back as bool[])
    ) as wanted (
        tenant_id, id, g, status, outcome, reason, message_id, tries, delay, due_at, given_back
    )
), ended as (
    update attempts t set
        ended_at = now(), outcome = wanted.outcome, reason = wanted.reason, given_back = wanted.given_back
    from wanted
    where t.tenant_id = wanted.tenant_id and t.action_id = wanted.id and t.g = wanted.g
        and t.charged_at > now() - interval '2 days'
), locked as (
    select a.tenant_id, a.id from wanted join scheduled_actions a using (tenant_id, id)
    where a.g = wanted.g and (
        a.status in ('submitting', 'unknown') or (a.status = 'accepted' and wanted.status = 'accepted')
    )
    order by a.id for update of a
)
update scheduled_actions a set
    status = wanted.status,
    status_at = now(),
    g = a.g + case wanted.status when 'pending' then 1 else 0 end,
    due_at = case wanted.status
        when 'pending' then coalesce(wanted.due_at, now() + wanted.delay) else a.due_at end,
    tries = a.tries + wanted.tries,
    reason = wanted.reason,
    provider_message_id = coalesce(wanted.message_id, a.provider_message_id),
    accepted_at = case wanted.status when 'accepted' then coalesce(a.accepted_at, now()) end
from wanted join locked using (tenant_id, id)
where a.tenant_id = wanted.tenant_id and a.id = wanted.id
returning a.tenant_id, a.id, a.g, a.visit_id, a.status, a.reason, a.accepted_at
""")

_CHANGE = text(f"""
with wanted as (
    select * from unnest(
        cast(:tenant_id as uuid[]), cast(:id as uuid[]), cast(:g as int[]), cast(:status as text[]),
        cast(:reason as text[]), cast(:due_at as timestamptz[]), cast(:cost as int[])
    ) as wanted (tenant_id, id, g, status, reason, due_at, cost)
), locked as (
    select a.tenant_id, a.id from wanted join scheduled_actions a using (tenant_id, id)
    where {CLAIMED} or ({checked("a.status = 'pending'")} and a.g = wanted.g)
    order by a.id for update of a
)
update scheduled_actions a set
    status = wanted.status,
    status_at = now(),
    g = a.g + case when wanted.status = 'pending' and a.status = 'enqueued' then 1 else 0 end,
    due_at = case wanted.status
        when 'pending' then coalesce(wanted.due_at, now() + :look_again) else a.due_at end,
    reason = wanted.reason,
    cost = coalesce(wanted.cost, a.cost)
from wanted join locked using (tenant_id, id)
where a.tenant_id = wanted.tenant_id and a.id = wanted.id
returning a.tenant_id, a.id, a.visit_id, a.status, a.reason
""").bindparams(bindparam("look_again", type_=Interval))


async def read(tx: AsyncConnection, claims: Sequence[Claim], max_lateness: timedelta) -> list[Row[Any]]:
    """Everything about the sends that are still as claimed: the facts, the content, who sends it by what."""
    return list(await tx.execute(_READ, {**columns(Claim._fields, claims), "max_lateness": max_lateness}))


async def submit(tx: AsyncConnection, submissions: Sequence[Submission]) -> set[Claim]:
    """Mark sends as submitting under the g they were claimed with, and note the attempts; those marked."""
    rows = await tx.execute(_SUBMIT, columns(Submission._fields, submissions))
    return {Claim(*row) for row in rows}


async def record(tx: AsyncConnection, records: Sequence[Record]) -> list[Row[Any]]:
    """Write outcomes; the rows that changed: tenant_id, id, g, visit_id, status, reason, accepted_at."""
    return list(await tx.execute(_RECORD, columns(Record._fields, records)))


async def change(tx: AsyncConnection, changes: Sequence[Change], look_again: timedelta) -> list[Row[Any]]:
    """End or put off sends that are still as claimed, or pending: tenant_id, id, visit_id, status, reason.

    A row that was enqueued and goes back to pending is raised a generation.
    """
    return list(await tx.execute(_CHANGE, {**columns(Change._fields, changes), "look_again": look_again}))
