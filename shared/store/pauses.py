"""Pauses: of a queue, of a tenant, of a tenant in a queue, or of everything; the row first, then Redis."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.dialects.postgresql import insert

from shared.errors import NotFound
from shared.store.database import AsyncConnection
from shared.store.ids import uuid7
from shared.store.tables import pauses, tenants


@dataclass(frozen=True, slots=True)
class Pause:
    """What stands still; None stands for every queue or every tenant."""

    queue: str | None
    tenant_id: UUID | None

    def holds(self, queue: str, tenant_id: UUID | None = None) -> bool:
        """Whether a queue, or a tenant in it, stands still because of this pause."""
        return self.queue in (None, queue) and self.tenant_id in (None, tenant_id)


async def add(connection: AsyncConnection, pause: Pause, reason: str = "") -> bool:
    """Pause; to pause twice changes nothing, and is False."""
    statement = insert(pauses).values(id=uuid7(), queue=pause.queue, tenant_id=pause.tenant_id, reason=reason)
    return (await connection.execute(statement.on_conflict_do_nothing())).rowcount > 0


async def lift(connection: AsyncConnection, pause: Pause) -> None:
    """Lift exactly this pause. Raises NotFound: there is none; a wider pause may hold all the same."""
    if (await connection.execute(delete(pauses).where(_is(pause)))).rowcount == 0:
        raise NotFound("There is no such pause: `outreach queues` lists those there are.")


async def current(connection: AsyncConnection) -> list[Pause]:
    """Every pause in force."""
    rows = await connection.execute(select(pauses.c.queue, pauses.c.tenant_id).order_by(pauses.c.id))
    return [Pause(row.queue, row.tenant_id) for row in rows]


async def listed(connection: AsyncConnection) -> list[tuple[Pause, str | None, str, datetime]]:
    """Every pause in force with its tenant's name, its reason and its beginning."""
    query = select(pauses, tenants.c.name).join(tenants, tenants.c.id == pauses.c.tenant_id, isouter=True)
    rows = await connection.execute(query.order_by(pauses.c.id))
    return [(Pause(row.queue, row.tenant_id), row.name, row.reason, row.paused_at) for row in rows]


def _is(pause: Pause) -> ColumnElement[bool]:
    return pauses.c.queue.is_not_distinct_from(pause.queue) & pauses.c.tenant_id.is_not_distinct_from(
        pause.tenant_id
    )
