"""The books of a run: what is in the tables that its verdict is drawn from.

Read whole, for a demo's few thousand rows, and shown as a few figures while it runs.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.sql.elements import TextClause

from shared.store.database import AsyncConnection


class Enrolment(NamedTuple):
    """A contact in a campaign; `exit` None: still there."""

    tenant_id: UUID
    contact_id: UUID
    exit: str | None


class Action(NamedTuple):
    """A send or a timeout; `status_at` of a fired timeout is when it fired."""

    tenant_id: UUID
    id: UUID
    kind: str
    status: str
    reason: str | None
    visit_id: UUID
    event_type: str | None
    scheduled_at: datetime
    due_at: datetime
    status_at: datetime


class Attempt(NamedTuple):
    """One time that a send reached the provider's door."""

    tenant_id: UUID
    channel: str
    sender_id: UUID
    cost: int
    charged_at: datetime
    submitted_at: datetime
    given_back: bool


class Event(NamedTuple):
    """What a provider told; `received_at` is when a gateway took the post that held it."""

    tenant_id: UUID
    visit_id: UUID | None
    type: str
    automated: str
    occurred_at: datetime
    received_at: datetime


class Limit(NamedTuple):
    """An override; `sender_id` None: of the tenant on the channel."""

    tenant_id: UUID
    channel: str
    sender_id: UUID | None
    kind: str
    limit: int


class Progress(NamedTuple):
    """How far a tenant is: contacts; sends accepted, waiting, in doubt; timeouts to come; deliveries left."""

    tenant_id: UUID
    name: str
    contacts: int
    exited: int
    accepted: int
    waiting: int
    in_doubt: int
    timeouts: int
    unprocessed: int


@dataclass(frozen=True, slots=True)
class Books:
    """Everything, of every tenant."""

    enrolments: list[Enrolment]
    actions: list[Action]
    attempts: list[Attempt]
    events: list[Event]
    limits: list[Limit]


_ENROLMENTS = text("select tenant_id, contact_id, exit from enrollments")

_ACTIONS = text("""
select tenant_id, id, kind, status, reason, visit_id, event_type, scheduled_at, due_at, status_at
from scheduled_actions
""")

_ATTEMPTS = text("""
select tenant_id, channel, sender_id, cost, charged_at, submitted_at, given_back
from attempts order by charged_at
""")

_EVENTS = text("""
select e.tenant_id, e.visit_id, e.type, e.automated, e.occurred_at, d.received_at
from events e join deliveries d on d.tenant_id = e.tenant_id and d.id = e.delivery_id
""")

_LIMITS = text('select tenant_id, channel, sender_id, kind, "limit" from rate_limits')

_PROGRESS = text("""
select t.id as tenant_id, t.name, enrolled.*, sends.*, deliveries.*
from tenants t
cross join lateral (
    select count(*) as contacts, count(exited_at) as exited from enrollments e where e.tenant_id = t.id
) enrolled
cross join lateral (
    select
        count(*) filter (where kind = 'send' and status = 'accepted') as accepted,
        count(*) filter (where kind = 'send' and status in ('pending', 'enqueued', 'held')) as waiting,
        count(*) filter (where status in ('submitting', 'unknown')) as in_doubt,
        count(*) filter (where kind = 'timeout' and status in ('pending', 'enqueued', 'held')) as timeouts
    from scheduled_actions a where a.tenant_id = t.id
) sends
cross join lateral (
    select count(*) as unprocessed from deliveries d
    where d.tenant_id = t.id and d.state in ('received', 'processing', 'parked')
) deliveries
order by t.id
""")

_IN_WORK = text("select count(*) from deliveries where state = 'processing'")

Line = TypeVar("Line", Enrolment, Action, Attempt, Event, Limit, Progress)


async def read(connection: AsyncConnection) -> Books:
    """All the books as they are now."""
    return Books(
        await _lines(connection, _ENROLMENTS, Enrolment),
        await _lines(connection, _ACTIONS, Action),
        await _lines(connection, _ATTEMPTS, Attempt),
        await _lines(connection, _EVENTS, Event),
        await _lines(connection, _LIMITS, Limit),
    )


async def progress(connection: AsyncConnection) -> list[Progress]:
    """How far each tenant is."""
    return await _lines(connection, _PROGRESS, Progress)


async def deliveries_in_work(connection: AsyncConnection) -> int:
    """How many deliveries a webhook worker holds."""
    return int(await connection.scalar(_IN_WORK) or 0)


async def _lines(connection: AsyncConnection, query: TextClause, line: type[Line]) -> list[Line]:
    return [line(*row) for row in await connection.execute(query)]
