"""The pages of deliveries: what providers posted, what became of it, and to let it be processed anew."""

from typing import Annotated, Any
from uuid import UUID

from litestar import MediaType, Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import PermissionDeniedException
from litestar.params import FromPath, FromQuery, QueryParameter

from services.admin import bodies, scope
from services.admin.acting import Acting
from services.admin.listings import Listing, Shown, listing
from services.admin.outcomes import outcomes, standing
from services.admin.scope import Whose
from services.admin.screen import Screening
from services.admin.settings import AdminSettings
from services.admin.words import many, shortened
from shared.errors import NotFound
from shared.jobs import SENDS, WEBHOOKS, job_id
from shared.store import delivery_events, delivery_lists, delivery_rows
from shared.store.database import AsyncConnection, Row
from shared.store.ids import parsed
from shared.store.looking import MOST

Actors = NamedDependency[Acting]
Chosen = NamedDependency[AdminSettings]
State = Annotated[Shown, QueryParameter(name="state")]
First = Annotated[int, QueryParameter(name="from", ge=0, le=1_000_000)]

EVENTS = 50
AT_ONCE = 5_000
"""Deliveries that one form replays: its page must come in time."""

_NONE = "There is no such delivery, or its day is no longer kept."


@get("/deliveries", media_type=MediaType.HTML)
async def deliveries_page(
    acting: Actors,
    screen: Screening,
    settings: Chosen,
    chosen: State = Shown.ALL,
    tenant: FromQuery[str] = "",
    cursor: FromQuery[str] = "",
) -> Response[str]:
    """Deliveries in a state."""
    of, found, counts = await acting.database.run(lambda tx: _listed(tx, tenant, chosen, cursor))
    return screen.page(
        "deliveries",
        404 if of.missing else 200,
        of=of,
        listing=found,
        counts=counts,
        most=MOST,
        state=chosen,
        states=list(Shown),
        webhooks=settings.webhooks,
        further=bool(cursor),
        replayed=delivery_rows.REPLAYED,
    )


@get("/deliveries/unmatched", media_type=MediaType.HTML)
async def unmatched_page(
    acting: Actors, screen: Screening, tenant: FromQuery[str] = "", cursor: FromQuery[str] = ""
) -> Response[str]:
    """A tenant's events that match no send."""

    async def work(tx: AsyncConnection) -> tuple[Whose, tuple[list[Row[Any]], UUID | None]]:
        of = await scope.called(tx, tenant)
        if of.id is None:
            return of, ([], None)
        looked = delivery_events.LOOKED
        return of, await delivery_events.unmatched(tx, of.id, parsed(cursor), looked)

    of, (rows, following) = await acting.database.run(work)
    return screen.page(
        "unmatched",
        404 if of.missing else 200,
        of=of,
        rows=rows,
        following=following,
        further=bool(cursor),
        looked=delivery_events.LOOKED,
    )


@get("/deliveries/{delivery_id:uuid}", media_type=MediaType.HTML)
async def delivery_page(
    delivery_id: FromPath[UUID], acting: Actors, screen: Screening, settings: Chosen, first: First = 0
) -> Response[str]:
    """One delivery."""
    row = await _found(acting, delivery_id)
    held = await bodies.held(row)
    events = held[first : first + EVENTS]
    keys = [event.natural_key for event in events]
    known = await acting.database.run(lambda tx: delivery_events.known(tx, row.tenant_id, keys))
    return screen.page(
        "delivery",
        row=row,
        queue=WEBHOOKS.name,
        sends=SENDS.name,
        job=job_id("webhook", row.id, row.g),
        standing=standing(row, settings.webhooks),
        outcomes=outcomes(row, events, known),
        held=len(held),
        first=first,
        following=first + EVENTS if first + EVENTS < len(held) else None,
        query=bodies.fields(row.query),
        body=bodies.read(row.body, row.headers, screen.shown, screen.session.may_act),
    )


@get("/deliveries/{delivery_id:uuid}/body")
async def delivery_body(delivery_id: FromPath[UUID], acting: Actors, screen: Screening) -> Response[bytes]:
    """A body as it was posted, to be kept as a file: no browser shows it."""
    if not screen.session.may_act:
        raise PermissionDeniedException
    row = await _found(acting, delivery_id)
    name = f'attachment; filename="delivery-{row.id}.bin"'
    return Response(row.body, media_type="application/octet-stream", headers={"content-disposition": name})


@post("/deliveries/{delivery_id:uuid}/replay")
async def replay(delivery_id: FromPath[UUID], acting: Actors, screen: Screening) -> Response[str]:
    """Let one be processed anew."""
    if not screen.is_sure:
        return screen.ask("Replay this delivery? What it did already is not done twice.", "Replay")
    job = await acting.desk(screen.session).replay(delivery_id)
    return screen.done(f"It is processed anew, by the job {job}.")


@post("/deliveries/replay")
async def replay_all(acting: Actors, screen: Screening) -> Response[str]:
    """Let all that failed or are parked, of a tenant or all, be processed anew."""
    state, words = screen.form.get("state", ""), screen.form.get("tenant", "")

    async def work(tx: AsyncConnection) -> tuple[Whose, int]:
        of = await scope.called(tx, words)
        return of, (await delivery_lists.counts(tx, of.id, MOST)).get(state, 0)

    of, count = await acting.database.run(work)
    if of.missing:
        raise NotFound(f"There is no tenant {shortened(words, 80)}.")
    if not count and state in delivery_rows.REPLAYED:
        return screen.done(f"No delivery of {shortened(of.name, 80)} is {state}.")
    named = many(count, f"{state} delivery", f"{state} deliveries") + (" or more" if count == MOST else "")
    if count and not screen.is_sure:
        return screen.ask(f"Replay {named} of {shortened(of.name, 80)}?", "Replay them")
    tenant = of.name if of.row is not None else None
    done = await acting.desk(screen.session).replay_all(state, tenant, most=AT_ONCE)
    more = " That is as many as at once: replay the others, too." if done >= AT_ONCE else ""
    return screen.done(f"{many(done, 'delivery is', 'deliveries are')} processed anew.{more}")


async def _listed(
    tx: AsyncConnection, tenant: str, chosen: Shown, cursor: str
) -> tuple[Whose, Listing, dict[str, int]]:
    of = await scope.called(tx, tenant)
    if of.missing:
        return of, Listing([], None), {}
    found = await listing(tx, of.id, chosen, cursor)
    return of, found, await delivery_lists.counts(tx, of.id, MOST)


async def _found(acting: Acting, delivery_id: UUID) -> Row[Any]:
    row = await acting.database.run(lambda tx: delivery_rows.find(tx, delivery_id))
    if row is None:
        raise NotFound(_NONE)
    return row


ROUTES = (deliveries_page, unmatched_page, delivery_page, delivery_body, replay, replay_all)
