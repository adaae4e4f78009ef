"""Drawing: a campaign's graph as boxes, words and lines of an SVG; the page's table says the same in text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.admin.layers import Layers, Place, Route, layers

MOST_NODES, MOST_EDGES = 50, 100
"""A larger graph is not drawn: nobody could read it."""

_NODE, _WORDS = 62.0, 22.0  # heights
_BETWEEN = 20.0
_EDGE = 8.0
_LETTER, _PADDING = 7.6, 20.0  # of a text, generously: fonts differ
_LONGEST = 26  # letters of a node's id


@dataclass(frozen=True, slots=True)
class Node:
    """A node to draw: its id, what it is, and how many are there."""

    id: str
    what: str
    counts: str
    busy: bool


@dataclass(frozen=True, slots=True)
class Arc:
    """An edge to draw; `used`: somebody took it."""

    source: str
    target: str
    words: str
    used: bool


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle around the middle of its lines of text."""

    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]
    marked: bool

    @property
    def middle(self) -> float:
        """Where its lines are centred."""
        return self.x + self.width / 2


@dataclass(frozen=True, slots=True)
class Line:
    """A path's `d`; `upwards`: its arrow is at its upper end. One without an arrow leads to its own node."""

    path: str
    upwards: bool
    arrow: bool
    used: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything of an SVG of this size, in px."""

    width: float
    height: float
    nodes: Sequence[Box]
    words: Sequence[Box]
    lines: Sequence[Line]


def drawing(start: str, nodes: Sequence[Node], arcs: Sequence[Arc]) -> Drawing | None:
    """The drawing of a graph all of whose nodes are reached from `start`; None: it is too large."""
    if len(nodes) > MOST_NODES or len(arcs) > MOST_EDGES:
        return None
    texts = {node.id: (shortened_id(node.id), node.what, node.counts) for node in nodes}
    widths = {node_id: max(map(_width, lines)) for node_id, lines in texts.items()}
    placed = layers(start, widths, [(arc.source, arc.target, _width(arc.words)) for arc in arcs])
    tops = _tops(placed)
    routes = list(zip(placed.routes, arcs, strict=True))
    return Drawing(
        placed.width + 2 * _EDGE,
        tops[placed.rows] + _EDGE - _BETWEEN,
        [_box(placed.nodes[node.id], tops, texts[node.id], node.busy) for node in nodes],
        [_box(route.words, tops, (arc.words,), arc.used) for route, arc in routes],
        [_line(route, arc, tops) for route, arc in routes],
    )


def shortened_id(node_id: str) -> str:
    """A node's id as it fits into its box."""
    return node_id if len(node_id) <= _LONGEST else f"{node_id[: _LONGEST - 1]}…"


def _width(words: str) -> float:
    return len(words) * _LETTER + _PADDING


def _tops(placed: Layers) -> Mapping[int, float]:
    """Where each row begins, and the one behind the last."""
    tops, y = {}, _EDGE
    for row in range(placed.rows + 1):
        tops[row] = y
        y += (_WORDS if row % 2 else _NODE) + _BETWEEN
    return tops


def _box(place: Place, tops: Mapping[int, float], lines: tuple[str, ...], marked: bool) -> Box:
    height = _WORDS if place.row % 2 else _NODE
    left = place.middle - place.width / 2 + _EDGE
    return Box(round(left, 1), tops[place.row], round(place.width, 1), height, lines, marked)


def _line(route: Route, arc: Arc, tops: Mapping[int, float]) -> Line:
    """From the upper end's bottom, through every bend, to the lower end's top."""
    steps: list[str] = []
    for upper, lower in zip(route.places, route.places[1:], strict=False):
        x, y = upper.middle + _EDGE, tops[upper.row] + (_WORDS if upper.row % 2 else _NODE)
        to_x, to_y = lower.middle + _EDGE, tops[lower.row]
        half = (y + to_y) / 2
        steps.append(f"{'L' if steps else 'M'}{x:.1f},{y:.1f}")
        steps.append(f"C{x:.1f},{half:.1f} {to_x:.1f},{half:.1f} {to_x:.1f},{to_y:.1f}")
    return Line(" ".join(steps), route.upwards, arc.source != arc.target, arc.used)
