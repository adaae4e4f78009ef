"""What a graph must keep to, so that no contact is ever stuck in it or runs round it without a pause.

Each rule is a generator of `(path, sentence)`; `parse` raises the first.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from shared.campaigns.compiled import ANSWERS, Compiled
from shared.campaigns.graph import (
    EDGES,
    TIMED,
    Edge,
    ExitNode,
    Graph,
    Node,
    SendNode,
    WaitNode,
    pointer,
    shaped,
)
from shared.campaigns.templates import compile_template
from shared.errors import InvalidGraph, InvalidTemplate

Problem = tuple[str, str]
Rule = Callable[[Graph], Iterator[Problem]]


def parse(data: object) -> Graph:
    """The graph that JSON describes, proven able to run.

    Raises InvalidGraph with the JSON pointer to what is wrong and a sentence about it.
    """
    graph = shaped(data)
    for rule in RULES:
        for path, sentence in rule(graph):
            raise InvalidGraph(path, sentence)
    return graph


def every_node_is_known(graph: Graph) -> Iterator[Problem]:
    """`start` and every edge lead to a node."""
    if graph.start not in graph.nodes:
        yield pointer("start"), f"There is no node {graph.start}."
    for node_id, index, edge in _edges(graph):
        if edge.to not in graph.nodes:
            yield _at(node_id, index, "to"), f"There is no node {edge.to}."


def starts_with_work(graph: Graph) -> Iterator[Problem]:
    """A campaign does something."""
    if isinstance(graph.nodes[graph.start], ExitNode):
        yield pointer("start"), "The first node is an exit: start with a send or a wait."


def edges_fit_their_node(graph: Graph) -> Iterator[Problem]:
    """An edge is on something that can happen at its node, and on each thing there is one edge."""
    for node_id, index, edge in _edges(graph):
        refusal = _misfit(graph.nodes[node_id], edge)
        if refusal:
            yield _at(node_id, index, "on"), refusal
    for node_id, node in graph.nodes.items():
        for name, count in Counter(edge.on for edge in node.edges).items():
            if count > 1:
                yield pointer("nodes", node_id, "edges"), f"There are {count} edges on {name}: keep one."


def _misfit(node: Node, edge: Edge) -> str | None:
    if isinstance(node, WaitNode):
        if edge.on in TIMED:
            return f"A {edge.on} edge follows a send; a wait has one else edge."
        if edge.on != "else" or edge.after is not None:
            return "A wait has one edge, on else and without `after`: its duration says when."
    elif isinstance(node, SendNode) and edge.on not in EDGES[node.channel]:
        message = "An SMS" if node.channel == "sms" else "An email"
        return f"{message} never has {edge.on}."
    return None


def sends_have_their_parts(graph: Graph) -> Iterator[Problem]:
    """An email has a subject; an SMS is text alone."""
    for node_id, node in _sends(graph):
        if node.channel == "email" and node.subject is None:
            yield pointer("nodes", node_id, "subject"), "An email needs a subject."
        for part in ("subject", "html"):
            if node.channel == "sms" and getattr(node, part) is not None:
                yield pointer("nodes", node_id, part), f"An SMS has no {part}."


def templates_parse(graph: Graph) -> Iterator[Problem]:
    """Subject, text and html are templates."""
    for node_id, node in _sends(graph):
        for part in ("subject", "text", "html"):
            try:
                compile_template(getattr(node, part) or "", html=part == "html")
            except InvalidTemplate as error:
                yield pointer("nodes", node_id, part), str(error)


def every_stay_ends(graph: Graph) -> Iterator[Problem]:
    """Whatever a contact does at a node, and if nothing at all, some edge is taken in the end."""
    compiled = Compiled(graph)
    for node_id, node in graph.nodes.items():
        names = {edge.on for edge in node.edges}
        path = pointer("nodes", node_id, "edges")
        if isinstance(node, WaitNode) and not names:
            yield path, "A wait needs an else edge."
        if not isinstance(node, SendNode) or "else" in names:
            continue
        if not names & TIMED:
            yield path, "A contact who stays silent never leaves: add an else, no_open or no_click edge."
        elif node.channel == "email" and not names & {"open", "no_click"}:
            yield path, "A contact who opens never leaves: add an else, open or no_click edge."
        elif node.channel == "email" and not names & {"open", "click"}:
            yield path, "A contact who clicks never leaves: add an else, open or click edge."
        elif _answered(compiled, node_id) >= names & TIMED:
            yield (
                path,
                (
                    "A contact whose mail a machine opens or clicks never leaves:"
                    " add an else edge, or let the open or click edge include automated ones as well."
                ),
            )


def _answered(graph: Compiled, node_id: str) -> frozenset[str]:
    """The timeouts that can be answered at a node by what takes no edge of it."""
    made = [(on, automated) for on in ANSWERS for automated in (False, True)]
    staying = [each for each in made if graph.resolve(node_id, *each) is None]
    return frozenset().union(*(graph.answered(node_id, *each) for each in staying))


def every_node_is_reached(graph: Graph) -> Iterator[Problem]:
    """No node is cut off, and some exit is reached."""
    reached = _reached(graph)
    for node_id in graph.nodes:
        if node_id not in reached:
            yield pointer("nodes", node_id), f"No path leads to {node_id}."
    if not any(isinstance(graph.nodes[node_id], ExitNode) for node_id in reached):
        yield pointer("nodes"), "No path leads to an exit: add a node of type exit."


def every_cycle_waits(graph: Graph) -> Iterator[Problem]:
    """A contact cannot go round without time passing: on every cycle is a wait or a timed edge."""
    at_once = {
        node_id: [edge.to for edge in node.edges if not edge.delay and not isinstance(node, WaitNode)]
        for node_id, node in graph.nodes.items()
    }
    # Take away, again and again, what leads nowhere at once: what stays lies on a cycle or leads to one.
    while ends := [node_id for node_id, targets in at_once.items() if not at_once.keys() & set(targets)]:
        for node_id in ends:
            del at_once[node_id]
    for node_id in at_once:
        yield pointer("nodes", node_id), f"From {node_id} a cycle can be run without a wait: add one."


RULES: tuple[Rule, ...] = (
    every_node_is_known,
    starts_with_work,
    edges_fit_their_node,
    sends_have_their_parts,
    templates_parse,
    every_stay_ends,
    every_node_is_reached,
    every_cycle_waits,
)
"""In order: a later rule may rely on the earlier ones."""


def _edges(graph: Graph) -> Iterator[tuple[str, int, Edge]]:
    for node_id, node in graph.nodes.items():
        for index, edge in enumerate(node.edges):
            yield node_id, index, edge


def _sends(graph: Graph) -> Iterator[tuple[str, SendNode]]:
    for node_id, node in graph.nodes.items():
        if isinstance(node, SendNode):
            yield node_id, node


def _at(node_id: str, index: int, field: str) -> str:
    return pointer("nodes", node_id, "edges", index, field)


def _reached(graph: Graph) -> set[str]:
    reached: set[str] = set()
    front = [graph.start]
    while front:
        node_id = front.pop()
        if node_id not in reached:
            reached.add(node_id)
            front += [edge.to for edge in graph.nodes[node_id].edges]
    return reached
