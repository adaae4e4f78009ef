"""Failed work in bulk: read from the rows, page after page; each page's count is in the action's entry."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from shared.jobs import SENDS, job_id
from shared.operate.finding import Finding, place_of, said_place
from shared.store import audit, enrollments, operating, visits
from shared.store.database import AsyncConnection, Row
from shared.store.operating import Claim, Found, Which
from shared.store.visits import Key

PAGE = 1000

Progress = Callable[[int], None]
"""Told how many rows more were dealt with."""


@dataclass(frozen=True, slots=True)
class Retried:
    """How many sends wait again, and how many cannot: their contacts moved on, or their campaign is over.

    `after`: where to go on, where time ran out; None: these were all.
    """

    retried: int
    left: int
    after: str | None = None


class Retrying(Finding):
    """Retries failed sends in bulk; each keeps its lane and its priority."""

    async def retry_failed(
        self,
        which: Which,
        progress: Progress = lambda _: None,
        *,
        after: str | None = None,
        within: timedelta = timedelta.max,
    ) -> Retried:
        """Retry the failed sends that are asked for, as they are now, behind `after`; a page at least.

        No page is begun when `within` has passed. Raises NotFound: `after` is none of ours.
        """
        place, begun = place_of(after), time.monotonic()
        entry = await self._database.run(
            lambda tx: self._note(tx, "jobs.retry", SENDS.name, which.tenant_id, 0, **_said(which))
        )
        retried = left = 0
        while True:
            found, done = await self._retry_page(which, place, entry)
            retried, left = retried + len(done), left + len(found.rows) - len(done)
            progress(len(found.rows))
            place = found.after
            if place is None or time.monotonic() - begun >= within.total_seconds():
                return Retried(retried, left, said_place(place))

    async def _retry_page(self, which: Which, after: Key | None, entry: UUID) -> tuple[Found, list[Claim]]:
        async def work(tx: AsyncConnection) -> tuple[Found, list[Claim]]:
            found = await operating.failed(tx, which, after, PAGE)
            done = await retry_sends(tx, found.rows)
            await audit.add_count(tx, entry, len(done))
            return found, done

        found, done = await self._database.run(work)
        old = [(claim.tenant_id, job_id("send", claim.id, claim.g - 1)) for claim in done]
        await self._forget(self._queues[SENDS.name], old)
        return found, done


async def retry_sends(tx: AsyncConnection, rows: Sequence[Row[Any]]) -> list[Claim]:
    """Let failed sends wait again, where nothing followed; their claims from now on.

    Contacts are locked first, as by an enrolment, and then visits, as by whoever may move one.
    """
    if not rows:
        return []
    contacts: dict[UUID, set[UUID]] = defaultdict(set)
    for row in rows:
        contacts[row.tenant_id].add(row.contact_id)
    for tenant_id in sorted(contacts):
        await enrollments.lock_contacts(tx, tenant_id, contacts[tenant_id])
    await visits.lock(tx, {(row.tenant_id, row.visit_id) for row in rows})
    return await operating.retry(tx, [Claim(row.tenant_id, row.id, row.g) for row in rows])


def _said(which: Which) -> dict[str, Any]:
    """What was asked for, without a provider's words: they may quote an address."""
    named = {"sender": which.sender_id, "campaign": which.campaign_id}
    said: dict[str, Any] = {name: str(value) for name, value in named.items() if value is not None}
    if which.reason is not None:
        said["reason"] = which.reason.partition(" ")[0].partition(":")[0]
    return {**said, "unconfirmed": which.unconfirmed}
