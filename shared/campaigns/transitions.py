"""Transitions: the one way a visit moves, in sets.

Whoever learns that something happened (the send worker, the webhook and timeout workers, the sweeper) calls
`advance`; whoever learns that a send was accepted calls `accepted`. Both lock the visits first: call them
before anything in the same transaction locks an action, or two workers may wait for each other in a circle.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from shared.campaigns import moves as plans
from shared.campaigns.compiled import Compiled, On
from shared.campaigns.graphs import Graphs
from shared.campaigns.moves import Effect, Move, Moved, Plan, version
from shared.settings import TimeoutSettings
from shared.store import visits as store
from shared.store.database import AsyncConnection
from shared.store.ids import uuid7
from shared.store.visits import Timeout, Visit

__all__ = ["Acceptance", "Effect", "Move", "Moved", "Transitions"]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A visit's send that the provider accepted, and when."""

    tenant_id: UUID
    visit_id: UUID
    at: datetime
    action_id: UUID


class Transitions:
    """Moves visits, by graphs it keeps."""

    def __init__(self, timeouts: TimeoutSettings, graphs: Graphs | None = None) -> None:
        self.graphs = graphs or Graphs()
        self._settling = timeouts.grace + timeouts.insert_timeout

    async def advance(self, tx: AsyncConnection, moves: Sequence[Move]) -> list[Moved]:
        """Let each move lead its visit on, at most one a visit, the earliest first; what each did, in order.

        A visit that is left ends with its edge, its open actions are cancelled, and the next visit begins
        with its action, or the enrolment ends. Four statements, whatever their number, and three more where
        an event came late.
        """
        if not moves:
            return []
        visits = await store.lock(tx, {(move.tenant_id, move.visit_id) for move in moves})
        plan = Plan(visits, await self.graphs.load(tx, map(version, visits.values())))
        plan.decide(moves)
        if plan.doubts:
            await self._turn_follow_ups(tx, plan)
        await self._leave(tx, plan)
        return plan.results

    async def _turn_follow_ups(self, tx: AsyncConnection, plan: Plan) -> None:
        plan.keep_in_time(await store.timeouts_taken(tx, _keys(doubt.visit for doubt in plan.doubts)))
        if not plan.doubts:
            return
        follow_ups = await store.lock_follow_ups(tx, _keys(doubt.visit for doubt in plan.doubts))
        sending = [visit for visit in follow_ups.values() if plan.can_turn(visit)]
        plan.turn(follow_ups, await store.cancel_sends(tx, _keys(sending)) if sending else ())

    async def accepted(self, tx: AsyncConnection, acceptances: Sequence[Acceptance]) -> list[Moved]:
        """Count the visits' timeouts from acceptance, the first time it is told of each.

        A visit that was left gets none. A visit whose else edge has no time is left by it now.
        """
        if not acceptances:
            return []
        told = {(item.tenant_id, item.visit_id): item for item in acceptances}
        visits = await store.lock(tx, told.keys())
        plan = Plan(visits, await self.graphs.load(tx, map(version, visits.values())))
        new = [visit for visit in visits.values() if visit.accepted_at is None]
        timeouts = [
            timeout for visit in new if visit.here for timeout in self._timeouts(visit, plan.graph(visit))
        ]
        if new:
            await store.accept(tx, {key: told[key].at for key in _keys(new)}, timeouts)
        plan.decide([_accepted(item) for item in acceptances])
        await self._leave(tx, plan)
        return plan.results

    def _timeouts(self, visit: Visit, graph: Compiled) -> list[Timeout]:
        return [
            Timeout(
                visit.tenant_id,
                visit.id,
                uuid7(),
                due.event_type,
                due.after,
                self._settling if due.watched else timedelta(0),
            )
            for due in graph.timeouts(visit.node_id)
        ]

    async def _leave(self, tx: AsyncConnection, plan: Plan) -> None:
        if not plan.leaving:
            return
        await store.leave(tx, [plans.departure(leaving) for leaving in plan.leaving.values()])
        entries, exits = [], []
        for leaving in plan.leaving.values():
            if leaving.taken.to is not None:
                entries.append(plans.next_visit(plan.graph(leaving.visit), leaving, leaving.taken.to))
            else:
                exits.append(plans.ending(leaving, leaving.taken.exit or leaving.taken.edge))
        if entries:
            await store.enter(tx, entries)
        if exits:
            await store.exit_enrollments(tx, exits)


def _accepted(item: Acceptance) -> Move:
    return Move(item.tenant_id, item.visit_id, On.ACCEPTED, action_id=item.action_id)


def _keys(visits: Iterable[Visit]) -> list[store.Key]:
    return [(visit.tenant_id, visit.id) for visit in visits]
