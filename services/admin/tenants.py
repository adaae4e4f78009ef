"""The pages of tenants: who there is, how one stands and why, and what can be done about it."""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from litestar import MediaType, Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery, QueryParameter

from services.admin.acting import Acting
from services.admin.holds import holds, work
from services.admin.limits import defaults, limited
from services.admin.screen import Screen, Screening
from services.admin.tenancy import look, overridden, read
from shared.errors import NotFound, OutOfRange
from shared.jobs import QUEUES
from shared.limits.config import DEFAULTS, MAX_LIMIT, in_force
from shared.operate.standing import KINDS, MAX_WEIGHT
from shared.store import senders, tenant_rows
from shared.store.database import AsyncConnection
from shared.store.ids import parsed
from shared.store.pages import Page
from shared.store.tenant_rows import Only

LIMIT = 50

_COUNTED = 200  # of a tenant's sends by status, in the list
_WEIGHT = f"A weight is a whole number from 1 to {MAX_WEIGHT:,}."
_LIMIT = f"A limit is a whole number from 0 to {MAX_LIMIT:,}, or nothing for the default."
_ONE = "/tenants/{tenant_id:uuid}"

Actors = NamedDependency[Acting]
Named = Annotated[str, QueryParameter(name="name", max_length=200)]
Id = FromPath[UUID]


@get("/tenants", media_type=MediaType.HTML)
async def tenants_page(
    acting: Actors,
    screen: Screening,
    name: Named = "",
    only: FromQuery[Only] = Only.ANY,
    after: FromQuery[str] = "",
) -> Response[str]:
    """Tenants by name."""
    page = Page(LIMIT + 1, parsed(after))
    found = await acting.database.run(
        partial(tenant_rows.page, page=page, search=name.strip() or None, only=only, counted=_COUNTED)
    )
    return screen.page(
        "tenants",
        name=name.strip(),
        only=only,
        choices=list(Only),
        tenants=found[:LIMIT],
        following=found[LIMIT - 1].id if len(found) > LIMIT else None,
        further=page.after is not None,
        counted=_COUNTED,
    )


@get(_ONE, media_type=MediaType.HTML)
async def tenant_page(
    tenant_id: Id, acting: Actors, screen: Screening, after: FromQuery[str] = ""
) -> Response[str]:
    """How a tenant stands, and what can be done."""
    return screen.page("tenant", **await _seen(tenant_id, acting, screen, after), queues=list(QUEUES))


@get(f"{_ONE}/live", media_type=MediaType.HTML)
async def tenant_live(tenant_id: Id, acting: Actors, screen: Screening, after: FromQuery[str] = "") -> str:
    """The parts of a tenant's page that change."""
    return screen.part("tenant_live", **await _seen(tenant_id, acting, screen, after))


@get(f"{_ONE}/limits", media_type=MediaType.HTML)
async def limits_page(
    tenant_id: Id,
    acting: Actors,
    screen: Screening,
    channel: FromQuery[str] = "email",
    sender: FromQuery[UUID | None] = None,
) -> Response[str]:
    """The limits of a tenant on a channel, or of one of its senders, to be changed."""
    if channel not in DEFAULTS:
        raise NotFoundException

    async def work(tx: AsyncConnection) -> dict[str, Any]:
        if sender is not None:
            await senders.on_channel(tx, tenant_id, sender, channel)
        overrides = await overridden(tx, tenant_id, [sender] if sender is not None else [])
        return {
            "tenant": await tenant_rows.find(tx, tenant_id),
            "sender": await senders.get(tx, tenant_id, sender) if sender is not None else None,
            "own": overrides[channel].get(sender, {}),
            "default": defaults(overrides, channel, sender),
            "now": in_force(channel, overrides[channel], sender),
        }

    given = await acting.database.run(work)
    return screen.page("limits", channel=channel, kinds=KINDS, most=MAX_LIMIT, **given)


@post(f"{_ONE}/pause", media_type=MediaType.HTML)
async def pause(tenant_id: Id, acting: Actors, screen: Screening) -> Response[str]:
    """Pause a tenant, in one queue or in all."""
    queue = screen.form.get("queue") or None
    added = await acting.desk(screen.session).pause(queue, await _name(tenant_id, acting), screen.reason)
    if not added:
        return screen.done("It was paused already.")
    return screen.done(f"Paused in {queue or 'every queue'}: what runs ends, and what waits stays.")


@post(f"{_ONE}/resume", media_type=MediaType.HTML)
async def resume(tenant_id: Id, acting: Actors, screen: Screening) -> Response[str]:
    """Lift a pause of a tenant."""
    queue = screen.form.get("queue") or None
    await acting.desk(screen.session).resume(queue, await _name(tenant_id, acting))
    return screen.done(f"Resumed in {queue or 'every queue'}: it goes on within seconds.")


@post(f"{_ONE}/weight", media_type=MediaType.HTML)
async def weigh(tenant_id: Id, acting: Actors, screen: Screening) -> Response[str]:
    """Give a tenant another share of the workers."""
    weight = _number(screen, "weight", _WEIGHT)
    if weight is None:
        raise OutOfRange(_WEIGHT)
    await acting.desk(screen.session).weigh(await _name(tenant_id, acting), weight)
    return screen.done(f"Its weight is {weight} now.")


@post(f"{_ONE}/limits", media_type=MediaType.HTML)
async def limit(tenant_id: Id, acting: Actors, screen: Screening) -> Response[str]:
    """Override limits of a tenant on a channel or of one of its senders, or take overrides away.

    Only what was changed on the form: somebody else may have changed the rest meanwhile.
    """
    form = screen.form
    changed = [kind for kind in KINDS if form.get(kind, "").strip() != form.get(f"was_{kind}", "")]
    limits = {kind: _number(screen, kind, _LIMIT) for kind in changed}
    if not limits:
        return screen.done("Nothing was changed.")
    sender = _sender(screen) if form.get("sender") else None
    channel, name = form.get("channel", ""), await _name(tenant_id, acting)
    await acting.desk(screen.session).limit(name, channel, sender, limits)
    words = [
        f"{kind} {value:,}" if value is not None else f"{kind} as by default"
        for kind, value in limits.items()
    ]
    return screen.done(f"In force within seconds: {', '.join(words)}.", f"/tenants/{tenant_id}")


@post(f"{_ONE}/reopen", media_type=MediaType.HTML)
async def reopen(tenant_id: Id, acting: Actors, screen: Screening) -> Response[str]:
    """End a sender's closures."""
    await acting.desk(screen.session).reopen(await _name(tenant_id, acting), _sender(screen))
    return screen.done("Reopened: its waiting sends go on within seconds.")


async def _seen(tenant_id: UUID, acting: Acting, screen: Screen, after: str) -> dict[str, Any]:
    place = parsed(after)
    rows = await read(acting.database, tenant_id, place)
    motion = await look(acting.queues, rows)
    return {
        "rows": rows,
        "holds": holds(rows, motion, screen.shown),
        "work": work(rows, motion),
        "limits": list(limited(rows, motion)),
        "after": place or "",
    }


async def _name(tenant_id: UUID, acting: Acting) -> str:
    """What the desk calls a tenant. Raises NotFound."""
    name: str = (await acting.database.run(lambda tx: tenant_rows.find(tx, tenant_id))).name
    return name


def _sender(screen: Screen) -> UUID:
    """The sender that the form is about. Raises NotFound."""
    sender = parsed(screen.form.get("sender", ""))
    if sender is None:
        raise NotFound("There is no such sender.")
    return sender


def _number(screen: Screen, name: str, sense: str) -> int | None:
    """A number of the form; None: the field is empty. Raises OutOfRange, with what makes sense there."""
    text = screen.form.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_LIMIT))):
        raise OutOfRange(sense)
    return int(text)


ROUTES = (
    *(tenants_page, tenant_page, tenant_live, limits_page),
    *(pause, resume, weigh, limit, reopen),
)
