"""Lists of a queue's jobs: sends that failed by their rows, all else as Redis has it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.admin.browsing import LIMIT, Browsing
from services.admin.whose import Whose
from shared.errors import NotFound
from shared.jobs import SENDS, JobState
from shared.operate import Desk
from shared.operate.finding import place_of
from shared.store import whose
from shared.store.database import AsyncConnection, Row


@dataclass(frozen=True, slots=True)
class Line:
    """A job in a list. `at`: since or until when it is where it is, as its state has it."""

    id: str
    tenant_id: str
    sender: str
    attempt: int
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Lane:
    """A sender whose line can be looked at, and how many entries it has."""

    tenant_id: str
    tenant: str
    sender_id: str
    channel: str
    address: str
    waiting: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of a list; `following` is the cursor of the next, None after the last."""

    lines: Sequence[Line]
    following: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which page of which list: a queue's jobs in a state, of whom, from a cursor on."""

    queue: str
    state: JobState
    whose: Whose
    cursor: str = ""


def by_rows(queue: str, state: JobState) -> bool:
    """Whether a list is read from the rows."""
    return queue == SENDS.name and state is JobState.FAILED


async def failed(desk: Desk, wanted: Wanted) -> Listed:
    """Failed sends by tenant, in the order they were made in; a cursor that is none begins at the first."""
    after = wanted.cursor if _is_place(wanted.cursor) else None
    listed = await desk.failed_sends(wanted.whose.which, after, LIMIT)
    lines = [
        Line(
            row["id"],
            str(row["tenant_id"]),
            f"{row['channel']}/{row['sender_id']}",
            row["tries"],
            row["status_at"],
            row["reason"] or "",
        )
        for row in listed.rows
    ]
    return Listed(lines, listed.after)


async def in_motion(browsing: Browsing, wanted: Wanted) -> Listed:
    """Jobs as Redis has them."""
    listing = await browsing.listing(wanted.queue, wanted.state, wanted.cursor, wanted.whose.lane)
    lines = [
        Line(
            each.id,
            *_split(each.lane),
            each.attempt,
            datetime.fromtimestamp(each.at_ms / 1000, UTC),
            each.reason,
        )
        for each in listing.jobs
    ]
    return Listed(lines, listing.following)


async def lanes(browsing: Browsing, queue: str, senders: Sequence[Row[Any]]) -> list[Lane]:
    """The lines of senders."""
    counts = await browsing.waiting(queue, [f"{row.tenant_id}/{row.channel}/{row.id}" for row in senders])
    return [
        Lane(str(row.tenant_id), row.tenant, str(row.id), row.channel, row.address, count)
        for row, count in zip(senders, counts, strict=True)
    ]


async def names(tx: AsyncConnection, lines: Iterable[Line]) -> dict[str, str]:
    """Tenants' names and senders' addresses by their ids, where they are ours."""
    keys = {key for line in lines if (key := _key(line)) is not None}
    tenants = await whose.names(tx, {tenant_id for tenant_id, _ in keys})
    senders = await whose.addresses(tx, {(tenant, sender) for tenant, sender in keys if sender is not None})
    return {str(each): name for each, name in (tenants | senders).items()}


def _key(line: Line) -> tuple[UUID, UUID | None] | None:
    _, _, sender = line.sender.partition("/")
    try:
        return UUID(line.tenant_id), UUID(sender) if sender else None
    except ValueError:
        return None  # a plain Taskiq task's lane is any word


def _split(lane: str) -> tuple[str, str]:
    tenant, _, sender = lane.partition("/")
    return tenant, sender


def _is_place(cursor: str) -> bool:
    try:
        return place_of(cursor) is not None
    except NotFound:
        return False
