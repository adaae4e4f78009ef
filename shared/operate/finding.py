"""Jobs by their ids: the row that each points at decides what may be done to it."""

from typing import Any
from uuid import UUID

from shared.errors import Conflict, JobMoved, NotFound
from shared.jobs import SENDS, TIMEOUTS, WEBHOOKS, JobState, job_id, parse_job_id
from shared.operate.base import Base
from shared.store import delivery_rows, operating, tenants
from shared.store.database import AsyncConnection, Row
from shared.store.visits import Key

QUEUE_OF = {"send": SENDS.name, "timeout": TIMEOUTS.name, "webhook": WEBHOOKS.name}
"""Where the jobs of each kind are."""

KIND_OF = {queue: kind for kind, queue in QUEUE_OF.items()}
"""What jobs a queue has."""

_WHY_NOT = {
    "pending": "It waits for its time, {due_at:%Y-%m-%d %H:%M:%S %Z}.",
    "enqueued": "It is on its way.",
    "held": "It is held by a pause, until that is lifted.",
    "submitting": "It is with its provider now, who may have taken it: nobody can call it back.",
    "accepted": "It was sent.",
    "unknown": "Nobody knows yet whether it was sent: a webhook or the tenant's policy tells in time.",
    "received": "It waits to be processed.",
    "processing": "It is being processed.",
    "parked": "It is parked, and looked at again {retry_at:%Y-%m-%d %H:%M:%S %Z}.",
}


class Finding(Base):
    """Finds rows by the ids of their jobs."""

    async def tenant_named(self, name: str | None) -> UUID | None:
        """A tenant's id by its name; None for None. Raises NotFound."""
        return None if name is None else await self._database.run(lambda tx: tenants.named(tx, name))

    async def _find(self, tx: AsyncConnection, wanted: str) -> tuple[str, Row[Any]]:
        """A job's kind, and its row with its tenant's name. Raises NotFound, and JobMoved."""
        kind, row_id, g = parsed(wanted)
        row = await (delivery_rows.find if kind == "webhook" else operating.find)(tx, row_id)
        if row is None or (kind != "webhook" and row.kind != kind):
            raise NotFound(f"There is no row of the job {wanted}.")
        if row.g != g:
            raise JobMoved(job_id(kind, row_id, row.g))
        return kind, row

    async def _again(self, tx: AsyncConnection, kind: str, row: Row[Any]) -> Row[Any]:
        """The row as it is now, where it was not as it was read. Raises NotFound, and JobMoved."""
        _, now = await self._find(tx, job_id(kind, row.id, row.g))
        return now

    async def _state(self, kind: str, row: Row[Any]) -> JobState | None:
        """Where the row's job is in Redis."""
        queue = self._queues[QUEUE_OF[kind]]
        (seen,) = await queue.look_up(queue.partition_of(str(row.tenant_id)), [job_id(kind, row.id, row.g)])
        return seen.state


def parsed(wanted: str) -> tuple[str, UUID, int]:
    """Kind, row and generation of a job's id. Raises NotFound for what is none."""
    try:
        kind, row_id, g = parse_job_id(wanted)
    except ValueError:
        kind = ""
    if kind not in QUEUE_OF:
        raise NotFound("There is no such job: ids are send:<id>:<g>, timeout:<id>:<g> and webhook:<id>:<g>.")
    return kind, row_id, g


NO_PLACE = "There is no such place in the list: go on behind one that a list printed."


def place_of(after: str | None) -> Key | None:
    """Where a list of failed sends goes on, as `said_place` said. Raises NotFound: it said no such thing."""
    if after is None:
        return None
    try:
        tenant_id, _, action_id = after.partition("/")
        return UUID(tenant_id), UUID(action_id)
    except ValueError as error:
        raise NotFound(NO_PLACE) from error


def said_place(place: Key | None) -> str | None:
    """A place in a list of failed sends as text; None is the end."""
    return f"{place[0]}/{place[1]}" if place is not None else None


def cannot(what: str, row: Row[Any]) -> Conflict:
    """Why something cannot be done to a row in its state."""
    fields = dict(row._mapping)
    state = str(fields.get("state") or fields["status"])
    why = _WHY_NOT.get(state, "It ended as {state}.").format(**{**fields, "state": state})
    return Conflict(f"It cannot be {what}. {why}")
