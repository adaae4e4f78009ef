"""A graph made ready to run: where an event leads from a node, and what is due after acceptance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from shared.campaigns.graph import TIMED, Edge, ExitNode, Graph, Node, WaitNode


class On(StrEnum):
    """What moves a visit and is no provider's event."""

    ACCEPTED = "accepted"
    NO_OPEN = "no_open"
    NO_CLICK = "no_click"
    ELAPSED = "elapsed"
    FAILED = "failed"


# Which edges an event may take, best first: a click implies an open, a bounce is a failure.
_EDGES: Mapping[str, tuple[str, ...]] = {
    "click": ("click", "open"),
    "bounce": ("bounce", "failed"),
    "dropped": ("dropped", "bounce", "failed"),
    "undelivered": ("undelivered", "failed"),
    "group_unsubscribe": ("unsubscribe",),
    On.ACCEPTED: ("else",),
    On.ELAPSED: ("else",),
}

# What ends an enrolment even where the node has no edge for it.
_EXITS: Mapping[str, str] = {
    "bounce": "bounced",
    "dropped": "bounced",
    "undelivered": "failed",
    On.FAILED: "failed",
}

ANSWERS: Mapping[str, frozenset[str]] = {
    "open": frozenset({On.NO_OPEN}),
    "click": TIMED,
}
"""The timeouts that an event answers: an open cancels only no_open, a click both."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An edge taken: to a node, or out of the campaign by an exit; one of the two is None."""

    edge: str
    to: str | None
    exit: str | None


@dataclass(frozen=True, slots=True)
class Due:
    """A timeout to set: `watched` where events could still take another edge first (design §9)."""

    event_type: str
    after: timedelta
    watched: bool


class Compiled:
    """One version of a campaign's graph."""

    def __init__(self, graph: Graph) -> None:
        self._nodes = graph.nodes
        self.start = graph.start
        self._edges: dict[str, dict[str, Edge]] = {
            node_id: {edge.on: edge for edge in node.edges} for node_id, node in graph.nodes.items()
        }

    def node(self, node_id: str) -> Node:
        """The node of an id that the graph has."""
        return self._nodes[node_id]

    def resolve(self, node_id: str, on: str, automated: bool = False) -> Taken | None:
        """Where something that happened leads from a node; None: the contact stays.

        Automated opens and clicks take only edges that include them; acceptance takes an else edge without a
        time.
        """
        edges = self._edges[node_id]
        for name in _EDGES.get(on, (on,)):
            edge = edges.get(name)
            if edge is None or (automated and not edge.include_automated):
                continue
            if on != On.ACCEPTED or not edge.delay:
                return self._taken(edge)
        exit_name = _EXITS.get(on)
        return Taken(exit_name, None, exit_name) if exit_name else None

    def listens(self, node_id: str, on: str, automated: bool) -> bool:
        """Whether something that happened at a node could ever move a contact."""
        return self.resolve(node_id, on, automated) is not None or bool(self.answered(node_id, on, automated))

    def timeouts(self, node_id: str) -> Sequence[Due]:
        """What is due after a send's acceptance, or after entering a wait."""
        node = self._nodes[node_id]
        if isinstance(node, WaitNode):
            return (Due(On.ELAPSED, node.duration, watched=False),)
        if self.resolve(node_id, On.ACCEPTED):
            return ()
        watched = any(edge.on not in ("else", "failed") for edge in node.edges)
        return tuple(
            Due(On.ELAPSED if edge.on == "else" else edge.on, edge.delay, watched)
            for edge in node.edges
            if edge.delay
        )

    def answered(self, node_id: str, on: str, automated: bool) -> frozenset[str]:
        """The node's timeouts that an open or click speaks against."""
        edges = self._edges[node_id]
        return frozenset(
            name
            for name in ANSWERS.get(on, ())
            if name in edges and (edges[name].include_automated or not automated)
        )

    def _taken(self, edge: Edge) -> Taken:
        if isinstance(self._nodes[edge.to], ExitNode):
            return Taken(edge.on, None, edge.to)
        return Taken(edge.on, edge.to, None)
