"""What an operator needs first in an incident: how the queues stand, to stop and go on, and who did what."""

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import typer

from services.cli.depths import EVERY, depths
from services.cli.progress import progress
from services.cli.shell import JsonOption, YesOption, at_desk, counted, in_database, moment, run, show, sure
from shared.jobs import JobState
from shared.operate import Desk
from shared.operate.draining import Cleared, Drainable, Ended
from shared.store import audit, tenants
from shared.store.database import AsyncConnection
from shared.store.pages import Page

QueueOption = Annotated[str | None, typer.Option("--queue", help="One queue; without it, every queue.")]
TenantOption = Annotated[str | None, typer.Option("--tenant", help="One tenant, by name; without it, all.")]
AllOption = Annotated[bool, typer.Option("--all", help="Every queue and every tenant.")]
LONGEST_HOURS = 1_000_000
"""A century and more: far longer than anything is kept."""

ReasonOption = Annotated[str, typer.Option(help="Why; kept in the audit, so name no contact.")]


def queues(as_json: JsonOption = False) -> None:
    """Depth by state of every queue's partitions, which of them are open, and every pause."""
    rows, pauses = run(depths())
    if as_json:
        rows = [
            row | {"pauses": [each for each in pauses if each["paused"] in (row["queue"], EVERY)]}
            for row in rows
        ]
    show(rows, as_json)
    if pauses and not as_json:
        typer.echo()
        show(pauses, as_json)


def pause(
    queue: QueueOption = None,
    tenant: TenantOption = None,
    everything: AllOption = False,
    reason: ReasonOption = "",
) -> None:
    """Stop a queue, a tenant, a tenant in a queue, or everything; what runs ends, what waits stays."""
    _one_way(queue, tenant, everything)
    run(at_desk(lambda desk: desk.pause(queue, tenant, reason)))


def resume(queue: QueueOption = None, tenant: TenantOption = None, everything: AllOption = False) -> None:
    """Lift exactly the pause that was made with the same options."""
    _one_way(queue, tenant, everything)
    run(at_desk(lambda desk: desk.resume(queue, tenant)))


def drain(
    queue: Annotated[str, typer.Option("--queue", help="Of this queue.")],
    tenant: TenantOption = None,
    yes: YesOption = False,
) -> None:
    """End what waits in a queue or is due for it; what is with a provider, in work or due later stays.

    Sends' contacts take their failed edges, timeouts' contacts leave their campaigns, and deliveries fail and
    can be replayed.
    """
    found = run(at_desk(lambda desk: desk.drainable(queue, tenant)))
    if not found.rows and not found.more:
        counted(0, "jobs were ended.")
    sure(f"End {_many(found)} jobs of {queue}{f' of {tenant}' if tenant else ''}?", yes)

    async def work(desk: Desk) -> int:
        with progress("Draining") as told:
            return await desk.drain(queue, tenant, told)

    counted(run(at_desk(work)), "jobs were ended.")


def clean(
    queue: Annotated[str, typer.Option("--queue", help="Of this queue.")],
    hours: Annotated[float, typer.Option(min=0, max=LONGEST_HOURS, help="What ended so long ago.")],
    completed: Annotated[
        bool, typer.Option("--completed", help="Jobs that completed, not those that failed.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Forget jobs in Redis that ended long ago; their rows stay."""
    state: Ended = JobState.COMPLETED if completed else JobState.FAILED
    sure(f"Forget the {state} jobs of {queue} that ended {hours:g} hours ago or earlier?", yes)

    async def work(desk: Desk) -> int:
        with progress("Cleaning") as told:
            return await desk.clean(queue, state, timedelta(hours=hours), told)

    counted(run(at_desk(work)), "jobs were forgotten.")


def obliterate(
    queue: Annotated[str, typer.Option("--queue", help="Of this queue, which is paused.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also jobs that workers hold: they lose them.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Drain a paused queue, and take every job of it out of Redis, ended ones too."""

    async def look(desk: Desk) -> tuple[int, Drainable]:
        return await desk.jobs_in(queue), await desk.drainable(queue, None)

    jobs, waiting = run(at_desk(look))
    sure(f"End {_many(waiting)} rows that wait in {queue}, and take its {jobs:,} jobs out of Redis?", yes)

    async def work(desk: Desk) -> Cleared:
        with progress("Obliterating") as told:
            return await desk.obliterate(queue, jobs, force=force, progress=told)

    done = run(at_desk(work))
    typer.echo(f"{done.rows} rows were ended.")
    counted(done.jobs, "jobs are gone.", also=done.rows)


def show_audit(
    tenant: TenantOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    after: Annotated[UUID | None, typer.Option(help="Go on behind this entry.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Who did what and when, the latest first."""

    async def work(tx: AsyncConnection) -> list[dict[str, Any]]:
        tenant_id = await tenants.named(tx, tenant) if tenant is not None else None
        return [dict(row._mapping) for row in await audit.page(tx, Page(limit, after), tenant_id)]

    show(run(in_database(work)), as_json)


def restore_guard(
    snapshot_at: Annotated[
        str,
        typer.Option("--snapshot-at", help="When the restored snapshot was taken, as 2026-01-31T03:00:00Z."),
    ],
    yes: YesOption = False,
) -> None:
    """After a restore, before any service starts: sends that may have gone out since become unknown."""
    at = moment(snapshot_at)
    sure(f"Let every send that was due between {at.isoformat()} and now be unknown?", yes)

    async def work(desk: Desk) -> int:
        with progress("Guarding sends") as told:
            return await desk.restore_guard(at, told)

    counted(run(at_desk(work)), "sends are unknown now.")


def _many(found: Drainable) -> str:
    return f"{found.rows:,} or more" if found.more else f"{found.rows:,}"


def _one_way(queue: str | None, tenant: str | None, everything: bool) -> None:
    """To pause everything must be meant: a forgotten option is no wish."""
    if everything == (queue is not None or tenant is not None):
        raise typer.BadParameter("Say --queue, --tenant or both; or --all, alone.")
