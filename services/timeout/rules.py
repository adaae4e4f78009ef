"""When a timeout fires (design §9): decided on its facts alone, by the database's clock.

A provider reports late, our gateway may have been down, and what was reported may still be in our own queue.
So a timeout that an event could have answered fires only when nothing that happened before can still come.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.settings import TimeoutSettings
from shared.store.timeouts import TimeoutFacts


class Verdict(StrEnum):
    """What becomes of a timeout, as its row's status says it."""

    FIRE = "fired"
    WAIT = "pending"
    HOLD = "held"
    CANCEL = "cancelled"


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict; `until` is when to look again, `watermark` the word for one that was not full."""

    verdict: Verdict
    reason: str | None = None
    until: datetime | None = None
    watermark: str | None = None


FIRE = Decision(Verdict.FIRE)


def decide(facts: TimeoutFacts, watched: bool, settings: TimeoutSettings) -> Decision:
    """What becomes of a timeout, as far as its facts tell; `watched`: an event could take another edge."""
    stopped = _stopped(facts)
    if stopped is not None:
        return stopped
    if not watched:
        return FIRE if facts.now >= facts.scheduled_at else _wait(facts.scheduled_at, "early")
    return _grace(facts, settings) or _gateway(facts, settings) or _watermark(facts, settings)


def _stopped(facts: TimeoutFacts) -> Decision | None:
    if facts.campaign_status == "cancelled" or facts.enrollment_status in ("exited", "cancelled"):
        return Decision(Verdict.CANCEL, "moved_on")
    paused = {
        "queue_paused": facts.queue_paused,
        "tenant_paused": facts.tenant_paused,
        "campaign_paused": facts.campaign_status == "paused",
        "enrollment_paused": facts.enrollment_status == "paused",
    }
    return next((Decision(Verdict.HOLD, reason) for reason, holds in paused.items() if holds), None)


def _grace(facts: TimeoutFacts, settings: TimeoutSettings) -> Decision | None:
    """Providers batch events, and an insert that began in time may commit so much later."""
    settled = facts.scheduled_at + settings.grace + settings.insert_timeout
    return _wait(settled, "grace") if facts.now < settled else None


def _gateway(facts: TimeoutFacts, settings: TimeoutSettings) -> Decision | None:
    """While nobody could post to us events pile up at the provider, which posts them again for a day."""
    if facts.accepted_at is None:
        return None
    silent_since = max(facts.last_beat or facts.accepted_at, facts.accepted_at)
    hidden_until = min(facts.now, facts.scheduled_at + settings.grace)
    silent = facts.last_beat is None or facts.now - facts.last_beat > settings.gateway_silence
    if silent and hidden_until - silent_since >= settings.gateway_silence:
        return _wait(facts.now + settings.gateway_silence, "gateway_down")
    if facts.outage_ended is not None and facts.outage_ended + settings.gateway_recovery > facts.now:
        return _wait(facts.outage_ended + settings.gateway_recovery, "gateway_down")
    return None


def _watermark(facts: TimeoutFacts, settings: TimeoutSettings) -> Decision:
    """What was received before due + grace is processed; after too long it fires all the same, marked."""
    unread = facts.oldest_unread
    if unread is None or unread >= facts.scheduled_at + settings.grace:
        return FIRE
    if facts.now >= facts.scheduled_at + settings.watermark_expires:
        return Decision(Verdict.FIRE, watermark="expired")
    return _wait(facts.now + settings.recheck, "unread")


def _wait(until: datetime, reason: str) -> Decision:
    return Decision(Verdict.WAIT, reason, until)
