"""Tenancy: how a tenant stands, by its rows and in the queues; each read is bounded."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from heapq import nlargest
from typing import Any
from uuid import UUID

from shared.jobs import SENDS
from shared.limits.config import DEFAULTS, subject_of
from shared.loop import AWAY
from shared.queue.queue import Queue
from shared.queue.standing import Usage
from shared.queue.types import Running
from shared.store import limit_overrides, tenant_rows
from shared.store.database import AsyncConnection, Database, Row
from shared.store.limit_rows import Scope
from shared.store.pages import Page

SENDERS = 20
"""Of a page."""
CLOSURES = 20
"""No more are listed."""
LONGEST = 50
"""So many lines, the longest, are looked at for why they wait, whichever page their senders are on."""

_PATIENCE = timedelta(seconds=2)

Overrides = Mapping[str, Mapping[UUID | None, Mapping[str, int]]]
"""Limits by kind, by sender (None: the tenant itself), by channel."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What Postgres says. `following`: the sender that the next page begins behind; None: it is the last."""

    tenant: Row[Any]
    pauses: Sequence[Row[Any]]
    closures: Sequence[Row[Any]]
    work: Row[Any]
    overrides: Overrides
    senders: Sequence[Row[Any]]
    following: UUID | None
    lanes: Sequence[Row[Any]]


@dataclass(frozen=True, slots=True)
class Motion:
    """What Redis says: the tenant's jobs in each line of each queue, those that run, what limits leave.

    `usage` is of the tenant, its channels, the lanes of the page's senders, and those with the longest lines.
    `closed` are queues whose partition of the tenant does not serve, `deserted` those without a worker.
    """

    lanes: Mapping[str, Mapping[str, int]]
    running: Mapping[str, Running]
    usage: Mapping[str, Usage]
    closed: Collection[str]
    deserted: Collection[str]


async def read(database: Database, tenant_id: UUID, after: UUID | None = None) -> Rows:
    """Look at the rows. Raises NotFound."""

    async def work(tx: AsyncConnection) -> Rows:
        tenant = await tenant_rows.find(tx, tenant_id)
        senders = await tenant_rows.senders(tx, tenant_id, Page(SENDERS + 1, after))
        shown = senders[:SENDERS]
        return Rows(
            tenant,
            await tenant_rows.pauses(tx, tenant_id),
            await tenant_rows.closures(tx, tenant_id, CLOSURES + 1),
            await tenant_rows.work(tx, tenant_id),
            await overridden(tx, tenant_id, [each.id for each in shown]),
            shown,
            shown[-1].id if len(senders) > SENDERS else None,
            await tenant_rows.lanes(tx, tenant_id),
        )

    return await database.run(work)


async def overridden(tx: AsyncConnection, tenant_id: UUID, senders: Sequence[UUID]) -> Overrides:
    """The overrides of a tenant and of some of its senders, for every channel."""
    found: dict[str, dict[UUID | None, Mapping[str, int]]] = {channel: {} for channel in DEFAULTS}
    for row in await limit_overrides.read(tx, tenant_id, senders):
        found[row.channel][row.sender_id] = row.limits
    return found


async def look(queues: Mapping[str, Queue], rows: Rows) -> Motion | None:
    """Look at the queues; None while Redis is away: the rows can be acted on all the same."""
    try:
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            return await _look(queues, rows)
    except AWAY:
        return None


async def _look(queues: Mapping[str, Queue], rows: Rows) -> Motion:
    tenant, tenant_id = str(rows.tenant.id), rows.tenant.id
    shown = [_lane(tenant_id, each) for each in rows.senders]
    wanted = {name: [tenant] for name in queues}
    wanted[SENDS.name] = list({*shown, *(_lane(tenant_id, each) for each in rows.lanes)})
    lanes, running, closed, deserted = {}, {}, [], []
    for name, queue in queues.items():
        partition = queue.partition_of(tenant)
        lengths = await queue.lane_counts(partition, wanted[name])
        lanes[name] = dict(zip(wanted[name], lengths, strict=True))
        running[name] = await queue.running(partition, tenant)
        closed += [] if await queue.is_open(partition) else [name]
        deserted += [] if await queue.workers() else [name]
    subjects = [*_subjects(tenant_id), *shown, *_longest(lanes[SENDS.name])]
    sends = queues[SENDS.name]
    used = await sends.usage(sends.partition_of(tenant), list(dict.fromkeys(subjects)))
    return Motion(lanes, running, {each.subject: each for each in used}, closed, deserted)


def _subjects(tenant_id: UUID) -> list[str]:
    return [str(tenant_id), *(subject_of(Scope(tenant_id, channel, None)) for channel in DEFAULTS)]


def _longest(lines: Mapping[str, int]) -> list[str]:
    return nlargest(LONGEST, filter(lines.get, lines), key=lines.__getitem__)


def _lane(tenant_id: UUID, sender: Row[Any]) -> str:
    return subject_of(Scope(tenant_id, sender.channel, sender.id))
