"""Flow: a version of a campaign's graph, with how many contacts are at each node and took each edge."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.admin import drawing
from services.admin.drawing import Arc, Drawing
from services.admin.words import duration
from shared.campaigns.graph import Edge, ExitNode, Graph, Node, SendNode, WaitNode
from shared.store.flows import Flow


@dataclass(frozen=True, slots=True)
class Tally:
    """A count; `more`: at least so many."""

    count: int = 0
    more: bool = False

    def __str__(self) -> str:
        return f"{'≥ ' if self.more else ''}{self.count:,}"

    def __bool__(self) -> bool:
        return self.count > 0 or self.more

    @classmethod
    def total(cls, tallies: Iterable["Tally"]) -> "Tally":
        """All together."""
        counted = list(tallies)
        return cls(sum(each.count for each in counted), any(each.more for each in counted))


@dataclass(frozen=True, slots=True)
class Way:
    """A way out of a node: an edge of the graph, and where it leads; `to` None: what has no edge."""

    name: str
    to: str | None
    taken: Tally


@dataclass(frozen=True, slots=True)
class Stop:
    """A node as the page shows it. `here` None: an exit, where nobody stays."""

    id: str
    what: str
    here: Tally | None
    passed: Tally
    ways: Sequence[Way]


@dataclass(frozen=True, slots=True)
class Flowing:
    """The whole graph; `drawn` None: it is too large to be drawn."""

    stops: Sequence[Stop]
    drawn: Drawing | None


def flowing(graph: Graph, flows: Sequence[Flow]) -> Flowing:
    """The graph with what the store counted; nodes in the order in which contacts come to them."""
    here: dict[str, Tally] = {}
    left: dict[str, dict[str, Tally]] = defaultdict(dict)
    for flow in flows:
        tally = Tally(flow.visits, flow.more)
        if flow.edge is None:
            here[flow.node_id] = tally
        else:
            left[flow.node_id][flow.edge] = tally
    came: dict[str, list[Tally]] = defaultdict(list)
    for node_id, node in graph.nodes.items():
        for edge in node.edges:
            came[edge.to].append(left[node_id].get(edge.on, Tally()))
    stops = [
        _stop(node_id, graph.nodes[node_id], here.get(node_id, Tally()), left[node_id], came[node_id])
        for node_id in _in_order(graph)
    ]
    return Flowing(stops, _drawn(graph, stops))


def _stop(node_id: str, node: Node, here: Tally, left: Mapping[str, Tally], came: Sequence[Tally]) -> Stop:
    if isinstance(node, ExitNode):
        return Stop(node_id, "exit", None, Tally.total(came), ())
    ways = [Way(_named(edge), edge.to, left.get(edge.on, Tally())) for edge in node.edges]
    own = {edge.on for edge in node.edges}
    ways += [Way(name, None, taken) for name, taken in sorted(left.items()) if name not in own]
    return Stop(node_id, _what(node), here, Tally.total([here, *left.values()]), ways)


def _what(node: Node) -> str:
    if isinstance(node, WaitNode):
        return f"wait {duration(node.duration)}"
    return node.channel if isinstance(node, SendNode) else "exit"


def _named(edge: Edge) -> str:
    """What an edge is taken on, and when."""
    name = f"{edge.on}, machines too" if edge.include_automated else edge.on
    return f"{name} after {duration(edge.after)}" if edge.after else name


def _in_order(graph: Graph) -> list[str]:
    """Nodes by how many steps they are from the first."""
    order, seen = [graph.start], {graph.start}
    for node_id in order:
        for edge in graph.nodes[node_id].edges:
            if edge.to not in seen:
                seen.add(edge.to)
                order.append(edge.to)
    return order


def _drawn(graph: Graph, stops: Sequence[Stop]) -> Drawing | None:
    nodes = [drawing.Node(stop.id, stop.what, _counts(stop), bool(stop.here)) for stop in stops]
    arcs = [
        Arc(stop.id, way.to, _words(stop.id, way), bool(way.taken))
        for stop in stops
        for way in stop.ways
        if way.to is not None
    ]
    return drawing.drawing(graph.start, nodes, arcs)


def _counts(stop: Stop) -> str:
    return f"{stop.passed} came" if stop.here is None else f"{stop.here} here · {stop.passed} came"


def _words(source: str, way: Way) -> str:
    again = "↺ " if way.to == source else ""
    return f"{again}{way.name}: {way.taken}"
