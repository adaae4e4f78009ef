"""What the demo shows: live progress on a terminal, lines elsewhere, the verdict at the end.

Under `--json` stdout has one line, the JSON object; without it the verdict. All else goes to stderr, and what
the services log to a file.
"""

import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import structlog
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from services.cli.demo.bounds import Verdict
from services.cli.demo.founding import Founded
from services.cli.demo.observe import Glance
from services.cli.stack import Stack

LOG = "services.log"

_LINE_EVERY = timedelta(seconds=5)
_TROUBLES = 20
_COLUMNS = ("contacts", "exited", "accepted", "waiting", "in_doubt", "timeouts", "unprocessed")


class Screen:
    """Shows a run. `interactive`: somebody looks on who can press Ctrl-C when they have seen enough."""

    def __init__(self, as_json: bool, folder: Path) -> None:
        self.interactive = sys.stdout.isatty() and not as_json
        self._as_json = as_json
        self._path = folder / LOG
        self._progress = Console(stderr=True, highlight=False)
        self._console = self._progress if as_json else Console(highlight=False)
        self._began = time.monotonic()
        self._told: list[str] = []
        self._troubles: deque[str] = deque(maxlen=_TROUBLES)
        self._next_line = self._began
        self._stack = ExitStack()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        self._log = self._stack.enter_context(self._path.open("a", buffering=1))
        structlog.configure(logger_factory=structlog.WriteLoggerFactory(self._log))
        self._stack.callback(structlog.reset_defaults)
        if self._progress.is_terminal:
            self._live = Live(console=self._progress, refresh_per_second=4, transient=True)
            self._stack.enter_context(self._live)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stack.close()
        if kind is not None and issubclass(kind, Exception):
            self._complain()

    @property
    def seconds(self) -> float:
        """Since the demo was started."""
        return time.monotonic() - self._began

    def say(self, service: str, line: str) -> None:
        """Keep a line of a service's output."""
        self._log.write(f"{service} {line}\n")
        if '"level": "error"' in line or not line.startswith("{"):  # an event, or a traceback
            self._troubles.append(f"{service} {line[:300]}")

    def tell(self, happened: str) -> None:
        """Something happened in the run."""
        line = f"{self.seconds:5.0f} s  {happened}"
        self._told.append(line)
        if self._live is None:
            self._progress.print(line, soft_wrap=True)

    def show(self, glance: Glance, refusals: int) -> None:
        """How things stand."""
        if self._live is not None:
            self._live.update(self._board(glance, refusals))
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_EVERY.total_seconds()
            figures = (f"{name} {sum(getattr(row, name) for row in glance.tenants)}" for name in _COLUMNS)
            self.tell(", ".join((*figures, f"refusals {refusals}")))

    def conclude(self, verdict: Verdict) -> None:
        """The run is over."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        table = Table("figure", "value", title="The books")
        for name, value in _flat(verdict.figures):
            table.add_row(name, str(value))
        self._console.print(table)
        if verdict.ok:
            self._console.print("[green]ok[/]: Postgres and the provider's log agree, and every bound holds.")
        for sentence in verdict.broken:
            self._console.print(Text.assemble(("not ok ", "red"), sentence))
        if not verdict.ok:
            self._complain()
        if self._as_json:
            sys.stdout.write(json.dumps(verdict.as_json()) + "\n")
            sys.stdout.flush()

    def look_at(self, stack: Stack, founded: list[Founded], folder: Path) -> None:
        """What there is to see while the services stay up."""
        self._console.print("\nThe services stay up until Ctrl-C. Look at:")
        for line in (
            f"{stack.admin_url}  the admin pages",
            f"{stack.public_url}/schema  the API; a tenant's key: {founded[0].token}",
            *(f"http://127.0.0.1:{port}/metrics  {name}" for name, port in stack.private_ports.items()),
            f"{folder / LOG}  what the services log",
            f"DATABASE_URL={stack.environment['DATABASE_URL']}",
            f"REDIS_URL={stack.environment['REDIS_URL']}",
        ):
            self._console.print(f"  {line}", markup=False, soft_wrap=True)

    def _complain(self) -> None:
        """Tell what else there is to know when something is wrong."""
        for line in self._troubles:
            self._progress.print(line, markup=False, soft_wrap=True)

    def _board(self, glance: Glance, refusals: int) -> RenderableType:
        table = Table("tenant", *_COLUMNS)
        for row in glance.tenants:
            table.add_row(row.name, *(str(getattr(row, name)) for name in _COLUMNS))
        jobs = glance.jobs
        line = (
            f"{self.seconds:.0f} s   jobs: {jobs.waiting} waiting, {jobs.delayed} delayed, "
            f"{jobs.active} active   refused by limits: {refusals}"
        )
        return Group(table, line, *self._told)


def _flat(figures: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value
