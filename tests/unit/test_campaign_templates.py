"""What a template may do, and what it says when it cannot be rendered."""

from typing import Any

import pytest

from shared.campaigns import templates
from shared.campaigns.graph import SendNode
from shared.campaigns.messages import Content, content, context
from shared.campaigns.templates import render
from shared.errors import InvalidTemplate, RenderError

ANN = {
    "email": "ann@example.org",
    "phone": None,
    "external_id": "7",
    "attributes": {
        "name": "<Ann>",
        "pets": ["cat", "dog"],
        "sizes": {"cat": 1},
        "items": "mine",
        "gone": None,
    },
}
NAMES = context(ANN, {"name": "spring"}, "https://example.org/u/1")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Hi {{ contact.attributes.name }}", "Hi <Ann>"),
        ("{{ contact['email'] }} {{ contact.external_id }} {{ campaign.name }}", "ann@example.org 7 spring"),
        ("{{ unsubscribe_url }}", "https://example.org/u/1"),
        ("{% for pet in contact.attributes.pets %}{{ loop.index }}:{{ pet }} {% endfor %}", "1:cat 2:dog "),
        ("{% for k, v in contact.attributes.sizes|items %}{{ k }}={{ v }}{% endfor %}", "cat=1"),
        ("{% for x in contact.attributes.pets if x == 'ox' %}{% else %}none{% endfor %}", "none"),
        ("{{ contact.attributes.pets|join(', ')|upper }}", "CAT, DOG"),
        ("{{ contact.attributes.nick|default('you') }}", "you"),
        ("{{ contact.attributes.gone|default('you') }}", "you"),
        ("{% if contact.attributes.nick is defined %}a{% else %}b{% endif %}", "b"),
        ("{{ 7 * 3 }} {{ 7 % 3 }} {{ (7 / 3)|round(2) }} {{ 'a' ~ 1 }}", "21 1 2.33 a1"),
        ("{{ contact.attributes.items }}", "mine"),
        ("a\n", "a\n"),
    ],
)
def test_a_template_renders(source: str, text: str):
    assert render(source, NAMES) == text


def test_values_are_escaped_in_html_only():
    source = "<b>{{ contact.attributes.name }}</b>"
    assert render(source, NAMES) == "<b><Ann></b>"
    assert render(source, NAMES, html=True) == "<b>&lt;Ann&gt;</b>"


@pytest.mark.parametrize(
    "source",
    [
        "{{ contact.attributes.nick }}",
        "{{ contact.attributes.gone }}",
        "{{ contact.attributes.nick.first }}",
        "{% if contact.attributes.nick %}a{% endif %}",
        "{% for x in contact.attributes.nick %}{% endfor %}",
        "{{ contact.attributes.nick|upper }}",
        "{{ contact.attributes['nick'] }}",
    ],
)
def test_a_missing_variable_is_named(source: str):
    name = "gone" if "gone" in source else "nick"
    with pytest.raises(RenderError, match=f"^There is no variable {name}\\.$"):
        render(source, NAMES)


@pytest.mark.parametrize(
    "source",
    [
        "{{ contact.attributes.name * 3 }}",
        "{{ contact.attributes.name|round }}",
        "{{ contact.attributes.name + 1 }}",
        "{{ 1 / 0 }}",
        "{% for a, b in contact.attributes.pets %}{% endfor %}",
    ],
)
def test_an_error_in_rendering_tells_its_kind_and_no_value(source: str):
    with pytest.raises(RenderError, match=r"The template meets a value it cannot use: [A-Za-z]+\.") as caught:
        render(source, NAMES)
    assert "Ann" not in str(caught.value)
    assert caught.value.__cause__ is None


ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ contact.__class__ }}",
    "{{ contact.attributes.name.upper }}",
    "{{ contact.keys }}",
    "{{ contact.attributes.pets[0].__class__ }}",
]


@pytest.mark.parametrize("source", ESCAPES)
def test_no_attribute_of_python_is_reached(source: str):
    with pytest.raises(RenderError, match="There is no variable"):
        render(source, NAMES)


NOT_PART = {
    "call": "{{ range(9) }}",
    "assign": "{% set x = 1 %}",
    "macro": "{% macro m() %}{% endmacro %}",
    "include": "{% include 'x' %}",
    "extends": "{% extends 'x' %}",
    "import": "{% import 'x' as y %}",
    "with": "{% with x = 1 %}{% endwith %}",
    "pow": "{{ 9 ** 9 }}",
    "filterblock": "{% filter upper %}a{% endfilter %}",
}


@pytest.mark.parametrize("word", NOT_PART)
def test_what_a_message_does_not_need_is_not_part_of_the_language(word: str):
    with pytest.raises(InvalidTemplate, match=f"Line 1: {word} is not part of the template language"):
        render(NOT_PART[word], NAMES)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("a\n{{ b", "Line 2: unexpected end of template"),
        ("{{ a|shout }}", "there is no filter shout; there are abs"),
        ("{{ a|sort|counted }}", "there is no filter counted"),
        ("{{ contact[campaign.name] }}", "a subscript must be written out"),
        ("{% for a in b recursive %}{% endfor %}", "not recursive"),
        (
            "{% for a in b %}{% for c in d %}{% for e in f %}{% endfor %}{% endfor %}{% endfor %}",
            "nested at most 2",
        ),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "nested too deep"),
        ("a" * (templates.MAX_SOURCE + 1), "more than 262144 characters"),
        ("{{ a }}" * templates.MAX_NODES, "more than 20000 parts"),
    ],
)
def test_a_template_that_cannot_be_is_refused_with_its_line(source: str, sentence: str):
    with pytest.raises(InvalidTemplate, match=sentence):
        render(source, NAMES)


BOMBS: dict[str, tuple[str, Any]] = {
    "a long text many times": ("{{ contact.attributes.name * 1000000000 }}", "cannot use"),
    "a wide format": ("{{ '%1000000000d' % 1 }}", "cannot use"),
    "a join by a long text": ("{% for a in [x|join(x)] %}{{ a|join(a) }}{% endfor %}", "A join gives more"),
    "loops in loops": (
        "{% for a in y %}{% for b in y %}{% endfor %}{% endfor %}",
        "loops take more than 10000",
    ),
    "a loop that writes": ("{% for a in y %}{{ x }}{% endfor %}", "more than 1048576 characters"),
    "a text beside itself": ("{{ " + " ~ ".join("x" * 1500) + " }}", "A join gives more"),
    "a text joined with itself": ("{{ [" + ",".join("x" * 1500) + "]|join }}", "A value has more"),
    "a list of one text": ("{{ [" + ",".join("x" * 1500) + "] }}", "A value has more"),
    "a list of one object": ("{{ [" + ",".join("z" * 1500) + "]|length }}", "A value has more"),
    "a loop over a tuple": ("{% for a in (" + "x," * 1500 + ") %}{% endfor %}", "A value has more"),
    "a sum of texts": ("{{ " + " + ".join(["w"] * 11) + " }}", "A value has more"),
    "filters that grow": ("{{ w" + "|forceescape" * 10 + " }}", "A value has more"),
    "joins again and again": ("{% for a in y %}{% if w ~ 1 %}{% endif %}{% endfor %}", "goes through more"),
    "filters again and again": ("{% for a in y %}{{ t|striptags }}{% endfor %}", "goes through more"),
    "comparisons again and again": ("{% for a in y %}{{ w == w }}{% endfor %}", "goes through more"),
    "tests again and again": ("{% for a in y %}{{ w is lower }}{% endfor %}", "goes through more"),
    "searches again and again": ("{% for a in y %}{{ 'a' is in(w) }}{% endfor %}", "goes through more"),
    "a loop of many parts": ("{% for a in y %}" + "{{ '' }}" * 900 + "{% endfor %}", "goes through more"),
    "a long number": ("{{ h|int(0, 16) }}", "cannot use: OverflowError"),
    "a product of numbers": ("{{ " + " * ".join(["9" * 4000] * 9) + " }}", "cannot use: OverflowError"),
}


HEAVY = {
    "x": "abcdefghij" * 100,
    "y": [0] * 5000,
    "w": "&" * 100_000,
    "t": "<a>" * 3_000,
    "z": {"a": "b" * 1000},
    "h": "f" * 5000,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_template_cannot_blow_up(bomb: str):
    source, sentence = BOMBS[bomb]
    with pytest.raises(RenderError, match=sentence):
        render(source, {**NAMES, **HEAVY})


def test_values_side_by_side_are_escaped_in_html_only():
    names = {"a": "<", "b": 2}
    assert render("{{ a ~ b ~ '>' }}", names) == "<2>"
    assert render("{{ a ~ b ~ '>' }}", names, html=True) == "&lt;2&gt;"
    assert render("{{ a|safe ~ '>' }}", names, html=True) == "<&gt;"
    with pytest.raises(RenderError, match="There is no variable gone"):
        render("{{ a ~ gone }}", names)


def test_an_honest_table_of_thousands_of_rows_renders():
    row = "<tr><td>{{ a.n|upper }}</td>{% if a.n == 'b' %}<td>{{ a.p * 2 }}</td>{% endif %}</tr>"
    text = render("{% for a in rows %}" + row + "{% endfor %}", {"rows": [{"n": "b", "p": 2}] * 9000})
    assert text == "<tr><td>B</td><td>4</td></tr>" * 9000


def test_rounding_to_absurd_digits_ends():
    assert render("{{ 7|round(-1000000000) }}", NAMES) == "0.0"


def test_a_send_node_becomes_a_message_with_a_subject_of_one_line():
    node = SendNode(
        channel="email",
        subject="Hi\r\nBcc: {{ contact.attributes.name }} ",
        text="{{ contact.attributes.name }}",
        html="<p>{{ contact.attributes.name }}</p>",
        edges=(),
    )
    assert content(node, NAMES) == Content("Hi Bcc: <Ann>", "<Ann>", "<p>&lt;Ann&gt;</p>")


def test_an_sms_has_a_text_alone():
    assert content(SendNode(channel="sms", text="Hi", edges=()), NAMES) == Content("", "Hi", None)


def test_a_message_without_an_unsubscribe_link_cannot_name_one():
    with pytest.raises(RenderError, match="There is no variable unsubscribe_url"):
        render("{{ unsubscribe_url }}", context(ANN, {"name": "receipt"}, None))
