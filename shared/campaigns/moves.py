"""Moves: what happened at visits, and what becomes of it, decided on locked visits and without I/O.

A visit is left once. What happens afterwards changes nothing, with one exception: an open or click that was
in time for the timeout that went first, or a bounce, turns the *follow-up's* visit to the edge it should have
led to, as long as the follow-up is not on its way (design §9).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from shared.campaigns.compiled import ANSWERS, Compiled, Taken
from shared.campaigns.graph import SendNode, WaitNode
from shared.campaigns.graphs import Version
from shared.store.ids import uuid7
from shared.store.visits import Departure, Entry, Exit, Visit

_OVERRIDES = frozenset({"bounce", "dropped"})  # `delivered` may have led on before
_FAILURES = frozenset({"bounce", "bounced", "dropped", "failed", "undelivered", "cancelled"})
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


class Effect(StrEnum):
    """What something that happened did."""

    NONE = "none"
    MOVED = "moved"
    LATE = "late"
    """In time, but it came when the follow-up was out already."""


@dataclass(frozen=True, slots=True)
class Move:
    """Something that happened at a visit.

    `on` is a canonical event, `failed`, or a timeout's type. `action_id` is an action of the visit that the
    caller ends itself. `reason` is kept by the enrolment if this ends it.
    """

    tenant_id: UUID
    visit_id: UUID
    on: str
    occurred_at: datetime | None = None
    automated: bool = False
    event_id: UUID | None = None
    action_id: UUID | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of a move; `taken` is the edge, if it moved."""

    effect: Effect
    taken: Taken | None = None


@dataclass(frozen=True, slots=True)
class Leaving:
    """A visit about to be left."""

    visit: Visit
    move: Move
    taken: Taken


@dataclass(frozen=True, slots=True)
class Doubt:
    """A move, by its place in the set, that came after its visit was left and may turn the follow-up."""

    index: int
    move: Move
    visit: Visit


NOTHING = Moved(Effect.NONE)


class Plan:
    """What becomes of a set of moves: `decide` first, then `turn` what is in doubt."""

    def __init__(self, visits: Mapping[UUID, Visit], graphs: Mapping[Version, Compiled]) -> None:
        self._visits = visits
        self._graphs = graphs
        self.leaving: dict[UUID, Leaving] = {}
        self.doubts: list[Doubt] = []
        self.results: list[Moved] = []

    def decide(self, moves: Sequence[Move]) -> None:
        """What each move does by itself; time decides, not arrival, and what overrides comes first."""
        self.results = [NOTHING] * len(moves)
        for index in sorted(range(len(moves)), key=lambda index: _order(moves[index])):
            move = moves[index]
            visit = self._visits.get(move.visit_id)
            if visit is None or visit.id in self.leaving:
                continue
            if visit.here:
                self._leave(index, visit, move, visit)
            elif self._may_turn(visit, move):
                self.doubts.append(Doubt(index, move, visit))

    def _may_turn(self, visit: Visit, move: Move) -> bool:
        if move.on in _OVERRIDES:
            return visit.edge not in _FAILURES
        if visit.edge == "else":  # after a time it says "nothing happened", as no_open does
            return move.on in ANSWERS and self._taken(visit, move) is not None
        return visit.edge in self.graph(visit).answered(visit.node_id, move.on, move.automated)

    def keep_in_time(self, timeouts: Mapping[UUID, datetime]) -> None:
        """Drop the doubts about what happened after the timeout, or has no edge; `timeouts` by visit.

        What was in time counts as late from here on, unless it turns the follow-up.
        """
        in_time = [doubt for doubt in self.doubts if _in_time(doubt, timeouts)]
        for doubt in in_time:
            if doubt.move.on not in _OVERRIDES:
                self.results[doubt.index] = Moved(Effect.LATE)
        # A follow-up must not be stopped for what leads nowhere: its contact would stay there for ever.
        self.doubts = [doubt for doubt in in_time if self._taken(doubt.visit, doubt.move)]

    def can_turn(self, follow_up: Visit) -> bool:
        """Whether stopping the follow-up's send would turn it."""
        at_send = isinstance(self.graph(follow_up).node(follow_up.node_id), SendNode)
        return at_send and follow_up.id not in self.leaving

    def turn(self, follow_ups: Mapping[UUID | None, Visit], stopped: Collection[UUID]) -> None:
        """Let what is in doubt turn follow-ups, by the earlier visit, that wait or whose send was stopped."""
        for doubt in self.doubts:
            follow_up = follow_ups.get(doubt.visit.id)
            if follow_up is None or follow_up.id in self.leaving:
                continue
            if follow_up.id in stopped or not self.can_turn(follow_up):
                self._leave(doubt.index, follow_up, doubt.move, doubt.visit)

    def graph(self, visit: Visit) -> Compiled:
        """The graph that the visit keeps to."""
        return self._graphs[version(visit)]

    def _leave(self, index: int, visit: Visit, move: Move, at: Visit) -> None:
        """Leave `visit` by the edge of `at`, if there is one for the move."""
        taken = self._taken(at, move)
        if taken is not None:
            self.leaving[visit.id] = Leaving(visit, move, taken)
            self.results[index] = Moved(Effect.MOVED, taken)

    def _taken(self, at: Visit, move: Move) -> Taken | None:
        return self.graph(at).resolve(at.node_id, move.on, move.automated)


def _order(move: Move) -> tuple[bool, datetime]:
    return move.on not in _OVERRIDES, move.occurred_at or _BEFORE_ALL


def _in_time(doubt: Doubt, timeouts: Mapping[UUID, datetime]) -> bool:
    if doubt.move.on in _OVERRIDES:
        return True
    due, occurred = timeouts.get(doubt.visit.id), doubt.move.occurred_at
    return due is not None and occurred is not None and occurred <= due


def version(visit: Visit) -> Version:
    """Which graph the visit keeps to."""
    return Version(visit.tenant_id, visit.campaign_id, visit.campaign_version)


def departure(leaving: Leaving) -> Departure:
    """The row's end."""
    move = leaving.move
    return Departure(leaving.visit, leaving.taken.edge, move.event_id, move.action_id)


def next_visit(graph: Compiled, leaving: Leaving, node_id: str) -> Entry:
    """The visit that follows."""
    visit = leaving.visit
    return entry(
        graph, node_id, version(visit), visit.enrollment_id, contact_id=visit.contact_id, previous_id=visit.id
    )


def entry(
    graph: Compiled,
    node_id: str,
    of: Version,
    enrollment_id: UUID,
    contact_id: UUID,
    previous_id: UUID | None = None,
) -> Entry:
    """A new visit of a send or wait, with its first action."""
    node = graph.node(node_id)
    send = node if isinstance(node, SendNode) else None
    wait = node if isinstance(node, WaitNode) else None
    return Entry(
        tenant_id=of.tenant_id,
        visit_id=uuid7(),
        enrollment_id=enrollment_id,
        campaign_id=of.campaign_id,
        campaign_version=of.version,
        contact_id=contact_id,
        node_id=node_id,
        previous_id=previous_id,
        action_id=uuid7(),
        kind="send" if send else "timeout",
        channel=send.channel if send else None,
        sender_id=send.sender if send else None,
        event_type=None if send else "elapsed",
        delay=wait.duration if wait else timedelta(0),
    )


def ending(leaving: Leaving, name: str) -> Exit:
    """The enrolment's end, by an exit's name."""
    return Exit(leaving.visit.tenant_id, leaving.visit.enrollment_id, name, leaving.move.reason)
