"""What an operator sees at a glance: counts that stop at a bound, the first few of what stands still.

No text is longer than 500 characters: it is read often, and only its beginning is shown.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.types import Interval

from shared.store.database import AsyncConnection

MOST = 1_000
"""No count goes further."""

LISTED = 20
"""No list is longer."""

_COUNTS = text("""
select
    (select count(*) from (
        select 1 from scheduled_actions where kind = 'send' and status = 'unknown' limit :most
    ) found) as unknown,
    (select count(*) from (
        select received_at from deliveries where state = 'received' limit :most
    ) found where received_at < now() - :age) as unprocessed,
    (select count(*) from (select 1 from deliveries where state = 'parked' limit :most) found) as parked,
    (select now() - at from gateway_beats) as gateway_silent
""").bindparams(bindparam("age", type_=Interval))

_CLOSED = text("""
select c.tenant_id, left(t.name, 500) as tenant, c.channel, left(s.address, 500) as address, c.reason, c.until
from closures c
join tenants t on t.id = c.tenant_id
left join senders s on s.tenant_id = c.tenant_id and s.id = c.sender_id
where c.until is null or c.until > now()
order by c.until nulls first, c.closed_at limit :most
""")

_PAUSED = text("""
select p.queue, p.tenant_id, left(t.name, 500) as tenant, left(p.reason, 500) as reason, p.paused_at
from pauses p left join tenants t on t.id = p.tenant_id
order by p.tenant_id nulls first, p.id limit :most
""")

_PARTITIONS = text("select name, partitions from queues")


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed sender; `address` None: a tenant's channel, `until` None: until somebody reopens it."""

    tenant_id: UUID
    tenant: str
    channel: str
    address: str | None
    reason: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Paused:
    """What stands still; None stands for every queue or every tenant."""

    queue: str | None
    tenant_id: UUID | None
    tenant: str | None
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Glance:
    """How the rows stand. Counts end at `MOST`, lists at `LISTED` and one that says that there are more.

    `unprocessed`: deliveries that nobody took up within a minute. `gateway_silent`: since a gateway last said
    that it serves; None where none ever did. `partitions`: how many each queue was made with.
    """

    unknown: int
    unprocessed: int
    parked: int
    gateway_silent: timedelta | None
    closed: tuple[Closed, ...]
    paused: tuple[Paused, ...]
    partitions: dict[str, int]


async def glance(connection: AsyncConnection, age: timedelta = timedelta(minutes=1)) -> Glance:
    """Look at the rows."""
    counts = (await connection.execute(_COUNTS, {"most": MOST, "age": age})).one()
    closed = await connection.execute(_CLOSED, {"most": LISTED + 1})
    paused = await connection.execute(_PAUSED, {"most": LISTED + 1})
    partitions = await connection.execute(_PARTITIONS)
    return Glance(
        counts.unknown,
        counts.unprocessed,
        counts.parked,
        counts.gateway_silent,
        tuple(Closed(*row) for row in closed),
        tuple(Paused(*row) for row in paused),
        {row.name: row.partitions for row in partitions},
    )
