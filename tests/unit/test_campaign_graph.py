"""What a graph may be, and what is said of one that may not."""

from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from shared.campaigns.compiled import Compiled, Due, Taken
from shared.campaigns.graph import Graph, SendNode
from shared.campaigns.graph_rules import RULES, parse
from shared.errors import InvalidGraph


def send(*edges: dict[str, Any], **parts: Any) -> dict[str, Any]:
    node = {"type": "send", "channel": "email", "subject": "Hi", "text": "Hello", "edges": list(edges)}
    return {**node, **parts}


def sms(*edges: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {"type": "send", "channel": "sms", "text": "Hello", "edges": list(edges), **parts}


def to(target: str, on: str = "else", **more: Any) -> dict[str, Any]:
    return {"on": on, "to": target, **more}


def graph(**nodes: Any) -> dict[str, Any]:
    return {"start": next(iter(nodes)), "nodes": {"done": {"type": "exit"}, **nodes}}


DRIP = graph(
    hello=send(
        to("thanks", "click"),
        to("thanks", "open", includeAutomated=True),
        to("pause", "no_open", after="P2D"),
        to("done", "bounce"),
        to("done", after="P3D"),
        html="<p>{{ contact.attributes.name }}</p>",
    ),
    pause={"type": "wait", "duration": 3600, "edges": [to("text")]},
    text=sms(to("done", "failed"), to("done", "delivered"), to("done", after=60)),
    thanks=send(to("done")),
)


def refused(data: Any) -> tuple[str, str]:
    with pytest.raises(InvalidGraph) as caught:
        parse(data)
    return caught.value.path, str(caught.value)


def test_a_graph_read_from_its_own_dump_is_the_same():
    assert Graph.model_validate(parse(DRIP).dump()) == parse(DRIP)


def test_durations_are_iso_8601_or_seconds():
    nodes = parse(DRIP).nodes
    assert nodes["pause"].duration == timedelta(hours=1)
    assert nodes["hello"].edges[2].after == timedelta(days=2)


def test_a_send_keeps_what_its_author_wrote():
    node = parse(DRIP).nodes["hello"]
    assert isinstance(node, SendNode)
    assert (node.channel, node.subject, node.text, node.sender) == ("email", "Hi", "Hello", None)


REFUSED = {
    "no graph at all": ([], "", "Input should be"),
    "no nodes": ({"start": "a", "nodes": {}}, "/start", "There is no node a."),
    "an unknown start": ({**DRIP, "start": "nope"}, "/start", "There is no node nope."),
    "an unknown node": (graph(a=send(to("b"))), "/nodes/a/edges/0/to", "There is no node b."),
    "a start that is an exit": ({"start": "x", "nodes": {"x": {"type": "exit"}}}, "/start", "is an exit"),
    "an unreachable node": (
        graph(a=send(to("done")), b=send(to("done"))),
        "/nodes/b",
        "No path leads to b.",
    ),
    "no exit": (
        {"start": "a", "nodes": {"a": {"type": "wait", "duration": 1, "edges": [to("a")]}}},
        "/nodes",
        "No path leads to an exit",
    ),
    "a cycle without a wait": (
        graph(a=send(to("b"), to("done", "failed")), b=send(to("a", "open"), to("done", after=5))),
        "/nodes/a",
        "without a wait",
    ),
    "a send that fails into itself": (
        graph(a=send(to("a", "failed"), to("done"))),
        "/nodes/a",
        "without a wait",
    ),
    "a timeout without a send": (
        graph(a={"type": "wait", "duration": 9, "edges": [to("done", "no_open", after=5)]}),
        "/nodes/a/edges/0/on",
        "A no_open edge follows a send",
    ),
    "an event at a wait": (
        graph(a={"type": "wait", "duration": 9, "edges": [to("done", "open")]}),
        "/nodes/a/edges/0/on",
        "A wait has one edge",
    ),
    "a wait with a second time": (
        graph(a={"type": "wait", "duration": 9, "edges": [to("done", after=5)]}),
        "/nodes/a/edges/0/on",
        "its duration says when",
    ),
    "a wait without an edge": (
        graph(a={"type": "wait", "duration": 9, "edges": []}),
        "/nodes/a/edges",
        "needs an else edge",
    ),
    "a wait of no time": (
        graph(a={"type": "wait", "duration": 0, "edges": [to("done")]}),
        "/nodes/a/duration",
        "greater than",
    ),
    "a wait of a thousand years": (
        graph(a={"type": "wait", "duration": "P365000D", "edges": [to("done")]}),
        "/nodes/a/duration",
        "less than",
    ),
    "no_open after an SMS": (
        graph(a=sms(to("done", "no_open", after=5), to("done"))),
        "/nodes/a/edges/0/on",
        "An SMS never has no_open.",
    ),
    "a click of an SMS": (
        graph(a=sms(to("done"), to("done", "click"))),
        "/nodes/a/edges/1/on",
        "An SMS never has click.",
    ),
    "an opt-out of a mail": (
        graph(a=send(to("done"), to("done", "opt_out"))),
        "/nodes/a/edges/1/on",
        "An email never has opt_out.",
    ),
    "an edge on what nobody knows": (
        graph(a=send(to("done", "smile"))),
        "/nodes/a/edges/0/on",
        "Input should be",
    ),
    "two edges on one event": (
        graph(a=send(to("done"), to("done", "open"), to("done", "open"))),
        "/nodes/a/edges",
        "There are 2 edges on open",
    ),
    "a timeout without a time": (
        graph(a=send(to("done", "no_open"))),
        "/nodes/a/edges/0",
        "A no_open edge needs `after`",
    ),
    "a time on an event": (
        graph(a=send(to("done"), to("done", "open", after=5))),
        "/nodes/a/edges/1",
        "has no `after`",
    ),
    "a mail without a subject": (
        graph(a=send(to("done"), subject=None)),
        "/nodes/a/subject",
        "An email needs a subject.",
    ),
    "a mail without a text": (graph(a=send(to("done"), text="")), "/nodes/a/text", "at least 1"),
    "an SMS with a subject": (graph(a=sms(to("done"), subject="Hi")), "/nodes/a/subject", "has no subject"),
    "an SMS with html": (graph(a=sms(to("done"), html="<p>")), "/nodes/a/html", "has no html"),
    "a template that does not parse": (
        graph(a=send(to("done"), text="{{ contact.name")),
        "/nodes/a/text",
        "Line 1: unexpected end of template",
    ),
    "a field nobody knows": (graph(a=send(to("done"), colour="red")), "/nodes/a/colour", "not permitted"),
    "a node id that is no id": (
        graph(a=send(to("done")), **{"b c": send()}),
        "/nodes/b c",
        "String should match",
    ),
    "an unknown kind of node": (graph(a={"type": "jump"}), "/nodes/a", "does not match"),
    "silence without an end": (graph(a=send(to("done", "open"))), "/nodes/a/edges", "stays silent"),
    "an open without an end": (graph(a=send(to("done", "no_open", after=5))), "/nodes/a/edges", "who opens"),
    "a click without an end": (
        graph(a=send(to("done", "no_click", after=5))),
        "/nodes/a/edges",
        "who clicks",
    ),
    "a machine's open without an end": (
        graph(
            a=send(to("done", "no_open", after=5, includeAutomated=True), to("b", "open")), b=send(to("done"))
        ),
        "/nodes/a/edges",
        "a machine opens",
    ),
    "a machine's click and a person's open without an end": (
        graph(
            a=send(
                to("done", "no_open", after=5),
                to("done", "no_click", after=5, includeAutomated=True),
                to("b", "click"),
            ),
            b=send(to("done")),
        ),
        "/nodes/a/edges",
        "a machine opens or clicks",
    ),
    "a silent SMS without an end": (graph(a=sms(to("done", "delivered"))), "/nodes/a/edges", "silent"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_graph_that_cannot_run_is_refused_with_a_path_and_a_sentence(case: str):
    data, path, sentence = REFUSED[case]
    found_path, found = refused(data)
    assert found_path == path
    assert sentence in found
    assert found.endswith(".")


def test_each_rule_refuses_some_graph_that_the_others_let_pass(monkeypatch: pytest.MonkeyPatch):
    for index, rule in enumerate(RULES):
        others = RULES[:index] + RULES[index + 1 :]
        monkeypatch.setattr("shared.campaigns.graph_rules.RULES", others)
        passing = [case for case, (data, _, _) in REFUSED.items() if _passes(data)]
        assert passing, rule.__name__


def _passes(data: Any) -> bool:
    try:
        parse(data)
    except InvalidGraph:
        return False
    except KeyError:  # a later rule relies on the one left out
        return True
    return True


@pytest.mark.parametrize("after", ["no_open", "no_click", "else"])
def test_a_cycle_with_a_timed_edge_waits(after: str):
    again = to("a", after, after=60)
    others = [to("done", name) for name in ("open", "click")]
    assert parse(graph(a=send(again, *others)))


def test_a_cycle_through_a_wait_waits():
    pause = {"type": "wait", "duration": 60, "edges": [to("a")]}
    assert parse(graph(a=send(to("pause"), to("done", "open")), pause=pause))


@pytest.mark.parametrize(
    "edges",
    [
        (to("done"),),
        (to("done", after=5),),
        (to("done", "no_open", after=5), to("done", "open")),
        (to("done", "no_click", after=5), to("done", "open")),
        (to("done", "no_click", after=5), to("done", "click")),
        (to("done", "no_open", after=5), to("done", "no_click", after=9), to("done", "click")),
    ],
)
def test_edges_that_end_every_stay_are_accepted(edges: tuple[dict[str, Any], ...]):
    assert parse(graph(a=send(*edges)))


def test_parsing_leaves_the_authors_json_alone():
    before = deepcopy(DRIP)
    parse(DRIP)
    assert before == DRIP


def compiled(*edges: dict[str, Any]) -> Compiled:
    nodes = {"a": send(*edges), **{name: send(to("done")) for name in "bc"}}
    return Compiled(Graph.model_validate(graph(**nodes)))


def test_a_click_takes_its_own_edge():
    both = compiled(to("b", "open"), to("c", "click"), to("done"))
    assert both.resolve("a", "click") == Taken("click", "c", None)
    assert both.resolve("a", "open") == Taken("open", "b", None)


def test_a_click_implies_an_open():
    assert compiled(to("b", "open"), to("done")).resolve("a", "click") == Taken("open", "b", None)


def test_an_open_does_not_imply_a_click():
    assert compiled(to("b", "click"), to("done")).resolve("a", "open") is None


def test_an_edge_to_an_exit_node_ends_the_enrolment_by_its_name():
    assert compiled(to("done", "open"), to("b")).resolve("a", "open") == Taken("open", None, "done")


@pytest.mark.parametrize("on", ["open", "click"])
def test_machine_opens_and_scanner_clicks_take_only_edges_that_include_them(on: str):
    edges = (to("b", on), to("done"))
    assert compiled(*edges).resolve("a", on, automated=True) is None
    included = compiled({**edges[0], "includeAutomated": True}, edges[1])
    assert included.resolve("a", on, automated=True) == Taken(on, "b", None)


def test_a_scanner_click_takes_an_open_edge_that_includes_it():
    found = compiled(to("b", "open", includeAutomated=True), to("c", "click"), to("done"))
    assert found.resolve("a", "click", automated=True) == Taken("open", "b", None)


@pytest.mark.parametrize("on", ["bounce", "dropped"])
def test_a_bounce_takes_the_bounce_edge_else_the_failed_edge_else_leaves(on: str):
    assert compiled(to("b", "bounce"), to("c", "failed"), to("done")).resolve("a", on) == Taken(
        "bounce", "b", None
    )
    assert compiled(to("c", "failed"), to("done")).resolve("a", on) == Taken("failed", "c", None)
    assert compiled(to("done")).resolve("a", on) == Taken("bounced", None, "bounced")


def test_a_failure_takes_the_failed_edge_else_leaves():
    assert compiled(to("c", "failed"), to("done")).resolve("a", "failed") == Taken("failed", "c", None)
    assert compiled(to("done")).resolve("a", "failed") == Taken("failed", None, "failed")


@pytest.mark.parametrize("on", ["unsubscribe", "group_unsubscribe", "spam_report"])
def test_an_unsubscribe_or_complaint_moves_only_by_an_edge_of_its_own(on: str):
    assert compiled(to("done")).resolve("a", on) is None
    edge = "spam_report" if on == "spam_report" else "unsubscribe"
    assert compiled(to("b", edge), to("done")).resolve("a", on) == Taken(edge, "b", None)


def test_else_is_taken_at_acceptance_or_after_its_time():
    assert compiled(to("b")).resolve("a", "accepted") == Taken("else", "b", None)
    later = compiled(to("b", after=60))
    assert later.resolve("a", "accepted") is None
    assert later.resolve("a", "elapsed") == Taken("else", "b", None)


def test_who_leaves_at_acceptance_waits_for_nothing():
    assert compiled(to("b"), to("c", "no_open", after=60)).timeouts("a") == ()


def test_timeouts_count_from_acceptance_and_are_watched_where_events_have_edges():
    found = compiled(to("b", "no_open", after=60), to("c", "open"), to("done", after=90))
    assert found.timeouts("a") == (
        Due("no_open", timedelta(seconds=60), watched=True),
        Due("elapsed", timedelta(seconds=90), watched=True),
    )
    assert compiled(to("done", after=90)).timeouts("a") == (
        Due("elapsed", timedelta(seconds=90), watched=False),
    )
    assert Compiled(parse(DRIP)).timeouts("pause") == (Due("elapsed", timedelta(hours=1), watched=False),)


def test_an_open_answers_only_no_open_and_a_click_both():
    both = compiled(to("b", "no_open", after=60), to("c", "no_click", after=60), to("done", "click"))
    assert both.answered("a", "open", automated=False) == {"no_open"}
    assert both.answered("a", "click", automated=False) == {"no_open", "no_click"}
    assert both.answered("a", "delivered", automated=False) == frozenset()


def test_a_machine_open_answers_only_a_timeout_that_includes_it():
    edges = (to("b", "no_open", after=60), to("done", after=99))
    assert compiled(*edges).answered("a", "open", automated=True) == frozenset()
    included = compiled({**edges[0], "includeAutomated": True}, edges[1])
    assert included.answered("a", "open", automated=True) == {"no_open"}
