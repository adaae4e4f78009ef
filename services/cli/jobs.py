"""`outreach jobs` and `outreach deliveries`: what an operator does to them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, TypeVar
from uuid import UUID

import typer

from services.cli.progress import progress
from services.cli.shell import REFUSED, YesOption, at_desk, counted, run, sure
from shared.errors import Conflict, NotFound
from shared.operate import Desk
from shared.operate.retrying import Retried
from shared.store.operating import Which

Id = TypeVar("Id")

jobs_app = typer.Typer(
    no_args_is_help=True, help="Jobs, by their ids: what is done to one is done to its row."
)
deliveries_app = typer.Typer(no_args_is_help=True, help="Webhook bodies as they were posted.")

Ids = Annotated[list[str], typer.Argument(help="As send:<id>:<g>, timeout:<id>:<g> or webhook:<id>:<g>.")]
Unconfirmed = Annotated[
    bool, typer.Option("--unconfirmed", help="Also sends that may have gone out: they may arrive twice.")
]


@jobs_app.command("retry")
def retry_jobs(
    ids: Annotated[list[str] | None, typer.Argument(help="Jobs by id; or --failed.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Every failed send that is asked for.")] = False,
    tenant: Annotated[str | None, typer.Option(help="Of this tenant, by name.")] = None,
    sender: Annotated[UUID | None, typer.Option(help="Of this sender.")] = None,
    campaign: Annotated[UUID | None, typer.Option(help="Of this campaign.")] = None,
    reason: Annotated[str | None, typer.Option(help="Whose reason begins with this.")] = None,
    unconfirmed: Unconfirmed = False,
) -> None:
    """Let jobs that failed wait again, with all their attempts; those by id, or failed sends in bulk."""
    chosen = (tenant, sender, campaign, reason) != (None,) * 4
    if failed == bool(ids) or (ids and chosen):
        raise typer.BadParameter("Name jobs, or say --failed and which.")
    if ids:
        _each(ids, lambda desk, job: desk.retry(job, unconfirmed=unconfirmed))
        return

    async def work(desk: Desk) -> Retried:
        which = Which(await desk.tenant_named(tenant), sender, campaign, reason, unconfirmed)
        with progress("Retrying failed sends") as told:
            return await desk.retry_failed(which, told)

    done = run(at_desk(work))
    if done.left:
        typer.echo(f"{done.left} were led on, or their campaign is over.", err=True)
    counted(done.retried, "sends wait again.")


@jobs_app.command("promote")
def promote_jobs(ids: Ids) -> None:
    """Let jobs that wait for a time wait in their lanes now."""
    _each(ids, lambda desk, job: desk.promote(job))


@jobs_app.command("remove")
def remove_jobs(ids: Ids, yes: YesOption = False) -> None:
    """End jobs that no worker holds: actions are cancelled, deliveries fail and can be replayed."""
    sure(f"Remove {len(ids)} jobs?", yes)
    _each(ids, lambda desk, job: desk.remove(job))


@jobs_app.command("cancel")
def cancel_jobs(ids: Ids, yes: YesOption = False) -> None:
    """End jobs, also those that a worker holds; but no send that is with its provider."""
    sure(f"Cancel {len(ids)} jobs?", yes)
    _each(ids, lambda desk, job: desk.cancel(job))


@deliveries_app.command("replay")
def replay_deliveries(
    ids: Annotated[list[UUID] | None, typer.Argument(help="Deliveries by id; or --failed.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Every failed delivery.")] = False,
    tenant: Annotated[str | None, typer.Option(help="With --failed: of this tenant, by name.")] = None,
) -> None:
    """Let deliveries be processed anew; what they did already is not done twice."""
    if failed == bool(ids) or (ids and tenant is not None):
        raise typer.BadParameter("Name deliveries, or say --failed.")
    if ids:
        _each(ids, lambda desk, delivery_id: desk.replay(delivery_id))
        return

    async def work(desk: Desk) -> int:
        with progress("Replaying failed deliveries") as told:
            return await desk.replay_failed(tenant, told)

    counted(run(at_desk(work)), "deliveries are processed anew.")


def _each(ids: Sequence[Id], act: Callable[[Desk, Id], Awaitable[object]]) -> None:
    """Act on each, whatever becomes of the others; a new id is printed. Status 1 if one was refused."""

    async def work(desk: Desk) -> bool:
        refused = False
        for each in ids:
            try:
                answer = await act(desk, each)
            except (NotFound, Conflict) as error:
                typer.echo(f"outreach: {each}: {error}", err=True)
                refused = True
            else:
                if answer is not None:
                    typer.echo(answer)
        return refused

    if run(at_desk(work)):
        raise typer.Exit(REFUSED)
