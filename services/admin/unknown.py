"""The page of sends whose outcome nobody knows: whose they are, since when, and what ends that."""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import MediaType, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from services.admin import places, scope
from services.admin.acting import Acting
from services.admin.scope import Whose
from services.admin.screen import Screening
from services.admin.settings import AdminSettings
from shared.jobs import SENDS, job_id
from shared.store import unknown_sends
from shared.store.database import AsyncConnection, Row
from shared.store.looking import MOST
from shared.store.unknown_sends import Listed, Spot

LIMIT = 50

_WHY = {
    "worker_lost": "its worker was lost while the provider had it",
    "restored": "it may have gone out after the snapshot that was restored",
}


@get("/unknown", media_type=MediaType.HTML)
async def unknown_page(
    acting: NamedDependency[Acting],
    screen: Screening,
    settings: NamedDependency[AdminSettings],
    tenant: FromQuery[str] = "",
    cursor: FromQuery[str] = "",
) -> Response[str]:
    """Sends in `unknown`."""
    place = places.read(cursor, UUID, UUID, datetime, UUID)
    spot = Spot(*place) if place is not None else None  # type: ignore[arg-type]  # of these kinds
    of, found, count = await acting.database.run(lambda tx: _listed(tx, tenant, spot))
    return screen.page(
        "unknown",
        404 if of.missing else 200,
        of=of,
        sends=[(job_id("send", row.id, row.g), _why(row), row) for row in found.rows],
        count=count,
        most=MOST,
        queue=SENDS.name,
        following=places.written(found.after),
        further=bool(cursor),
        window=settings.sends.unknown_window,
    )


async def _listed(tx: AsyncConnection, tenant: str, spot: Spot | None) -> tuple[Whose, Listed, int]:
    of = await scope.called(tx, tenant)
    if of.missing:
        return of, Listed([], None), 0
    found = await unknown_sends.page(tx, of.id, spot, LIMIT)
    return of, found, await unknown_sends.count(tx, of.id, MOST)


def _why(row: Row[Any]) -> str:
    return _WHY.get(row.reason, row.reason or "its answer was lost")


ROUTES = (unknown_page,)
