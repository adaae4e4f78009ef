"""The `outreach` command. Each subcommand reads its settings when it runs, so `--help` needs none."""

import json
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from services.cli import incidents
from services.cli.bench.run import measure
from services.cli.bench.sizes import FULL, QUICK
from services.cli.bench.table import table
from services.cli.demo import demo as run_demo
from services.cli.dev import dev as run_dev
from services.cli.doctor.examine import examine
from services.cli.doctor.findings import status, summary
from services.cli.doctor.patient import read
from services.cli.jobs import deliveries_app, jobs_app
from services.cli.shell import JsonOption, run, show
from services.cli.tenants import keys_app, senders_app, tenants_app
from services.cli.watching import events_app
from shared import log
from shared.settings import DatabaseSettings, LogSettings
from shared.store.migrate import upgrade

app = typer.Typer(
    no_args_is_help=True,
    help="Durable, rate-limited, fair job queues for campaigns.",
    pretty_exceptions_enable=False,  # they would show local variables, secrets among them
)
bench_app = typer.Typer(no_args_is_help=True, help="Benchmarks.")
app.add_typer(tenants_app, name="tenants")
app.add_typer(keys_app, name="keys")
app.add_typer(senders_app, name="senders")
app.add_typer(jobs_app, name="jobs")
app.add_typer(deliveries_app, name="deliveries")
app.add_typer(events_app, name="events")
app.add_typer(bench_app, name="bench")
app.command("queues")(incidents.queues)
app.command("pause")(incidents.pause)
app.command("resume")(incidents.resume)
app.command("drain")(incidents.drain)
app.command("clean")(incidents.clean)
app.command("obliterate")(incidents.obliterate)
app.command("restore-guard")(incidents.restore_guard)
app.command("audit")(incidents.show_audit)


@app.command()
def dev(
    folder: Annotated[Path, typer.Option(help="Where data is kept.")] = Path(".outreach"),
    port: Annotated[int, typer.Option(help="The public port.")] = 8080,
    admin_port: Annotated[int, typer.Option(help="The port of the admin pages.")] = 8081,
) -> None:
    """Run every service on embedded servers until Ctrl-C."""
    folder.mkdir(parents=True, exist_ok=True)
    run(run_dev(folder.resolve(), port, admin_port))


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
        await upgrade(DatabaseSettings().direct_dsn)

    run(work())


@app.command()
def process(
    once: Annotated[int, typer.Option(min=1, max=1000, help="At most so many jobs.")],
    queue: Annotated[str, typer.Option(help="Of this queue, which is paused.")],
    as_json: JsonOption = False,
) -> None:
    """Process jobs of a paused queue by hand, as its workers would, one after the other: the emergency path.

    Only the queue's own pause is passed: limits, pauses of tenants and campaigns and closures hold. Reads the
    settings of the queue's worker. Ctrl-C lets the job in work end; a second one stops it.
    """
    from services.cli import by_hand  # here: every other command would wait half a second for the workers

    by_hand.process(queue, once, as_json)


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Look for what is wrong, and say what to do about it; exits 1 where there is a fault."""
    findings = run(examine(read()))
    show([finding.row() for finding in findings], as_json)
    if not as_json:
        typer.echo(f"\n{summary(findings)}")
    raise typer.Exit(status(findings))


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
