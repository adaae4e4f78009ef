"""Templates: Jinja's, cut down to what a message needs: no template can call, loop for ever or blow up.

A template has variables, conditions, loops over lists, filters and arithmetic on numbers. It has no calls, no
macros, no assignments, no imports, and sees values, never Python's attributes. A missing variable is an error
that names it. What a contact's attributes hold never appears in an error.

What there is to name: see `messages.context`.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NoReturn

from jinja2 import (
    StrictUndefined,
    Template,
    TemplateSyntaxError,
    Undefined,
    UndefinedError,
    nodes,
    pass_context,
    pass_eval_context,
)
from jinja2.filters import do_join
from jinja2.nodes import EvalContext
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from shared.campaigns.metering import MAX_OUTPUT, Meter, size_of
from shared.errors import InvalidTemplate, RenderError

MAX_SOURCE = 256 * 1024
"""Characters of one template."""

MAX_NODES = 20_000
"""Parts that a template is read as."""


_MAX_LOOPS = 2  # nested; a loop over one element names it, and names in names could double a text at will

# None of them calls, reads an attribute, or grows what it gets by more than a factor; what goes in and comes
# out is metered. `join` and `round` are ours, bounded.
_FILTERS = (
    {"capitalize", "e", "escape", "forceescape", "lower", "safe", "string", "striptags", "title", "trim"}
    | {"truncate", "upper", "urlencode"}
    | {"abs", "float", "int", "round"}
    | {"d", "default", "first", "items", "join", "last", "length", "sort"}
)
_ALLOWED = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.CondExpr),
    *(nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Const, nodes.Tuple, nodes.List),
    *(nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Filter, nodes.Test, nodes.Keyword),
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos),
    nodes.Concat,
)


class _Missing(StrictUndefined):
    """A variable that is not there: using it is an error that names it as the template does."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        return self._undefined_hint or f"There is no variable {self._undefined_name}."


class _Environment(ImmutableSandboxedEnvironment):
    """Attribute access reads keys; arithmetic is for numbers, since `"a" * 10**9` is no message."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """The value under a key of a mapping, or a property of the loop; a null is missing."""
        if isinstance(obj, Mapping) and obj.get(attribute) is not None:
            return obj[attribute]
        if isinstance(obj, LoopContext):
            return super().getattr(obj, attribute)
        return obj if isinstance(obj, Undefined) else self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """The value under a key or index."""
        if isinstance(argument, str):
            return self.getattr(obj, argument)
        return super().getitem(obj, argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """A sum, product and so on of two numbers; `+` joins two texts as well."""
        texts = operator == "+" and isinstance(left, str) and isinstance(right, str)
        if not texts and not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise TypeError(f"{operator} takes numbers")
        return _metered(context, super().call_binop(context, operator, left, right))


class _Gate(NodeTransformer):
    """Refuses what a message does not need, by InvalidTemplate, and has loops counted and values metered."""

    def __init__(self) -> None:
        self._loops = 0
        self._nodes = 0

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        """Any node: allowed, or refused by name."""
        if not isinstance(node, _ALLOWED):
            _refuse(node, f"{type(node).__name__.lower()} is not part of the template language")
        self._nodes += 1
        if self._nodes > MAX_NODES:
            _refuse(node, f"the template has more than {MAX_NODES} parts")
        return super().generic_visit(node)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
        """A filter: one of ours."""
        if node.name not in _FILTERS:
            _refuse(node, f"there is no filter {node.name}; there are {', '.join(sorted(_FILTERS))}")
        self.generic_visit(node)
        node.node = _meter(node.node)
        return _meter(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        """Values side by side: a join, which looks at their length first."""
        self.generic_visit(node)
        values = nodes.List(node.nodes, lineno=node.lineno)
        return _meter(nodes.Filter(values, "join", [], [], None, None, lineno=node.lineno))

    def visit_List(self, node: nodes.List) -> nodes.Node:
        """A list that is written out: the same long text may be in it many times."""
        return _meter(self.generic_visit(node))

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        """A tuple likewise, but for the names of a loop."""
        self.generic_visit(node)
        return _meter(node) if node.ctx == "load" else node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        """A comparison goes through its right side, and no further."""
        self.generic_visit(node)
        for operand in node.ops:
            operand.expr = _meter(operand.expr)
        return node

    def visit_Test(self, node: nodes.Test) -> nodes.Node:
        """A test may compare."""
        self.generic_visit(node)
        node.node = _meter(node.node)
        node.args = [_meter(each) for each in node.args]
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        """A subscript: written out, or an error could tell a value as the name of a missing key."""
        if not isinstance(node.arg, nodes.Const):
            _refuse(node, "a subscript must be written out")
        return self.generic_visit(node)

    def visit_For(self, node: nodes.For) -> nodes.Node:
        """A loop: not recursive and not nested too deep."""
        if node.recursive or self._loops == _MAX_LOOPS:
            _refuse(node, f"loops are not recursive, and nested at most {_MAX_LOOPS} deep")
        self._loops += 1
        before = self._nodes
        self.generic_visit(node)
        self._loops -= 1
        parts = [nodes.Const(self._nodes - before)]
        node.iter = nodes.Filter(node.iter, _COUNTED, parts, [], None, None, lineno=node.lineno)
        return node


def _meter(node: Any) -> nodes.Expr:
    if isinstance(node, nodes.Const) or (isinstance(node, nodes.Filter) and node.name == _METERED):
        return node
    return nodes.Filter(node, _METERED, [], [], None, None, lineno=node.lineno)


def _refuse(node: nodes.Node, why: str) -> NoReturn:
    raise InvalidTemplate(f"Line {node.lineno}: {why}.")


# No template can name a filter or variable with a space in it.
_COUNTED = "counted turns"
_METERED = "metered value"
_METER = "the meter"


@pass_context
def _counted(context: Context, items: Iterable[Any], parts: int) -> Iterator[Any]:
    meter: Meter = context[_METER]
    return meter.counted(items, parts)


@pass_context
def _metered(context: Context, value: Any) -> Any:
    meter: Meter = context[_METER]
    return meter.metered(value)


@pass_eval_context
def _join(context: EvalContext, items: Iterable[Any], separator: str = "") -> str:
    parts = list(items)
    size = len(parts) * len(str(separator))
    for part in parts:
        size += size_of(part)
        if size > MAX_OUTPUT:
            raise RenderError(f"A join gives more than {MAX_OUTPUT} characters.")
    joined: str = do_join(context, parts, separator)
    return joined


def _round(number: Any, digits: int = 0) -> float:
    # Of a float: of an integer, -10**9 digits would take all memory.
    return round(float(number), digits)


def _environment(html: bool) -> _Environment:
    environment = _Environment(undefined=_Missing, autoescape=html, keep_trailing_newline=True)
    environment.globals.clear()
    environment.filters |= {_COUNTED: _counted, _METERED: _metered, "join": _join, "round": _round}
    return environment


_ENVIRONMENTS: Mapping[bool, _Environment] = {html: _environment(html) for html in (False, True)}


@lru_cache(maxsize=4096)
def compile_template(source: str, html: bool = False) -> Template:
    """The template ready to render; values are escaped where it makes HTML.

    Raises InvalidTemplate with the line and what is wrong there.
    """
    if len(source) > MAX_SOURCE:
        raise InvalidTemplate(f"The template has more than {MAX_SOURCE} characters.")
    environment = _ENVIRONMENTS[html]
    try:
        tree = environment.parse(source)
        return environment.from_string(_Gate().visit(tree))
    except TemplateSyntaxError as error:
        raise InvalidTemplate(f"Line {error.lineno}: {error.message}") from None
    except RecursionError:
        raise InvalidTemplate("The template is nested too deep.") from None


def render(source: str, context: Mapping[str, Any], html: bool = False) -> str:
    """The template's text for a context.

    Raises InvalidTemplate as `compile_template` does, and RenderError: naming the variable that is missing,
    else the kind of error and nothing that a value could be read from.
    """
    parts: list[str] = []
    length = 0
    try:
        for part in compile_template(source, html).generate({**context, _METER: Meter()}):
            parts.append(part)
            length += len(part)
            if length > MAX_OUTPUT:
                raise RenderError(f"The message has more than {MAX_OUTPUT} characters.")
    except UndefinedError as error:
        raise RenderError(error.message or "") from None
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
        raise RenderError(f"The template meets a value it cannot use: {type(error).__name__}.") from None
    return "".join(parts)
