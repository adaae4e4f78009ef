"""`outreach jobs` and `outreach deliveries`: what an operator does to them."""

from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from services.cli.progress import progress
from services.cli.shell import (
    NEWLINES,
    NOTHING,
    REFUSED,
    JsonOption,
    YesOption,
    at_desk,
    counted,
    in_database,
    moment,
    printable,
    run,
    show,
    show_one,
    sure,
)
from shared.errors import Conflict, NotFound
from shared.jobs import SENDS, JobState
from shared.operate import Desk
from shared.operate.reading import Listed
from shared.operate.retrying import Retried
from shared.queue.checks import PRIORITIES
from shared.store import delivery_rows, tenants
from shared.store.database import AsyncConnection
from shared.store.operating import Which
from shared.store.pages import Page

Id = TypeVar("Id")

jobs_app = typer.Typer(
    no_args_is_help=True, help="Jobs, by their ids: what is done to one is done to its row."
)
deliveries_app = typer.Typer(no_args_is_help=True, help="Webhook bodies as they were posted.")

Ids = Annotated[list[str], typer.Argument(help="As send:<id>:<g>, timeout:<id>:<g> or webhook:<id>:<g>.")]
Unconfirmed = Annotated[
    bool, typer.Option("--unconfirmed", help="Also sends that may have gone out: they may arrive twice.")
]


Limit = Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")]
After = Annotated[str | None, typer.Option(help="Go on behind what the last list said.")]


@jobs_app.command("list")
def list_jobs(
    state: Annotated[JobState, typer.Option(help="Where the jobs are.")] = JobState.FAILED,
    queue: Annotated[str, typer.Option(help="Of this queue.")] = SENDS.name,
    tenant: Annotated[str | None, typer.Option(help="Failed sends of this tenant, by name.")] = None,
    sender: Annotated[UUID | None, typer.Option(help="Failed sends of this sender.")] = None,
    campaign: Annotated[UUID | None, typer.Option(help="Failed sends of this campaign.")] = None,
    reason: Annotated[str | None, typer.Option(help="Failed sends whose reason begins with this.")] = None,
    limit: Limit = 50,
    after: After = None,
    as_json: JsonOption = False,
) -> None:
    """List jobs in a state: sends that failed by their rows, all else as Redis has it."""
    rows_of = queue == SENDS.name and state is JobState.FAILED
    if not rows_of and (tenant, sender, campaign, reason) != (None,) * 4:
        raise typer.BadParameter("Only failed sends can be chosen by tenant, sender, campaign or reason.")

    async def work(desk: Desk) -> Listed:
        if not rows_of:
            return await desk.in_motion(queue, state, after, limit)
        return await desk.failed_sends(
            Which(await desk.tenant_named(tenant), sender, campaign, reason), after, limit
        )

    listed = run(at_desk(work))
    show(listed.rows, as_json)
    if listed.after is not None:
        typer.echo(f"There may be more: --after {listed.after}", err=True)


@jobs_app.command("show")
def show_job(job: str, as_json: JsonOption = False) -> None:
    """Show one job: its row, each time it reached its provider, where it is in Redis, and how far it is."""
    shown = dict(run(at_desk(lambda desk: desk.job(job))))
    if not as_json and shown["in_redis"] is not None:
        in_redis = dict(shown["in_redis"])
        shown["progress"], lines = in_redis.pop("progress"), in_redis.pop("log")
        shown |= {"in_redis": in_redis, "log": f"{len(lines)} lines"}
    show_one(shown, as_json)


@jobs_app.command("logs")
def show_logs(job: str, as_json: JsonOption = False) -> None:
    """Show what the worker of a job said of it, the last lines; kept as long as Redis keeps the job."""
    lines = run(at_desk(lambda desk: desk.log(job)))
    show(lines or [], as_json)
    if not lines:
        why = "Its worker said nothing." if lines is not None else "Redis does not have it, nor its log."
        typer.echo(f"outreach: {why}", err=True)
        raise typer.Exit(NOTHING)


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


@jobs_app.command("priority")
def prioritise_job(job: str, priority: Annotated[int, typer.Argument(min=0, max=PRIORITIES - 1)]) -> None:
    """Give a job in line another priority, the lowest first; it goes to the end of its like."""
    run(at_desk(lambda desk: desk.reprioritise(job, priority)))


@jobs_app.command("reschedule")
def reschedule_jobs(
    ids: Ids,
    at: Annotated[str, typer.Option("--at", help="When they go out, as 2026-01-31T03:00:00Z.")],
) -> None:
    """Let sends that nobody has begun to submit go out at another time; their lateness counts from it."""
    when = moment(at)
    _each(ids, lambda desk, job: desk.reschedule(job, when))


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


@deliveries_app.command("list")
def list_deliveries(
    tenant: str,
    state: Annotated[str | None, typer.Option(help=f"One of {', '.join(delivery_rows.STATES)}.")] = None,
    limit: Limit = 50,
    after: Annotated[UUID | None, typer.Option(help="Go on behind this delivery.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List a tenant's deliveries, the latest first."""
    if state is not None and state not in delivery_rows.STATES:
        raise typer.BadParameter(f"A state is one of {', '.join(delivery_rows.STATES)}.")

    async def work(tx: AsyncConnection) -> list[dict[str, Any]]:
        tenant_id = await tenants.named(tx, tenant)
        rows = await delivery_rows.page(tx, tenant_id, state, Page(limit, after))
        return [dict(row._mapping) for row in rows]

    show(run(in_database(work)), as_json)


@deliveries_app.command("show")
def show_delivery(delivery_id: UUID, as_json: JsonOption = False) -> None:
    """Show one delivery: its headers and its body as it was posted; as JSON, the body is base64."""
    shown = dict(run(at_desk(lambda desk: desk.delivery(delivery_id))))
    body = shown.pop("body")
    if as_json:
        show_one({**shown, "body": b64encode(body).decode()}, as_json)
    else:
        show_one(shown, as_json)
        typer.echo(f"\n{printable(body.decode(errors='replace'), keep=NEWLINES)}")


@deliveries_app.command("replay")
def replay_deliveries(
    ids: Annotated[
        list[UUID] | None, typer.Argument(help="Deliveries by id; or --failed or --parked.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Every failed delivery.")] = False,
    parked: Annotated[bool, typer.Option("--parked", help="Every parked delivery.")] = False,
    tenant: Annotated[str | None, typer.Option(help="Of this tenant, by name; not with ids.")] = None,
) -> None:
    """Let deliveries be processed anew, by id or in bulk; what they did already is not done twice."""
    if (bool(ids), failed, parked).count(True) != 1 or (ids and tenant is not None):
        raise typer.BadParameter("Name deliveries, or say --failed or --parked.")
    if ids:
        _each(ids, lambda desk, delivery_id: desk.replay(delivery_id))
        return

    async def work(desk: Desk) -> int:
        with progress("Replaying deliveries") as told:
            return await desk.replay_all("parked" if parked else "failed", tenant, told)

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
