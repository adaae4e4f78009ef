"""The checks before a send: one list, in order, which dispatch and the send worker both go through.

A check looks at the facts of one row and says why it may not be sent, or nothing. Another reason to hold a
send back is one more entry in `CHECKS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.campaigns.suppression import blocks


class Stop(StrEnum):
    """What becomes of a send that may not go out now."""

    HELD = "held"
    """Until whoever paused it resumes it."""
    DEFERRED = "deferred"
    """Pending, and looked at again later."""
    SKIPPED = "skipped"
    """Never sent; the visit takes its failed edge."""
    CANCELLED = "cancelled"
    """Never sent; there is no visit left to move."""


@dataclass(frozen=True, slots=True)
class SendFacts:
    """What is true of one send when it is about to go out, as one row of the store tells it.

    `now` is the database's clock. `closed` says that a closure of the sender or the tenant's channel is in
    force, `closed_until` when the last of them ends: None means when an operator reopens it.
    `suppressed` are the scopes under which the address is suppressed on this channel. `max_lateness` counts
    from `scheduled_at`.
    """

    now: datetime
    queue_paused: bool
    tenant_paused: bool
    campaign_status: str
    campaign_kind: str
    enrollment_status: str
    visit_left: bool
    contact_deleted: bool
    address: str | None
    sender_missing: bool
    closed: bool
    closed_until: datetime | None
    suppressed: tuple[str, ...]
    unsubscribe_group: str | None
    scheduled_at: datetime
    max_lateness: timedelta


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a send stops. `until` comes with `deferred`: when to look again, None where no time is known."""

    stop: Stop
    reason: str
    until: datetime | None = None


Check = Callable[[SendFacts], Refusal | None]


def not_paused(facts: SendFacts) -> Refusal | None:
    """Queue, tenant, campaign and enrolment run; the reason tells who can resume it."""
    return next(
        (
            Refusal(Stop.HELD, reason)
            for reason, paused in (
                ("queue_paused", facts.queue_paused),
                ("tenant_paused", facts.tenant_paused),
                ("campaign_paused", facts.campaign_status == "paused"),
                ("enrollment_paused", facts.enrollment_status == "paused"),
            )
            if paused
        ),
        None,
    )


def still_wanted(facts: SendFacts) -> Refusal | None:
    """The contact is still at this visit, and neither it nor the campaign is gone."""
    if facts.campaign_status == "cancelled":
        return Refusal(Stop.CANCELLED, "campaign_cancelled")
    if facts.visit_left or facts.enrollment_status in ("exited", "cancelled"):
        return Refusal(Stop.CANCELLED, "moved_on")
    return None


def sender_open(facts: SendFacts) -> Refusal | None:
    """No closure is in force."""
    return Refusal(Stop.DEFERRED, "closed", facts.closed_until) if facts.closed else None


def can_be_reached(facts: SendFacts) -> Refusal | None:
    """There is somebody to send to, and somebody to send as."""
    if facts.contact_deleted:
        return Refusal(Stop.SKIPPED, "contact_deleted")
    if not facts.address:
        return Refusal(Stop.SKIPPED, "no_address")
    return Refusal(Stop.SKIPPED, "no_sender") if facts.sender_missing else None


def not_suppressed(facts: SendFacts) -> Refusal | None:
    """The address may be written to by this kind of campaign."""
    if blocks(facts.suppressed, facts.campaign_kind, facts.unsubscribe_group):
        return Refusal(Stop.SKIPPED, "suppressed")
    return None


def not_late(facts: SendFacts) -> Refusal | None:
    """It is not too long since it should have gone out: after an outage, old news is no news."""
    late = facts.now - facts.scheduled_at > facts.max_lateness
    return Refusal(Stop.SKIPPED, "late") if late else None


CHECKS: tuple[Check, ...] = (
    not_paused,
    still_wanted,
    sender_open,
    can_be_reached,
    not_suppressed,
    not_late,
)


def refusal(facts: SendFacts) -> Refusal | None:
    """The first reason not to send, or None."""
    return next((found for check in CHECKS if (found := check(facts)) is not None), None)
