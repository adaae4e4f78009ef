"""How a campaign's graph is laid out and counted: nothing on anything else, edges downwards, sums right."""

import re
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.admin.drawing import MOST_NODES, Arc, Box, Node, drawing
from services.admin.flow import Flowing, Stop, Tally, Way, flowing
from shared.campaigns.graph import shaped
from shared.store.flows import Flow
from tests.journeys import graph, send, sms, to, wait


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    """Nodes that are all reached from the first, and edges: some close cycles, some lead back at once."""
    count = draw(st.integers(1, 12))
    names = [f"n{n}" for n in range(count)]
    tree = [(names[draw(st.integers(0, n - 1))], names[n]) for n in range(1, count)]
    more = draw(st.lists(st.tuples(st.sampled_from(names), st.sampled_from(names)), max_size=12))
    return names, draw(st.permutations([*tree, *more]))


def nodes_of(names: Sequence[str]) -> list[Node]:
    return [Node(name, "email", "1 here · 1,234 came", busy=True) for name in names]


def arcs_of(edges: Sequence[tuple[str, str]]) -> list[Arc]:
    return [
        Arc(source, target, f"open {n}" * (n % 3 + 1), used=True) for n, (source, target) in enumerate(edges)
    ]


def apart(one: Box, other: Box) -> bool:
    beside = one.x + one.width <= other.x + 0.2 or other.x + other.width <= one.x + 0.2
    return beside or one.y + one.height <= other.y or other.y + other.height <= one.y


@given(graphs())
def test_nothing_lies_on_anything_else_or_outside(drawn: tuple[list[str], list[tuple[str, str]]]) -> None:
    names, edges = drawn
    seen = drawing(names[0], nodes_of(names), arcs_of(edges))
    assert seen is not None
    boxes = [*seen.nodes, *seen.words]
    assert all(apart(*each) for each in combinations(boxes, 2))
    for box in boxes:
        assert min(box.x, box.y) >= 0
        assert box.x + box.width <= seen.width
        assert box.y + box.height <= seen.height


@given(graphs())
def test_edges_run_down_from_where_they_begin_and_only_what_closes_a_cycle_runs_up(
    drawn: tuple[list[str], list[tuple[str, str]]],
) -> None:
    names, edges = drawn
    seen = drawing(names[0], nodes_of(names), arcs_of(edges))
    assert seen is not None
    boxes = dict(zip(names, seen.nodes, strict=True))
    down = {edge for edge, line in zip(edges, seen.lines, strict=True) if not line.upwards}
    for (source, target), line in zip(edges, seen.lines, strict=True):
        upper, lower = (target, source) if line.upwards else (source, target)
        numbers = [float(each) for each in re.findall(r"[\d.]+", line.path)]
        places = list(zip(numbers[::2], numbers[1::2], strict=True))
        begins, ends = boxes[upper], boxes[lower]
        assert places[0][1] == begins.y + begins.height
        assert abs(places[0][0] - begins.middle) < 0.2
        assert all(one[1] <= other[1] for one, other in pairwise(places)), line.path
        assert line.arrow == (source != target)
        if line.arrow:
            assert places[-1][1] == ends.y
            assert abs(places[-1][0] - ends.middle) < 0.2
            assert begins.y < ends.y
    assert not closes_a_cycle(down)


def closes_a_cycle(edges: set[tuple[str, str]]) -> bool:
    """Whether one can go round by these edges."""
    left = {source for source, target in edges if source != target}
    while ends := {each for each in left if not any(s == each and t in left and s != t for s, t in edges)}:
        left -= ends
    return bool(left)


def test_a_graph_that_nobody_could_read_is_not_drawn() -> None:
    names = [f"n{n}" for n in range(MOST_NODES + 1)]
    chain = list(pairwise(names))
    assert drawing("n0", nodes_of(names), arcs_of(chain)) is None
    assert drawing("n0", nodes_of(names[:-1]), arcs_of(chain[:-1])) is not None


def counted(nodes: dict[str, Any], *flows: Flow) -> Flowing:
    return flowing(shaped(nodes), flows)


def test_nodes_are_in_the_order_contacts_come_to_them_with_their_counts() -> None:
    nodes = graph(
        hello=send(to("opened", "open", includeAutomated=True), to("pause", "no_open", after=7200)),
        pause=wait(90, "text"),
        text=sms(to("done")),
    )
    seen = counted(
        nodes,
        Flow("hello", None, 3, False),
        Flow("hello", "open", 1_000, True),
        Flow("hello", "no_open", 5, False),
        Flow("hello", "failed", 2, False),
        Flow("pause", "else", 4, False),
        Flow("text", None, 4, False),
    )
    none = Tally()
    assert list(seen.stops) == [
        Stop(
            "hello",
            "email",
            Tally(3),
            Tally(1_010, True),
            [
                Way("open, machines too", "opened", Tally(1_000, True)),
                Way("no_open after 2 h", "pause", Tally(5)),
                Way("failed", None, Tally(2)),
            ],
        ),
        Stop("opened", "exit", None, Tally(1_000, True), ()),
        Stop("pause", "wait 1 min 30 s", none, Tally(4), [Way("else", "text", Tally(4))]),
        Stop("text", "sms", Tally(4), Tally(4), [Way("else", "done", none)]),
        Stop("done", "exit", None, none, ()),
    ]
    assert seen.drawn is not None
    assert [box.lines for box in seen.drawn.nodes] == [
        ("hello", "email", "3 here · ≥ 1,010 came"),
        ("opened", "exit", "≥ 1,000 came"),
        ("pause", "wait 1 min 30 s", "0 here · 4 came"),
        ("text", "sms", "4 here · 4 came"),
        ("done", "exit", "0 came"),
    ]
    assert [box.marked for box in seen.drawn.nodes] == [True, False, False, True, False]
    assert [
        (line.used, box.lines[0]) for line, box in zip(seen.drawn.lines, seen.drawn.words, strict=True)
    ] == [
        (True, "open, machines too: ≥ 1,000"),
        (True, "no_open after 2 h: 5"),
        (True, "else: 4"),
        (False, "else: 0"),
    ]


def test_a_node_that_leads_to_itself_says_so_and_a_long_id_is_shortened() -> None:
    long = "x" * 64
    nodes = graph(**{long: send(to(long, "no_open", after=60), to("done"))})
    seen = counted(nodes)
    assert seen.drawn is not None
    assert [box.lines[0] for box in seen.drawn.words] == ["↺ no_open after 1 min: 0", "else: 0"]
    assert seen.drawn.nodes[0].lines[0] == "x" * 25 + "…"
    assert seen.stops[0].id == long
