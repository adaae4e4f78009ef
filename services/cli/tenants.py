"""`outreach tenants`, `keys` and `senders`."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import typer

from services.cli.shell import JsonOption, at_desk, in_database, run, show
from shared.limits.config import MAX_LIMIT
from shared.operate.standing import KINDS, MAX_WEIGHT
from shared.store import api_keys, closures, limit_overrides, tenant_rows, tenants
from shared.store.database import AsyncConnection
from shared.store.pages import Page

tenants_app = typer.Typer(no_args_is_help=True, help="Tenants: their weights and limits.")
keys_app = typer.Typer(no_args_is_help=True, help="API keys of a tenant; a key is shown once.")
senders_app = typer.Typer(no_args_is_help=True, help="Senders.")

Limit = Annotated[int | None, typer.Option(min=0, max=MAX_LIMIT)]


class Channel(StrEnum):
    """By what is sent."""

    EMAIL = "email"
    SMS = "sms"


@tenants_app.command("create")
def create_tenant(name: str, weight: Annotated[int, typer.Option(min=1, max=MAX_WEIGHT)] = 1) -> None:
    """Make a tenant and print its id."""
    if not name.strip():
        raise typer.BadParameter("A tenant has a name: other commands call it by that.")
    typer.echo(run(at_desk(lambda desk: desk.create_tenant(name, weight))))


@tenants_app.command("list")
def list_tenants(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    after: Annotated[UUID | None, typer.Option(help="Go on behind this tenant's id.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List tenants: weight, pauses, closed senders, and sends by status, each counted up to 1,000."""

    async def work(tx: AsyncConnection) -> list[dict[str, Any]]:
        return [dict(row._mapping) for row in await tenant_rows.page(tx, Page(limit, after))]

    show(run(in_database(work)), as_json)


@tenants_app.command("weight")
def weigh_tenant(name: str, weight: Annotated[int, typer.Argument(min=1, max=MAX_WEIGHT)]) -> None:
    """Set a tenant's share of the workers, beside a weight of 1 of the others."""
    run(at_desk(lambda desk: desk.weigh(name, weight)))


@tenants_app.command("limits")
def limit_tenant(
    name: str,
    channel: Annotated[Channel, typer.Option(help="Of which channel.")] = Channel.EMAIL,
    sender: Annotated[UUID | None, typer.Option(help="Of this sender alone.")] = None,
    minute: Limit = None,
    hour: Limit = None,
    day: Limit = None,
    concurrent: Limit = None,
    unset: Annotated[list[str] | None, typer.Option(help="Give this kind its default again.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Override limits of a tenant or a sender and take overrides away; or, without any, list them."""
    given = {"minute": minute, "hour": hour, "day": day, "concurrent": concurrent}
    changes = {kind: limit for kind, limit in given.items() if limit is not None}
    dropped: dict[str, int | None] = dict.fromkeys(unset or ())
    if not dropped.keys() <= set(KINDS) or dropped.keys() & changes.keys():
        raise typer.BadParameter(f"Unset one of {', '.join(KINDS)} that is not set as well.")
    if changes or dropped:
        run(at_desk(lambda desk: desk.limit(name, channel, sender, changes | dropped)))
        return

    async def work(tx: AsyncConnection) -> list[dict[str, Any]]:
        rows = await limit_overrides.read(tx, await tenants.named(tx, name))
        return [
            {"channel": row.channel, "sender": row.sender_id} | {kind: row.limits.get(kind) for kind in KINDS}
            for row in rows
        ]

    show(run(in_database(work)), as_json)


@keys_app.command("create")
def create_key(tenant: str, name: str = "default") -> None:
    """Make a key with every scope and print it, once."""
    typer.echo(run(at_desk(lambda desk: desk.create_key(tenant, name))).token)


@keys_app.command("list")
def list_keys(tenant: str, as_json: JsonOption = False) -> None:
    """Print the tenant's keys, without their secrets."""

    async def work(tx: AsyncConnection) -> list[dict[str, Any]]:
        rows = await api_keys.page(tx, await tenants.named(tx, tenant), Page(limit=1000))
        return [dict(row._mapping) for row in rows]

    show(run(in_database(work)), as_json)


@keys_app.command("rotate")
def rotate_key(tenant: str, key_id: UUID) -> None:
    """Print a key that takes over; the old one stays valid for a day."""
    typer.echo(run(at_desk(lambda desk: desk.rotate_key(tenant, key_id))).token)


@keys_app.command("revoke")
def revoke_key(tenant: str, key_id: UUID) -> None:
    """End a key; gateways know within seconds."""
    run(at_desk(lambda desk: desk.revoke_key(tenant, key_id)))


@senders_app.command("closed")
def list_closed(
    tenant: Annotated[str | None, typer.Option(help="One tenant, by name; without it, all.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """List closed senders, the longest closed first: whose, why, and until when (-: until reopened)."""

    async def work(tx: AsyncConnection) -> list[dict[str, Any]]:
        tenant_id = await tenants.named(tx, tenant) if tenant is not None else None
        return [dict(row._mapping) for row in await closures.standing(tx, tenant_id, limit)]

    show(run(in_database(work)), as_json)


@senders_app.command("reopen")
def reopen_sender(tenant: str, sender_id: UUID) -> None:
    """Open a sender that a provider's refusal closed; its waiting sends go on within seconds."""
    run(at_desk(lambda desk: desk.reopen(tenant, sender_id)))
