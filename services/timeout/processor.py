"""From due timeouts to synthetic events and transitions, in sets (design §9).

All of it is one transaction. What was processed of the tenant's deliveries is read first, then the visits are
locked, and only then their events are read: so whatever was processed by then is seen, and nobody moves a
visit while it is decided.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from services.timeout.rules import Decision, Verdict, decide
from shared.campaigns.compiled import Compiled
from shared.campaigns.graphs import Version
from shared.campaigns.transitions import Effect, Move, Moved, Transitions
from shared.coalesce import or_separately
from shared.jobs import TimeoutResult
from shared.metrics import Metrics
from shared.providers.fields import natural_key
from shared.settings import TimeoutSettings
from shared.store import events, timeouts, visits
from shared.store.database import AsyncConnection, Database
from shared.store.events import NewEvent
from shared.store.ids import uuid7
from shared.store.timeouts import Answer, Settled, TimeoutClaim, TimeoutFacts

log = structlog.get_logger()

_SYNTHETIC = ("no_open", "no_click")
_NOTHING = TimeoutResult(success=True, events_created=0, transitions_triggered=0)


@dataclass(frozen=True, slots=True)
class Firing:
    """A timeout that fires, and the event it makes."""

    facts: TimeoutFacts
    event_id: UUID


class Processor:
    """Works on sets of claimed timeouts.

    With `through_pause` they were claimed by hand while the queue is paused: that alone holds none of them.
    """

    def __init__(
        self,
        database: Database,
        transitions: Transitions,
        settings: TimeoutSettings,
        metrics: Metrics,
        *,
        through_pause: bool = False,
    ) -> None:
        self._database = database
        self._transitions = transitions
        self._settings = settings
        self._metrics = metrics
        self._through_pause = through_pause

    async def __call__(self, claims: Sequence[TimeoutClaim]) -> list[TimeoutResult | Exception]:
        """The result of each timeout, in order; one that cannot be worked on fails alone.

        A timeout whose row has moved on does nothing. Raises StoreUnavailable.
        """
        return await or_separately(self._process, claims)

    async def _process(self, claims: Sequence[TimeoutClaim]) -> list[TimeoutResult]:
        results, blind = await self._database.run(lambda tx: self._work(tx, claims))
        for facts in blind:
            self._metrics.watermark_expired.inc()
            log.warning("timeout.watermark_expired", action_id=str(facts.id), tenant_id=str(facts.tenant_id))
        return [results.get(claim, _NOTHING) for claim in claims]

    async def _work(
        self, tx: AsyncConnection, claims: Sequence[TimeoutClaim]
    ) -> tuple[Mapping[TimeoutClaim, TimeoutResult], list[TimeoutFacts]]:
        """The results, and whose timeouts fired although deliveries of their time were not processed."""
        grace, silence = self._settings.grace, self._settings.gateway_silence
        due = await timeouts.facts(tx, claims, grace, silence)
        if self._through_pause:
            due = [facts._replace(queue_paused=False) for facts in due]
        graphs = await self._transitions.graphs.load(tx, map(_version, due))
        decisions = {
            facts: decide(facts, _watched(facts, graphs[_version(facts)]), self._settings) for facts in due
        }
        await self._confirm(tx, decisions, graphs)
        settled = await timeouts.settle(tx, [_settled(*each) for each in decisions.items()]) if due else ()
        firing = [
            Firing(facts, uuid7())
            for facts, decision in decisions.items()
            if decision.verdict is Verdict.FIRE and facts.id in settled
        ]
        blind = [fired.facts for fired in firing if decisions[fired.facts].watermark is not None]
        return await self._fire(tx, firing), blind

    async def _confirm(
        self,
        tx: AsyncConnection,
        decisions: dict[TimeoutFacts, Decision],
        graphs: Mapping[Version, Compiled],
    ) -> None:
        """Let no timeout fire whose visit was left or answered, and of each visit only the first."""
        firing = sorted(
            (facts for facts, decision in decisions.items() if decision.verdict is Verdict.FIRE),
            key=lambda facts: facts.scheduled_at,
        )
        keys = {(facts.tenant_id, facts.visit_id) for facts in firing}
        locked = await visits.lock(tx, keys) if keys else {}
        answers = await timeouts.answers(tx, keys) if keys else {}
        leaving: set[UUID] = set()
        for facts in firing:
            graph, found = graphs[_version(facts)], answers.get(facts.visit_id, ())
            visit = locked.get(facts.visit_id)
            if visit is None or not visit.here:
                decisions[facts] = Decision(Verdict.CANCEL, "moved_on")
            elif visit.id in leaving:  # it is cancelled with the rest of its visit, if the first one fires
                decisions[facts] = Decision(Verdict.WAIT, "behind", facts.now)
            elif any(answered(facts, answer, graph) for answer in found):
                decisions[facts] = Decision(Verdict.CANCEL, "answered")
            else:
                leaving.add(facts.visit_id)

    async def _fire(
        self, tx: AsyncConnection, firing: Sequence[Firing]
    ) -> Mapping[TimeoutClaim, TimeoutResult]:
        moved = await self._transitions.advance(tx, [_move(fired) for fired in firing])
        rows = [
            _event(fired, result)
            for fired, result in zip(firing, moved, strict=True)
            if fired.facts.event_type in _SYNTHETIC
        ]
        created = await events.insert(tx, rows) if rows else ()
        return {
            fired.facts.claim: TimeoutResult(
                success=True,
                events_created=int(fired.event_id in created),
                transitions_triggered=int(result.effect is Effect.MOVED),
            )
            for fired, result in zip(firing, moved, strict=True)
        }


def answered(facts: TimeoutFacts, answer: Answer, graph: Compiled) -> bool:
    """Whether an open or click happened in time, and speaks against this timeout."""
    in_time = answer.occurred_at <= facts.scheduled_at
    return in_time and facts.event_type in graph.answered(facts.node_id, answer.type, answer.automated)


def _version(facts: TimeoutFacts) -> Version:
    return Version(facts.tenant_id, facts.campaign_id, facts.campaign_version)


def _watched(facts: TimeoutFacts, graph: Compiled) -> bool:
    return any(due.watched for due in graph.timeouts(facts.node_id) if due.event_type == facts.event_type)


def _settled(facts: TimeoutFacts, decision: Decision) -> Settled:
    return Settled(*facts.claim, decision.verdict.value, decision.reason, decision.until, decision.watermark)


def _move(fired: Firing) -> Move:
    facts = fired.facts
    return Move(
        tenant_id=facts.tenant_id,
        visit_id=facts.visit_id,
        on=facts.event_type,
        occurred_at=facts.scheduled_at,
        event_id=fired.event_id if facts.event_type in _SYNTHETIC else None,
        action_id=facts.id,
    )


def _event(fired: Firing, moved: Moved) -> NewEvent:
    """The synthetic event, one for a visit and type: it happened at the instant the timeout stands for."""
    facts = fired.facts
    return NewEvent(
        tenant_id=facts.tenant_id,
        id=fired.event_id,
        type=facts.event_type,
        occurred_at=facts.scheduled_at,
        received_at=facts.now,
        natural_key=natural_key("outreach", str(facts.visit_id), facts.event_type),
        automated="none",
        provider="outreach",
        provider_event_id=None,
        delivery_id=None,
        action_id=facts.id,
        message_id=None,
        smtp_id=None,
        recipient=None,
        url=None,
        reason=None,
        bounce_class=None,
        group_id=None,
        effect=moved.effect.value,
        raw=None,
    )
