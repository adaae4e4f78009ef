"""What every command is run by: settings read when it runs, errors in a line, rows as a table or as JSON."""

import asyncio
import getpass
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import typer

from services.cli.columns import columns
from shared.campaigns.transitions import Transitions
from shared.errors import OutreachError
from shared.jobs import QUEUES
from shared.loop import AWAY
from shared.operate import Desk, Via
from shared.queue.queue import Queue
from shared.redis.client import connect
from shared.settings import ActorSettings, DatabaseSettings, RedisSettings, TimeoutSettings
from shared.store import queue_rows
from shared.store.database import AsyncConnection, Database

T = TypeVar("T")

REFUSED = 1
"""Exit code: refused, or a server is away."""
NOTHING = 3
"""Exit code: nothing matched."""

NEWLINES = "\n\t"
"""What may stand in a text of several lines."""

JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, on stdout.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def run(work: Awaitable[T], runner: Callable[[Coroutine[Any, Any, T]], T] = asyncio.run) -> T:
    """Run to the end; an error of ours, or a server that is away, is one line on stderr and status 1."""
    try:
        return runner(_awaited(work))
    except OutreachError as error:
        typer.echo(f"outreach: {error}", err=True)
        raise typer.Exit(REFUSED) from error
    except BrokenPipeError:
        raise  # whoever read what we print went away, and no server
    except AWAY as error:
        typer.echo(f"outreach: {error}: look at DATABASE_URL and REDIS_URL.", err=True)
        raise typer.Exit(REFUSED) from error


async def _awaited(work: Awaitable[T]) -> T:
    return await work


async def in_database(work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Do one thing in one transaction."""
    async with Database(DatabaseSettings()) as database:
        return await database.run(work)


@asynccontextmanager
async def servers() -> AsyncIterator[tuple[Database, Mapping[str, Queue]]]:
    """The database, and every queue with the partitions it was made with."""
    settings = RedisSettings()
    # Whoever waits tries again by itself, and says so.
    once = settings.model_copy(update={"retries": 0})
    async with Database(DatabaseSettings()) as database, AsyncExitStack() as stack:
        redis = connect(settings, role="cli")
        stack.push_async_callback(redis.aclose)
        made = await database.run(queue_rows.partitions)
        queues = {}
        for spec in QUEUES.values():
            waiting = connect(once, role="cli-waiting")
            stack.push_async_callback(waiting.aclose)
            place = {"prefix": settings.prefix, "partitions": made.get(spec.name, 1)}
            queues[spec.name] = Queue(redis, spec, waiting=waiting, **place)
        yield database, queues


async def at_desk(work: Callable[[Desk], Awaitable[T]]) -> T:
    """Do something as whoever OUTREACH_ACTOR names, else as the system's user."""
    async with servers() as (database, queues):
        transitions = Transitions(TimeoutSettings())
        return await work(Desk(database, queues, transitions, actor(), Via.CLI))


def actor() -> str:
    """Who acts; a user without a name is called by the number."""
    named = ActorSettings().actor
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def sure(question: str, yes: bool) -> None:
    """Go on only if somebody says so; where nobody can be asked, only with `--yes`."""
    if not yes and not typer.confirm(question, err=True):
        raise typer.Exit(REFUSED)


def moment(text: str) -> datetime:
    """A time as it is typed, in UTC; one without a zone stays so, for whoever acts to refuse."""
    try:
        at = datetime.fromisoformat(text)
        return at if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter("Give a time as 2026-01-31T03:00:00Z.") from error


def counted(count: int, what: str, also: int = 0) -> None:
    """Print how many rows an action changed; status 3 where there were none, and nothing else either."""
    typer.echo(f"{count} {what}")
    if not count and not also:
        raise typer.Exit(NOTHING)


def show(rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Print rows that share their keys: a table, or a JSON array."""
    if as_json:
        typer.echo(json.dumps([dict(row) for row in rows], default=_plain, ensure_ascii=False))
    elif rows:
        typer.echo(columns([list(rows[0]), *([_shown(value) for value in row.values()] for row in rows)]))


def show_one(row: Mapping[str, Any], as_json: bool) -> None:
    """Print what is known of one thing: a line a field, or a JSON object."""
    if as_json:
        typer.echo(as_text(row))
    else:
        typer.echo(columns([[name, _shown(value)] for name, value in row.items()]))


def as_text(row: Mapping[str, Any]) -> str:
    """A JSON object, on one line."""
    return json.dumps(dict(row), default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _shown(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.isoformat(timespec="seconds")
        case list():
            return ",".join(map(_shown, value))
        case dict():
            return printable(json.dumps(value, default=_plain, ensure_ascii=False))
        case _:
            return printable(str(value))


def printable(text: str, keep: str = "") -> str:
    """What others wrote, without what a terminal would obey."""
    return "".join(
        sign if sign.isprintable() or sign in keep else "\N{REPLACEMENT CHARACTER}" for sign in text
    )
