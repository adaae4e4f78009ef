"""Layers: where the parts of a graph go, so that its edges run downwards and nothing lies on another.

Nodes lie on even rows, as far down as the longest way to them. The words of an edge lie on an odd row and
take part like a node; an edge that passes a row has a bend in it. One that closes a cycle runs upwards.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

_SWEEPS = 8
_GAP = 16.0


@dataclass(eq=False, slots=True)
class Place:
    """Something that takes room on a row: its width, and the middle of it, once it is known."""

    row: int
    width: float
    middle: float = 0.0
    above: list["Place"] = field(default_factory=list)
    below: list["Place"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Route:
    """An edge's way through the rows, from its upper end down; `words` is where its words lie.

    `upwards`: it runs from the lower end up. An edge from a node to itself ends at its words.
    """

    places: Sequence[Place]
    words: Place
    upwards: bool


@dataclass(frozen=True, slots=True)
class Layers:
    """The nodes' places by id, and the edges' routes in their order; everything is right of 0."""

    nodes: Mapping[str, Place]
    routes: Sequence[Route]
    rows: int
    width: float


def layers(start: str, nodes: Mapping[str, float], edges: Sequence[tuple[str, str, float]]) -> Layers:
    """Place nodes (widths by id) and edges (from, to, width of the words); all are reached from start."""
    depths, closing = _depths(start, nodes, edges)
    places = {node_id: Place(2 * depths[node_id], width) for node_id, width in nodes.items()}
    rows: dict[int, list[Place]] = defaultdict(list)
    for place in places.values():
        rows[place.row].append(place)
    routes = [_route(places, rows, edge, edge[:2] in closing) for edge in edges]
    ordered = [rows[number] for number in range(max(rows) + 1)]
    _order(ordered)
    _spread(ordered)
    left = min(place.middle - place.width / 2 for row in ordered for place in row)
    for row in ordered:
        for place in row:
            place.middle -= left
    width = max(place.middle + place.width / 2 for row in ordered for place in row)
    return Layers(places, routes, len(ordered), width)


def _depths(
    start: str, nodes: Iterable[str], edges: Sequence[tuple[str, str, float]]
) -> tuple[Mapping[str, int], frozenset[tuple[str, str]]]:
    """The longest way down to each node, and the edges that close a cycle."""
    targets: dict[str, list[str]] = {node_id: [] for node_id in nodes}
    for source, target, _ in edges:
        targets[source].append(target)
    closing: set[tuple[str, str]] = set()
    done: list[str] = []
    path, seen = [(start, iter(targets[start]))], {start}
    on_path = {start}
    while path:
        node_id, rest = path[-1]
        target = next(rest, "")
        if not target:
            path.pop()
            on_path.discard(node_id)
            done.append(node_id)
        elif target in on_path:
            closing.add((node_id, target))
        elif target not in seen:
            seen.add(target)
            on_path.add(target)
            path.append((target, iter(targets[target])))
    depths = dict.fromkeys(targets, 0)
    for node_id in reversed(done):
        for target in targets[node_id]:
            if (node_id, target) not in closing:
                depths[target] = max(depths[target], depths[node_id] + 1)
    return depths, frozenset(closing)


def _route(
    places: Mapping[str, Place], rows: Mapping[int, list[Place]], edge: tuple[str, str, float], upwards: bool
) -> Route:
    source, target, width = edge
    upper, lower = (places[target], places[source]) if upwards else (places[source], places[target])
    if source == target:
        words = _hang(rows, upper, Place(upper.row + 1, width))
        return Route([upper, words], words, upwards)
    way, at = [upper], lower.row - 1 if upwards else upper.row + 1
    words = Place(at, width)
    for row in range(upper.row + 1, lower.row):
        way.append(_hang(rows, way[-1], words if row == at else Place(row, _GAP)))
    way[-1].below.append(lower)
    lower.above.append(way[-1])
    return Route([*way, lower], words, upwards)


def _hang(rows: Mapping[int, list[Place]], upper: Place, place: Place) -> Place:
    rows[place.row].append(place)
    upper.below.append(place)
    place.above.append(upper)
    return place


def _order(rows: Sequence[list[Place]]) -> None:
    """Order each row by where its neighbours are in the next, down and up again, so that few edges cross."""
    position = {place: float(n) for row in rows for n, place in enumerate(row)}
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            wish = {place: _mean(position, place.above if down else place.below, place) for place in row}
            row.sort(key=lambda place, wish=wish: wish[place])  # type: ignore[misc]  # a default is no type
            position |= {place: float(n) for n, place in enumerate(row)}


def _mean(position: Mapping[Place, float], neighbours: Sequence[Place], place: Place) -> float:
    return _average([position[each] for each in neighbours]) if neighbours else position[place]


def _spread(rows: Sequence[list[Place]]) -> None:
    """Draw everything to the middle of its neighbours, as far as what is beside it leaves room.

    First below what leads to it, so that there is room at all; then back and forth, between all of them.
    """
    for row in rows:
        _settle(row, [_middle(place.above, place) for place in row])
    for sweep in range(_SWEEPS):
        for row in reversed(rows) if sweep % 2 == 0 else rows:
            _settle(row, [_middle([*place.above, *place.below], place) for place in row])


def _middle(near: Sequence[Place], place: Place) -> float:
    return _average([each.middle for each in near]) if near else place.middle


def _settle(row: Sequence[Place], wishes: Sequence[float]) -> None:
    """Put each as near to its wish as can be, in their order and without touching.

    What would touch or cross goes as a block to the mean of its wishes (pool adjacent violators).
    """
    offsets = [0.0]
    for left, right in pairwise(row):
        offsets.append(offsets[-1] + (left.width + right.width) / 2 + _GAP)
    blocks: list[list[float]] = []
    for wish, offset in zip(wishes, offsets, strict=True):
        blocks.append([wish - offset])
        while len(blocks) > 1 and _average(blocks[-2]) >= _average(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    found = [_average(block) for block in blocks for _ in block]
    for place, at, offset in zip(row, found, offsets, strict=True):
        place.middle = at + offset


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values)
