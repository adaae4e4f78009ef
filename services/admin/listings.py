"""Lists of deliveries: of a tenant or of all, in a state or in any, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.admin import places
from shared.store import delivery_lists, delivery_rows
from shared.store.database import AsyncConnection, Row
from shared.store.delivery_lists import Listed, Spot
from shared.store.pages import Page

LIMIT = 50
_LOOKS = 10
"""What has no index of its own is sought among so many pages of all."""


class Shown(StrEnum):
    """Which deliveries are listed."""

    ALL = "all"
    RECEIVED = "received"
    PROCESSING = "processing"
    PARKED = "parked"
    FAILED = "failed"
    PROCESSED = "processed"


@dataclass(frozen=True, slots=True)
class Listing:
    """Deliveries; `following` is the cursor of the next page, None after the last."""

    rows: Sequence[Row[Any]]
    following: str | None


async def listing(tx: AsyncConnection, tenant_id: UUID | None, which: Shown, cursor: str) -> Listing:
    """The page that begins at a cursor; a cursor that is none begins at the first."""
    rows: list[Row[Any]] = []
    place = places.read(cursor, datetime, UUID, UUID)
    spot = Spot(*place) if place is not None else None  # type: ignore[arg-type]  # of these kinds
    for _ in range(_LOOKS if which is Shown.PROCESSED else 1):
        found = await _page(tx, tenant_id, which, spot)
        rows += [row for row in found.rows if which in (Shown.ALL, row.state)]
        spot = found.after
        if spot is None or len(rows) >= LIMIT:
            break
    return Listing(rows, places.written(spot))


async def _page(tx: AsyncConnection, tenant_id: UUID | None, which: Shown, spot: Spot | None) -> Listed:
    state = which.value if which.value in delivery_rows.STATES else None
    if tenant_id is None:
        if state is None:
            return await delivery_lists.latest(tx, spot, LIMIT)
        return await delivery_lists.of_state(tx, state, spot, LIMIT)
    rows = await delivery_rows.page(tx, tenant_id, state, Page(LIMIT, spot.id if spot else None))
    last = rows[-1] if len(rows) == LIMIT else None
    return Listed(rows, Spot(last.received_at, tenant_id, last.id) if last is not None else None)
