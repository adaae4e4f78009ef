"""Timeline: all that happened to a contact, one sentence each, and all that still waits, the latest first."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.admin import sentences
from shared.campaigns.compiled import Compiled
from shared.campaigns.graphs import Graphs, Version
from shared.jobs import SENDS, TIMEOUTS, job_id
from shared.store import campaign_views, timelines
from shared.store.database import AsyncConnection
from shared.store.timelines import END, Spot

MOST = 50
"""Entries on a page."""

_CURSOR = re.compile(
    r"(\d{1,18})-(enrolled|moved|action|event)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
)
_LAST_MICROS = int(END.at.timestamp()) * 1_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened, or waits to. `link` leads to its job or delivery; `url` was clicked.

    `by` is the event that did it, and `by_cursor` the cursor of a page that begins with that event.
    """

    at: datetime
    apart: str
    kind: str
    id: UUID
    text: str
    campaign: str
    campaign_id: UUID | None
    mark: str = ""
    notes: Sequence[str] = ()
    link: str = ""
    by: UUID | None = None
    by_cursor: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A page of it; `following` is the cursor of the next, None after the last."""

    entries: Sequence[Entry]
    following: str | None


@dataclass
class _Rows:
    """The rows that the page's spots point at."""

    found: Mapping[str, Mapping[UUID, Any]]
    names: Mapping[UUID, str]
    attempts: Mapping[UUID, Sequence[Any]]
    graphs: Mapping[Version, Compiled]
    tenant_id: UUID
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


async def timeline(
    tx: AsyncConnection, graphs: Graphs, tenant_id: UUID, contact_id: UUID, cursor: str
) -> Timeline:
    """The page of a contact's timeline behind a cursor; a cursor that is none begins at the first."""
    spots = await timelines.spots(tx, tenant_id, contact_id, _spot(cursor), MOST + 1)
    shown = spots[:MOST]
    rows = await _rows(tx, graphs, tenant_id, shown)
    entries = [_MAKE[spot.kind](spot, row, rows) for spot in shown if (row := _of(rows, spot)) is not None]
    return Timeline(entries, _cursor(shown[-1]) if len(spots) > MOST else None)


def _spot(cursor: str) -> Spot:
    parsed = _CURSOR.fullmatch(cursor)
    if parsed is None or int(parsed[1]) > _LAST_MICROS:
        return END
    seconds, micros = divmod(int(parsed[1]), 1_000_000)
    return Spot(datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros), parsed[2], UUID(parsed[3]))


def _cursor(spot: Spot) -> str:
    seconds = int(spot.at.replace(microsecond=0).timestamp())
    return f"{seconds * 1_000_000 + spot.at.microsecond}-{spot.kind}-{spot.id}"


async def _rows(tx: AsyncConnection, graphs: Graphs, tenant_id: UUID, spots: Sequence[Spot]) -> _Rows:
    ids: dict[str, list[UUID]] = defaultdict(list)
    for spot in spots:
        ids[spot.kind].append(spot.id)
    reads = {
        "enrolled": timelines.enrolments,
        "moved": timelines.moves,
        "action": timelines.actions,
        "event": timelines.events,
    }
    found = {kind: {row.id: row for row in await reads[kind](tx, tenant_id, ids[kind])} for kind in ids}
    campaigns = {row.campaign_id for rows in found.values() for row in rows.values() if row.campaign_id}
    sends = [row for row in found.get("action", {}).values() if row.kind == "send"]
    tried: dict[UUID, list[Any]] = defaultdict(list)
    if sends:
        since = min(row.created_at for row in sends)
        for each in await timelines.attempts(tx, tenant_id, [row.id for row in sends], since):
            tried[each.action_id].append(each)
    wanted = {_version(tenant_id, row) for row in found.get("event", {}).values() if row.campaign_version}
    return _Rows(
        found,
        await campaign_views.names(tx, tenant_id, campaigns),
        tried,
        await graphs.load(tx, wanted),
        tenant_id,
    )


def _of(rows: _Rows, spot: Spot) -> Any:
    return rows.found[spot.kind].get(spot.id)


def _version(tenant_id: UUID, row: Any) -> Version:
    return Version(tenant_id, row.campaign_id, row.campaign_version)


def _entry(spot: Spot, row: Any, rows: _Rows, kind: str, text: str, **more: Any) -> Entry:
    name = rows.names.get(row.campaign_id, "")
    return Entry(
        spot.at, sentences.apart(spot.at, rows.now), kind, spot.id, text, name, row.campaign_id, **more
    )


def _enrolled(spot: Spot, row: Any, rows: _Rows) -> Entry:
    return _entry(spot, row, rows, "enrolment", "Enrolled.")


def _moved(spot: Spot, row: Any, rows: _Rows) -> Entry:
    behind = Spot(row.event_at, "event", UUID(int=row.event_id.int + 1)) if row.event_at is not None else None
    cursor = _cursor(behind) if behind is not None else ""
    return _entry(spot, row, rows, "transition", sentences.moved(row), by=row.event_id, by_cursor=cursor)


def _action(spot: Spot, row: Any, rows: _Rows) -> Entry:
    queue = SENDS.name if row.kind == "send" else TIMEOUTS.name
    link = f"/queues/{queue}/job?id={job_id(row.kind, row.id, row.g)}"
    sentence = sentences.action(row, rows.now)
    text = f"At {row.node_id}: {sentence[0].lower()}{sentence[1:]}"
    notes = _notes(row, rows) if row.kind == "send" else ()
    return _entry(spot, row, rows, row.kind, text, notes=notes, link=link)


def _notes(row: Any, rows: _Rows) -> list[str]:
    told = {
        row.channel: row.recipient,
        "message id": row.message_id,
        "the provider last said": row.delivery_status,
    }
    about = [f"{name} {value}" for name, value in told.items() if value]
    about += filter(None, [sentences.late(row)])
    tries = [sentences.attempt(each) for each in rows.attempts.get(row.id, ())]
    return [", ".join(about), *tries] if about else tries


def _event(spot: Spot, row: Any, rows: _Rows) -> Entry:
    graph = rows.graphs.get(_version(rows.tenant_id, row)) if row.campaign_version else None
    notes = [each for each in (sentences.told(row), row.reason) if each]
    return _entry(
        spot,
        row,
        rows,
        "event",
        sentences.event(row, graph),
        mark=row.automated if row.automated != "none" else "late" if row.effect == "late" else "",
        notes=notes,
        link=f"/deliveries/{row.delivery_id}" if row.delivery_id else "",
        url=row.url or "",
    )


_MAKE: Mapping[str, Callable[[Spot, Any, _Rows], Entry]] = {
    "enrolled": _enrolled,
    "moved": _moved,
    "action": _action,
    "event": _event,
}
