"""The page of the audit: who did what and when, by these pages or by the command line."""

from collections.abc import Mapping
from typing import Any

from litestar import MediaType, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from services.admin import scope
from services.admin.acting import Acting
from services.admin.scope import Whose
from services.admin.screen import Screening
from shared.store import audit
from shared.store.database import AsyncConnection, Row
from shared.store.ids import parsed
from shared.store.pages import Page

LIMIT = 50


@get("/audit", media_type=MediaType.HTML)
async def audit_page(
    acting: NamedDependency[Acting],
    screen: Screening,
    tenant: FromQuery[str] = "",
    actor: FromQuery[str] = "",
    action: FromQuery[str] = "",
    cursor: FromQuery[str] = "",
) -> Response[str]:
    """What was done, the latest first."""
    sought = {"actor": actor.strip(), "action": action.strip()}
    page = Page(LIMIT, parsed(cursor))
    of, rows = await acting.database.run(lambda tx: _entries(tx, page, tenant, sought))
    missing = of.missing and not rows
    return screen.page(
        "audit",
        404 if missing else 200,
        of=of,
        missing=missing,
        entries=[(row, _said(row.detail)) for row in rows],
        sought=sought,
        following=rows[-1].id if len(rows) == LIMIT else None,
        further=bool(cursor),
    )


async def _entries(
    tx: AsyncConnection, page: Page, tenant: str, sought: Mapping[str, str]
) -> tuple[Whose, list[Row[Any]]]:
    of = await scope.called(tx, tenant)
    # What was done to a tenant that is gone is found by its id.
    tenant_id = of.id or parsed(of.words)
    if of.missing and tenant_id is None:
        return of, []
    return of, await audit.page(tx, page, tenant_id, sought["actor"] or None, sought["action"] or None)


def _said(detail: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in detail.items())


ROUTES = (audit_page,)
