"""Services with one guard switched off: `python -m tests.unguarded <guard> <service>`.

What the demo's verdict must notice. Where a guard matters only in a race, the race is made wide enough to be
lost: somebody is slow.
"""

import asyncio
import itertools
import os
import runpy
import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import asyncpg
from sqlalchemy import text

from services.cli.demo.polling import until
from services.gateway.announcer import Announcer, Waiting
from services.send.ledger import Ledger
from services.send.worker import Sender
from services.timeout import rules
from shared.providers import sendgrid_events
from shared.queue import opening
from shared.store import sends
from shared.store.database import Database
from shared.store.facts import with_facts
from shared.store.visits import Visit

SLOW_SEND, SLOW_WEBHOOKS = 20.0, 7.0


def compare_and_set() -> None:
    """A visit that was left is left again; the index that would refuse the second next visit is gone too."""
    Visit.here = property(lambda _: True)  # type: ignore[method-assign, assignment]  # that is the point
    asyncio.run(_execute("drop index if exists uq_visits_current"))


def watermark() -> None:
    """A timeout does not wait for what is not processed, and that is much: the queue hears of it late."""
    rules._watermark = lambda *_: rules.FIRE  # type: ignore[assignment]  # as above
    announce = Announcer.__call__

    def announce_late(self: Announcer, waiting: Waiting) -> None:
        asyncio.get_running_loop().call_later(SLOW_WEBHOOKS, announce, self, waiting)

    Announcer.__call__ = announce_late  # type: ignore[method-assign]  # as above


def windows() -> None:
    """No limit is put in force."""
    pack = opening.pack_config
    opening.pack_config = lambda config: pack(replace(config, windows=()))


def natural_key() -> None:
    """Nothing told is the same as anything told before."""
    sendgrid_events.natural_key = lambda *_: secrets.token_bytes(16)


def generation() -> None:
    """A send goes out whatever became of its row since it was claimed, and that is as much as can be."""
    for name, made in (("_READ", with_facts), ("_SUBMIT", text)):
        before = str(getattr(sends, name))
        assert sends.CLAIMED in before
        setattr(sends, name, made(before.replace(sends.CLAIMED, "true")))
    Sender._too_old = lambda *_: False  # type: ignore[method-assign, assignment]  # as above
    make = Ledger.__init__

    def make_slow(self: Ledger, *arguments: Any) -> None:
        make(self, *arguments)
        submit, turns = self.submit, itertools.cycle((SLOW_SEND, 0, 0))

        async def submit_late(submission: sends.Submission) -> bool:
            with suppress(TimeoutError):
                async with asyncio.timeout(next(turns)):
                    await _accepted_anew(self._database, submission)
            await submit(submission)
            return True

        self.submit = submit_late  # type: ignore[assignment]  # as above

    Ledger.__init__ = make_slow  # type: ignore[method-assign]  # as above


async def _accepted_anew(database: Database, submission: sends.Submission) -> None:
    """Wait until the send was accepted under a later generation."""
    later = text("select g > :g and status = 'accepted' from scheduled_actions where id = :id")
    values = {"id": submission.id, "g": submission.g}
    await until(lambda: database.run(lambda tx: tx.scalar(later, values)))


GUARDS: Mapping[str, Callable[[], None]] = {
    guard.__name__: guard for guard in (compare_and_set, watermark, windows, natural_key, generation)
}


async def _execute(statement: str) -> None:
    url = os.environ["DATABASE_URL"]  # noqa: TID251  this is the test's __main__
    connection = await asyncpg.connect(url.replace("+asyncpg", ""), ssl=False)
    await connection.execute(statement)
    await connection.close()


if __name__ == "__main__":
    GUARDS[sys.argv[1]]()
    runpy.run_module(f"services.{sys.argv[2]}", run_name="__main__", alter_sys=True)
