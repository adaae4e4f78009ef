"""The `outreach` command for tests: typed in this process, against the servers of the environment."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from typer.testing import CliRunner

from services.cli.app import app
from shared.settings import DatabaseSettings
from shared.store import audit
from shared.store.database import AsyncConnection, Database
from shared.store.pages import Page

T = TypeVar("T")


def outreach(*arguments: str) -> str:
    """What the command prints; it must succeed."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout.rstrip("\n")


def read(*arguments: str) -> Any:
    """What the command prints as JSON."""
    return json.loads(outreach(*arguments, "--json"))


def refused(*arguments: str, code: int = 1) -> str:
    """The one line by which the command refuses."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    [line] = result.stderr.splitlines()
    return line


def misused(*arguments: str) -> None:
    """The command must say that it was typed wrongly."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (2, ""), result.output


def with_database(work: Callable[[Database], Awaitable[T]]) -> T:
    """Do something on the database of the environment."""

    async def done() -> T:
        async with Database(DatabaseSettings()) as database:
            return await work(database)

    return asyncio.run(done())


def in_database(work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Do something in one transaction."""
    return with_database(lambda database: database.run(work))


def audited() -> list[tuple[Any, ...]]:
    """Who did what to what by the command line, in order: actor, action, target, tenant, count, detail.

    Tenants were made for the test: that is left out.
    """
    rows = in_database(lambda tx: audit.page(tx, Page(100)))
    assert {row.via for row in rows} <= {"cli"}
    return [
        (row.actor, row.action, row.target, row.tenant, row.count, row.detail)
        for row in reversed(rows)
        if row.action != "tenants.create"
    ]
