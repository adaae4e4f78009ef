"""The `outreach` command. Each subcommand reads its settings when it runs, so `--help` needs none."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
import uvloop

from services.cli import operate
from services.cli.bench.run import measure
from services.cli.bench.sizes import FULL, QUICK
from services.cli.bench.table import table
from services.cli.columns import columns
from services.cli.demo import demo as run_demo
from services.cli.dev import dev as run_dev
from services.cli.doctor.examine import examine
from services.cli.doctor.findings import status, summary
from services.cli.doctor.patient import read
from services.cli.operate import in_database
from shared import log
from shared.errors import OutreachError
from shared.loop import AWAY
from shared.settings import DatabaseSettings, LogSettings
from shared.store import api_keys, tenants
from shared.store.database import AsyncConnection
from shared.store.migrate import upgrade
from shared.store.pages import Page

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    help="Durable, rate-limited, fair job queues for campaigns.",
    pretty_exceptions_enable=False,  # they would show local variables, secrets among them
)
tenants_app = typer.Typer(no_args_is_help=True, help="Tenants.")
keys_app = typer.Typer(no_args_is_help=True, help="API keys of a tenant; a key is shown once.")
senders_app = typer.Typer(no_args_is_help=True, help="Senders.")
bench_app = typer.Typer(no_args_is_help=True, help="Benchmarks.")
app.add_typer(tenants_app, name="tenants")
app.add_typer(keys_app, name="keys")
app.add_typer(senders_app, name="senders")
app.add_typer(bench_app, name="bench")

QueueOption = Annotated[str | None, typer.Option("--queue", help="One queue; without it, every queue.")]
TenantOption = Annotated[str | None, typer.Option("--tenant", help="One tenant, by name; without it, all.")]


def run(work: Awaitable[T], runner: Callable[[Coroutine[Any, Any, T]], T] = asyncio.run) -> T:
    """Run to the end; an error of ours, or a server that is away, is one line on stderr and status 1."""
    try:
        return runner(_awaited(work))
    except OutreachError as error:
        typer.echo(f"outreach: {error}", err=True)
        raise typer.Exit(1) from error
    except AWAY as error:
        typer.echo(f"outreach: {error}: look at DATABASE_URL and REDIS_URL.", err=True)
        raise typer.Exit(1) from error


async def _awaited(work: Awaitable[T]) -> T:
    return await work


@app.command()
def dev(
    folder: Annotated[Path, typer.Option(help="Where data is kept.")] = Path(".outreach"),
    port: Annotated[int, typer.Option(help="The public port.")] = 8080,
) -> None:
    """Run every service on embedded servers until Ctrl-C."""
    folder.mkdir(parents=True, exist_ok=True)
    run(run_dev(folder.resolve(), port))


@app.command()
def demo(
    contacts: Annotated[int, typer.Option(min=30, help="How many contacts to enrol.")] = 300,
    as_json: Annotated[bool, typer.Option("--json", help="The verdict as JSON, last on stdout.")] = False,
    folder: Annotated[Path | None, typer.Option(help="Keep data and logs here.")] = None,
) -> None:
    """Run campaigns of three tenants under kills and a Redis flush, and check the books."""
    raise typer.Exit(run(run_demo(contacts, as_json, folder)))


@app.command()
def migrate() -> None:
    """Bring the schema up to date."""

    async def work() -> None:
        await upgrade(DatabaseSettings().dsn)

    run(work())


@app.command()
def queues(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Depth by state of every queue's partitions, which of them are open, and every pause."""
    rows, pauses = run(operate.depths())
    if as_json:
        typer.echo(json.dumps(rows))
        return
    print_table(rows)
    if pauses:
        typer.echo()
        print_table(pauses)


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Look for what is wrong, and say what to do about it; exits 1 where there is a fault."""
    findings = run(examine(read()))
    rows = [finding.row() for finding in findings]
    if as_json:
        typer.echo(json.dumps(rows))
    else:
        print_table(rows)
        typer.echo(f"\n{summary(findings)}")
    raise typer.Exit(status(findings))


@app.command()
def pause(queue: QueueOption = None, tenant: TenantOption = None, reason: str = "") -> None:
    """Stop a queue, a tenant, a tenant in a queue, or everything; what runs ends, what waits stays."""
    run(operate.pause(queue, tenant, reason))


@app.command()
def resume(queue: QueueOption = None, tenant: TenantOption = None) -> None:
    """Lift exactly the pause that was made with the same options."""
    run(operate.resume(queue, tenant))


@tenants_app.command("create")
def create_tenant(name: str, weight: Annotated[int, typer.Option(min=1, max=1000)] = 1) -> None:
    """Make a tenant and print its id."""
    if not name.strip():
        raise typer.BadParameter("A tenant has a name: other commands call it by that.")
    typer.echo(run(in_database(lambda tx: tenants.create(tx, name, weight))))


@keys_app.command("create")
def create_key(tenant: str, name: str = "default") -> None:
    """Make a key with every scope and print it, once."""

    async def work(tx: AsyncConnection) -> api_keys.IssuedKey:
        return await api_keys.create(tx, await tenants.named(tx, tenant), name)

    typer.echo(run(in_database(work)).token)


@keys_app.command("list")
def list_keys(tenant: str) -> None:
    """Print the tenant's keys, without their secrets."""

    async def work(tx: AsyncConnection) -> list[dict[str, Any]]:
        rows = await api_keys.page(tx, await tenants.named(tx, tenant), Page(limit=1000))
        return [dict(row._mapping) for row in rows]

    print_table(run(in_database(work)))


@keys_app.command("rotate")
def rotate_key(tenant: str, key_id: UUID) -> None:
    """Print a key that takes over; the old one stays valid for a day."""

    async def work(tx: AsyncConnection) -> api_keys.IssuedKey:
        return await api_keys.rotate(tx, await tenants.named(tx, tenant), key_id)

    typer.echo(run(in_database(work)).token)


@keys_app.command("revoke")
def revoke_key(tenant: str, key_id: UUID) -> None:
    """End a key; gateways know within seconds."""

    async def work(tx: AsyncConnection) -> None:
        await api_keys.revoke(tx, await tenants.named(tx, tenant), key_id)

    run(in_database(work))


@senders_app.command("reopen")
def reopen_sender(tenant: str, sender_id: UUID) -> None:
    """Open a sender that a provider's refusal closed; its waiting sends go on within seconds."""
    run(operate.reopen(tenant, sender_id))


@bench_app.command("queue")
def bench_queue(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array, last on stdout.")] = False,
    quick: Annotated[bool, typer.Option(help="Every row with few jobs: the figures mean nothing.")] = False,
) -> None:
    """Measure the queue engine on a server of its own; about a quarter of an hour."""
    log.configure("bench", LogSettings())
    results = run(measure(QUICK if quick else FULL), uvloop.run)
    if as_json:
        typer.echo(json.dumps([each.as_json({}) for each in results]))
    else:
        typer.echo(table(results, {}))


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print rows that share their keys, under those; nothing where there are none."""
    if rows:
        typer.echo(columns([list(rows[0]), *([_shown(value) for value in row.values()] for row in rows)]))


def _shown(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.isoformat(timespec="seconds")
        case list():
            return ",".join(value)
        case _:
            return str(value)
