"""Enrolments: contacts enter a campaign, are held in it, and are taken out of it.

A pause holds what comes due; events still move visits meanwhile. After a resume the time that was left when
the pause began runs on, and a timeout looks at the events first, as always. A campaign's row is resumed or
cancelled at once, and its contacts in bounded steps: `release_resumed` and `end_cancelled`, which dispatch
repeats.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from shared.campaigns.graphs import Graphs, Version
from shared.campaigns.moves import entry
from shared.errors import Conflict
from shared.store import enrollments as store
from shared.store import visits
from shared.store.database import AsyncConnection
from shared.store.enrollments import Past

STEP = 1000
"""Rows that one step works on."""


class Enrolled(StrEnum):
    """What became of one contact's enrolment."""

    ENROLLED = "enrolled"
    ALREADY_ACTIVE = "already_active"
    NOT_ALLOWED = "not_allowed"
    """The campaign does not take a contact again, or not yet."""
    UNKNOWN_CONTACT = "unknown_contact"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The answer for one contact."""

    contact_id: UUID
    outcome: Enrolled
    enrollment_id: UUID | None = None


async def enrol(
    tx: AsyncConnection, graphs: Graphs, tenant_id: UUID, campaign_id: UUID, contact_ids: Sequence[UUID]
) -> list[Enrolment]:
    """Enrol contacts by the campaign's current version; the answer for each, in their order.

    A contact named twice is already active the second time. A paused campaign takes contacts, and holds them.
    Raises NotFound and, for a cancelled campaign, Conflict.
    """
    campaign = await store.open_campaign(tx, tenant_id, campaign_id)
    if campaign.status == "cancelled":
        raise Conflict("The campaign is cancelled: enrol in another.")
    known = await store.lock_contacts(tx, tenant_id, set(contact_ids))
    past = await store.past(tx, tenant_id, campaign_id, known)
    outcomes = {each: _judge(each in known, past.get(each), campaign.reentry) for each in contact_ids}
    wanted = [each for each, outcome in outcomes.items() if outcome is Enrolled.ENROLLED]
    begun = await _begin(tx, graphs, Version(tenant_id, campaign_id, campaign.version), wanted)
    answers = []
    for each in contact_ids:
        answers.append(Enrolment(each, outcomes[each], begun.get(each)))
        if each in begun:
            outcomes[each] = Enrolled.ALREADY_ACTIVE
    return answers


def _judge(known: bool, past: Past | None, reentry: str) -> Enrolled:
    if not known:
        return Enrolled.UNKNOWN_CONTACT
    if past is None:
        return Enrolled.ENROLLED
    if past.active:
        return Enrolled.ALREADY_ACTIVE
    again = reentry == "after_exit" or (reentry == "after_days" and past.long_ago)
    return Enrolled.ENROLLED if again else Enrolled.NOT_ALLOWED


async def _begin(
    tx: AsyncConnection, graphs: Graphs, version: Version, contact_ids: Sequence[UUID]
) -> Mapping[UUID, UUID]:
    if not contact_ids:
        return {}
    graph = (await graphs.load(tx, [version]))[version]
    begun = await store.add(tx, version.tenant_id, version.campaign_id, contact_ids)
    entries = [
        entry(graph, graph.start, version, enrollment_id, contact_id)
        for contact_id, enrollment_id in begun.items()
    ]
    await visits.enter(tx, entries)
    return begun


async def pause(tx: AsyncConnection, tenant_id: UUID, enrollment_ids: Collection[UUID]) -> frozenset[UUID]:
    """Hold what comes due of active enrolments; the ids of those that were paused by this."""
    return await store.pause(tx, tenant_id, enrollment_ids)


async def resume(tx: AsyncConnection, tenant_id: UUID, enrollment_ids: Collection[UUID]) -> frozenset[UUID]:
    """Let paused enrolments go on; the ids of those that were resumed by this."""
    return await store.resume(tx, tenant_id, enrollment_ids)


async def cancel(tx: AsyncConnection, tenant_id: UUID, enrollment_ids: Collection[UUID]) -> frozenset[UUID]:
    """Take contacts out of a campaign; the ids of those enrolments that were ended by this.

    A message that is with the provider already is not undone.
    """
    return await store.cancel(tx, tenant_id, enrollment_ids, "enrollment_cancelled")


async def pause_campaign(tx: AsyncConnection, tenant_id: UUID, campaign_id: UUID) -> None:
    """Hold what comes due of a campaign. Raises Conflict for a campaign that is cancelled or not there."""
    await _set_status(tx, tenant_id, campaign_id, "paused")


async def resume_campaign(tx: AsyncConnection, tenant_id: UUID, campaign_id: UUID) -> None:
    """Let a campaign go on, as far as one step goes; `release_resumed` does the rest. Raises Conflict."""
    await _set_status(tx, tenant_id, campaign_id, "active")
    await release_resumed(tx, campaign_id=campaign_id)


async def cancel_campaign(tx: AsyncConnection, tenant_id: UUID, campaign_id: UUID) -> None:
    """Send nothing more for a campaign, and end its enrolments, as far as one step goes. Raises Conflict."""
    await _set_status(tx, tenant_id, campaign_id, "cancelled")
    await end_cancelled(tx, campaign_id=campaign_id)


async def _set_status(tx: AsyncConnection, tenant_id: UUID, campaign_id: UUID, status: str) -> None:
    if not await store.set_campaign_status(tx, tenant_id, campaign_id, status):
        raise Conflict("There is no such campaign, or it is cancelled.")


async def release_resumed(tx: AsyncConnection, limit: int = STEP, campaign_id: UUID | None = None) -> bool:
    """Put back a step of what is held of resumed campaigns, one or any; whether there may be more."""
    return await store.release_campaigns(tx, limit, campaign_id) == limit


async def end_cancelled(tx: AsyncConnection, limit: int = STEP, campaign_id: UUID | None = None) -> bool:
    """End a step of the enrolments in cancelled campaigns, one or any; whether there may be more."""
    found = await store.in_cancelled_campaigns(tx, limit, campaign_id)
    of_tenant = defaultdict(list)
    for tenant_id, enrollment_id in found:
        of_tenant[tenant_id].append(enrollment_id)
    for tenant_id, enrollment_ids in of_tenant.items():
        await store.cancel(tx, tenant_id, enrollment_ids, "campaign_cancelled")
    return len(found) == limit
