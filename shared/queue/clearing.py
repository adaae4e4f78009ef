"""Taking many jobs out, always after their rows: bounded per call, and loopable."""

from datetime import timedelta
from enum import StrEnum
from typing import Literal

from shared.jobs import JobState
from shared.queue.codec import milliseconds
from shared.queue.engine import Engine
from shared.redis.scripts import Argument

_AT_ONCE = 100


class Obliterated(StrEnum):
    """What became of a call to obliterate.

    `SERVING`: pause the queue first. `ACTIVE`: jobs are; wait for them, or force it.
    """

    SERVING = "serving"
    ACTIVE = "active"
    MORE = "more"
    DONE = "done"


class Clearing(Engine):
    """Clean, drain, obliterate."""

    async def clean(
        self,
        partition: int,
        state: Literal[JobState.COMPLETED, JobState.FAILED],
        older_than: timedelta,
        limit: int = _AT_ONCE,
    ) -> list[str]:
        """Forget jobs that finished so long ago: call again while as many come back as were asked for.

        Their ids stay remembered.
        """
        argv: dict[str, Argument] = {
            "state": state.value,
            "age": milliseconds(older_than),
            "limit": min(limit, _AT_ONCE),
        }
        return [found.decode() for found in await self._run("clean", partition, argv)]

    async def drain(
        self,
        partition: int,
        cursor: str = "0",
        *,
        tenant: str = "",
        delayed: bool = False,
        look: bool = False,
        limit: int = _AT_ONCE,
    ) -> tuple[str, list[str]]:
        """Take out waiting jobs (and `delayed` ones), of all tenants or of one, some a call; not active ones.

        The cursor for the next call, `"0"` after the last, and the ids that are gone; with `look` those that
        would be, and nothing changes. Jobs that come while it goes on may stay.
        """
        argv: dict[str, Argument] = {
            "cursor": cursor,
            "limit": min(limit, _AT_ONCE),
            "tenant": tenant,
            "delayed": "delayed" if delayed else "",
            "look": "look" if look else "",
        }
        following, gone = await self._run("drain", partition, argv)
        return following.decode(), [found.decode() for found in gone]

    async def obliterate(
        self, partition: int, *, force: bool = False, limit: int = _AT_ONCE
    ) -> tuple[Obliterated, list[str]]:
        """Take every job out of a paused partition, some a call: call again while it says MORE.

        Refuses while jobs are active unless forced; their workers then lose them. What is in force, charges,
        remembered ids and the epoch stay. Also the ids that are gone. With a limit of 0 nothing changes: it
        only says whether it may be.
        """
        argv: dict[str, Argument] = {"limit": min(limit, _AT_ONCE), "force": "force" if force else ""}
        word, gone = await self._run("obliterate", partition, argv)
        return Obliterated(word.decode()), [found.decode() for found in gone]
