"""`outreach events`: what happens in the queues, as it happens, for as long as somebody looks."""

import asyncio
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from services.cli.shell import JsonOption, as_text, printable, run, servers
from shared.jobs import QUEUES
from shared.loop import AWAY, Backoff
from shared.operate.standing import known_queue
from shared.queue.queue import Queue
from shared.queue.watching import Event, Happened, Places

events_app = typer.Typer(no_args_is_help=True, help="What happens in the queues, as it happens.")


@events_app.command("watch")
def watch_events(
    queue: Annotated[str | None, typer.Option(help="Of this queue alone.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many lines.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print what happens from now on, until Ctrl-C: a line a job; those that simply complete are counted."""
    run(_watch(queue, count, as_json))


async def _watch(only: str | None, count: int | None, as_json: bool) -> None:
    known_queue(only)
    screen = _Screen(as_json, count)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, screen.ended.set)
    async with servers() as (_, queues):
        watched = [queues[name] for name in ([only] if only else QUEUES)]
        starts = [await queue.now() for queue in watched]
        _say(f"watching {', '.join(queue.name for queue in watched)}; Ctrl-C ends it.")
        following = [
            asyncio.create_task(_follow(queue, start, screen))
            for queue, start in zip(watched, starts, strict=True)
        ]
        ending = asyncio.create_task(screen.ended.wait())
        done, pending = await asyncio.wait([ending, *following], return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.wait(pending)
        for task in done:
            task.result()  # a follower ends by nothing but an error


@dataclass
class _Screen:
    """Prints lines, as many as were asked for."""

    as_json: bool
    left: int | None

    def __post_init__(self) -> None:
        self.ended = asyncio.Event()

    def show(self, line: Mapping[str, Any]) -> None:
        if self.left == 0:
            return
        typer.echo(as_text(line) if self.as_json else _plain(line))
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                self.ended.set()


async def _follow(queue: Queue, after: Places, screen: _Screen) -> None:
    """Read on for ever; a Redis that went away is asked again, and what was missed is said."""
    backoff, away = Backoff(), False
    while True:
        try:
            found = await queue.events(after)
            reasons = await _reasons(queue, found.events)
        except AWAY as error:
            if not away:
                _say(f"{queue.name}: {error}: trying again.")
            away, after = True, {at: replace(place, behind=True) for at, place in after.items()}
            await asyncio.sleep(backoff.next().total_seconds())
            continue
        if away:
            _say(f"{queue.name}: Redis is back.")
        away, after = False, found.after
        backoff.reset()
        for partition, calls in found.missed.items():
            what = "what happened meanwhile" if calls is None else f"what {calls} calls of scripts did"
            _say(f"{queue.name}/{partition}: {what} was dropped before it could be read.")
        for event in found.events:
            for line in _lines(queue, event, reasons):
                screen.show(line)


async def _reasons(queue: Queue, events: list[Event]) -> dict[str, str]:
    """Why the jobs failed that did, as far as they are kept."""
    failed: dict[int, list[str]] = {}
    for event in events:
        if event.what is Happened.FAILED:
            failed.setdefault(event.partition, []).extend(event.ids)
    return {
        seen.id: seen.reason
        for partition, ids in failed.items()
        for seen in await queue.look_up(partition, ids)
    }


def _lines(queue: Queue, event: Event, reasons: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    shown = {
        "at": datetime.fromtimestamp(event.at_ms / 1000, UTC),
        "queue": queue.name,
        "partition": event.partition,
        "event": event.what.value,
    }
    if not event.ids:
        yield {**shown, "jobs": event.jobs, "job": None, "reason": None}
    for job in event.ids:
        reason = reasons.get(job) if event.what is Happened.FAILED else None
        yield {**shown, "jobs": 1, "job": job, "reason": reason or None}


def _plain(line: Mapping[str, Any]) -> str:
    """One under the other, though nobody knows yet what comes."""
    job = line["job"] or f"{line['jobs']} jobs"
    at = line["at"].isoformat(timespec="milliseconds")
    return printable(f"{at}  {line['queue']:16} {line['event']:10} {job}  {line['reason'] or ''}".rstrip())


def _say(sentence: str) -> None:
    typer.echo(f"outreach: {sentence}", err=True)
