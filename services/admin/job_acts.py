"""What the forms of the queue's and the job's pages do."""

import time
from urllib.parse import quote, urlencode

from litestar import MediaType, Response, post
from litestar.params import FromPath

from services.admin import bulk, lists
from services.admin.browsing import Browsing
from services.admin.jobs import Act, Browser, Look, find, known
from services.admin.lists import Wanted
from services.admin.overview import Watches
from services.admin.screen import Screen, Screening
from services.admin.whose import Asked, Whose
from services.admin.words import many, shortened
from shared.errors import NotFound
from shared.jobs import JobState
from shared.operate import Desk
from shared.store.operating import Which

NO_ACT = "There is no such act: load the page again."
_AT_ONCE = 500
"""So many jobs are acted on a click, where they are looked for in Redis."""


@post("/queues/{name:str}/ticked", media_type=MediaType.HTML)
async def act_on_ticked(
    name: FromPath[str], browsing: Browser, acting: Act, screen: Screening
) -> Response[str]:
    """Act on the jobs that were ticked in a list."""
    known(browsing, name)
    act, ids = _act(name, screen), bulk.ticked(screen.form)
    if not ids:
        return screen.done("No job is ticked: tick some, or all on the page.")
    if not screen.is_sure:
        return screen.ask(bulk.question(act, name, many(len(ids), "job")), f"Yes, {act}")
    done = await bulk.each(acting.desk(screen.session), act, ids)
    return screen.done(done.sentence)


@post("/queues/{name:str}/all", media_type=MediaType.HTML)
async def act_on_all(name: FromPath[str], browsing: Browser, acting: Act, screen: Screening) -> Response[str]:
    """Act on all jobs of a list, however many: for some seconds a click, and then it says what is left."""
    known(browsing, name)
    act, state, asked = _act(name, screen), _state(screen), Asked.of(screen.form)
    desk, meant = acting.desk(screen.session), await find(acting, name, asked)
    if meant.alike:
        raise NotFound("Several senders are named so: choose one of them.")
    if act not in bulk.acts(name, state):
        raise NotFound(NO_ACT)
    if lists.by_rows(name, state):
        return await _retry_failed(desk, meant, screen)
    ids, more = await _collected(browsing, name, state, meant)
    if not ids:
        return screen.done("There is no such job any more.")
    if not screen.is_sure:
        count = f"{'the first ' if more else ''}{many(len(ids), 'job')}"
        return screen.ask(bulk.question(act, name, count), f"Yes, {act}")
    done = await bulk.each(desk, act, ids)
    if more and done.done and not done.late:
        return screen.ask(f"{done.sentence} There are more. Go on?", "Go on")
    return screen.done(done.sentence)


async def _collected(browsing: Browsing, name: str, state: JobState, meant: Whose) -> tuple[list[str], bool]:
    """The first jobs of a list, and whether there are more."""
    ids: list[str] = []
    cursor: str | None = ""
    while cursor is not None and len(ids) < _AT_ONCE:
        listed = await lists.in_motion(browsing, Wanted(name, state, meant, cursor))
        ids += [line.id for line in listed.lines]
        cursor = listed.following
    return ids[:_AT_ONCE], cursor is not None or len(ids) > _AT_ONCE


async def _retry_failed(desk: Desk, meant: Whose, screen: Screen) -> Response[str]:
    """Retry failed sends by their rows. What may have gone out after all is retried by its own page alone."""
    which = Which(
        meant.which.tenant_id, meant.which.sender_id, meant.which.campaign_id, meant.which.reason, False
    )
    if not screen.is_sure:
        count = await _left(desk, which, None)
        return screen.ask(
            f"Retry {count}? Their contacts go back to where they were, if led nowhere since.", "Yes, retry"
        )
    done = await desk.retry_failed(which, after=screen.form.get("after"), within=bulk.WITHIN)
    retried, refused = (_number(screen, "retried") + done.retried, _number(screen, "refused") + done.left)
    said = f"{many(retried, 'send waits', 'sends wait')} again."
    if refused:
        said += f" {refused:,} cannot: their contacts moved on, or their campaign is over."
    if done.after is None:
        return screen.done(said)
    left = await _left(desk, which, done.after)
    going = {"after": done.after, "retried": str(retried), "refused": str(refused)}
    return screen.ask(f"{said} Left: {left}. Go on?", "Go on", going)


async def _left(desk: Desk, which: Which, after: str | None) -> str:
    count, are_all = await desk.count_failed(which, after)
    return f"{'' if are_all else 'at least '}{many(count, 'failed send')}"


@post("/queues/{name:str}/job", media_type=MediaType.HTML)
async def act_on_job(name: FromPath[str], browsing: Browser, acting: Act, screen: Screening) -> Response[str]:
    """Act on one job."""
    known(browsing, name)
    job, desk = screen.form.get("id", ""), acting.desk(screen.session)
    if screen.form.get("act") == "reprioritise":
        priority = _number(screen, "priority", -1)
        await desk.reprioritise(job, priority)
        return screen.done(f"Its priority is {priority} now: it stands at the end of its like.")
    act = _act(name, screen)
    if act == "retry":
        unconfirmed = screen.form.get("unconfirmed") == "yes"
        if unconfirmed and not screen.is_sure:
            return screen.ask(
                "It may have been sent: nobody knows. Retry it, though it may arrive twice?", "Yes, retry"
            )
        new = await desk.retry(job, unconfirmed=unconfirmed)
        return screen.done("It waits again, under this id.", job_path(name, new))
    if act == "promote":
        await desk.promote(job)
        return screen.done("It need not wait for its time any more.")
    if not screen.is_sure:
        return screen.ask(bulk.question(act, name, "this job"), f"Yes, {act}")
    await (desk.remove(job) if act == "remove" else desk.cancel(job))
    return screen.done(f"The job is {'removed' if act == 'remove' else 'cancelled'}.")


@post("/queues/{name:str}/drain", media_type=MediaType.HTML)
async def drain(
    name: FromPath[str], browsing: Browser, acting: Act, watches: Look, screen: Screening
) -> Response[str]:
    """End what waits in a queue, of a tenant or all: for some seconds a click, and then it asks to go on."""
    known(browsing, name)
    asked = Asked.of({"tenant": screen.form.get("tenant", "")})
    meant = await find(acting, name, asked)
    tenant = meant.tenant if asked.tenant else None
    if not screen.is_sure:
        what = f"of {shortened(tenant)} waits in {name}" if tenant is not None else _waits(name, watches)
        return screen.ask(f"Drain? All that {what}, or was due for it, ends.{bulk.ends(name)}", "Yes, drain")
    begun, before = time.monotonic(), _number(screen, "drained")
    done = before + await acting.desk(screen.session).drain(name, tenant, within=bulk.WITHIN)
    if done > before and time.monotonic() - begun >= bulk.WITHIN.total_seconds():
        return screen.ask(
            f"{many(done, 'job')} ended. There may be more. Go on?", "Go on", {"drained": str(done)}
        )
    return screen.done(f"{many(done, 'job')} ended.")


def _waits(name: str, watches: Watches) -> str:
    card = watches.queue(name).card
    count = (
        f" ({many(card.queue.counts.waiting + card.queue.counts.delayed, 'job')})" if card is not None else ""
    )
    return f"waits in {name}{count}"


def job_path(name: str, job: str) -> str:
    """Where a job's page is."""
    return f"/queues/{quote(name, safe='')}/job?{urlencode({'id': job})}"


def _act(name: str, screen: Screen) -> str:
    act = screen.form.get("act", "")
    if all(act not in bulk.acts(name, state) for state in JobState):
        raise NotFound(NO_ACT)
    return act


def _state(screen: Screen) -> JobState:
    try:
        return JobState(screen.form.get("state", ""))
    except ValueError as error:
        raise NotFound("There is no such state: load the page again.") from error


def _number(screen: Screen, name: str, otherwise: int = 0) -> int:
    text = screen.form.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 12 else otherwise


ROUTES = (act_on_ticked, act_on_all, act_on_job, drain)
