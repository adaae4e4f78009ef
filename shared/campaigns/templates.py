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

from shared.errors import InvalidTemplate, RenderError

MAX_SOURCE = 256 * 1024
"""Characters of one template."""

MAX_OUTPUT = 1024 * 1024
"""Characters of one rendered part."""

MAX_TURNS = 10_000
"""Turns of all loops of one rendering together."""

_MAX_LOOPS = 2  # nested; a loop over one element names it, and names in names could double a text at will

# None of them calls, reads an attribute, or grows what it gets by more than a factor. `join` and `round` are
# ours, bounded.
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


class _Turns:
    """What is left of a rendering's loops."""

    def __init__(self) -> None:
        self._left = MAX_TURNS

    def counted(self, items: Iterable[Any]) -> Iterator[Any]:
        """The items, as long as turns are left."""
        for item in items:
            self._left -= 1
            if self._left < 0:
                raise RenderError(f"The template's loops take more than {MAX_TURNS} turns.")
            yield item


class _Environment(ImmutableSandboxedEnvironment):
    """Attribute access reads keys; arithmetic is for numbers, since `"a" * 10**9` is no message."""

    intercepted_binops = frozenset({"*", "%"})

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
        """The product or remainder of two numbers."""
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            raise TypeError(f"{operator} takes numbers")
        return super().call_binop(context, operator, left, right)


class _Gate(NodeTransformer):
    """Refuses what a message does not need, by InvalidTemplate, and has the turns of loops counted."""

    def __init__(self) -> None:
        self._loops = 0

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        """Any node: allowed, or refused by name."""
        if not isinstance(node, _ALLOWED):
            _refuse(node, f"{type(node).__name__.lower()} is not part of the template language")
        return super().generic_visit(node)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
        """A filter: one of ours."""
        if node.name not in _FILTERS:
            _refuse(node, f"there is no filter {node.name}; there are {', '.join(sorted(_FILTERS))}")
        return self.generic_visit(node)

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
        self.generic_visit(node)
        self._loops -= 1
        node.iter = nodes.Filter(node.iter, _COUNTED, [], [], None, None, lineno=node.lineno)
        return node


def _refuse(node: nodes.Node, why: str) -> NoReturn:
    raise InvalidTemplate(f"Line {node.lineno}: {why}.")


_COUNTED = "counted turns"  # no template can name a filter with a space in it
_TURNS = "counted turns"


@pass_context
def _counted(context: Context, items: Iterable[Any]) -> Iterator[Any]:
    turns: _Turns = context[_TURNS]
    return turns.counted(items)


@pass_eval_context
def _join(context: EvalContext, items: Iterable[Any], separator: str = "") -> str:
    parts = list(items)
    if len(parts) * len(str(separator)) > MAX_OUTPUT:
        raise RenderError(f"A join gives more than {MAX_OUTPUT} characters.")
    joined: str = do_join(context, parts, separator)
    return joined


def _round(number: Any, digits: int = 0) -> float:
    # Of a float: of an integer, -10**9 digits would take all memory.
    return round(float(number), digits)


def _environment(html: bool) -> _Environment:
    environment = _Environment(undefined=_Missing, autoescape=html, keep_trailing_newline=True)
    environment.globals.clear()
    environment.filters |= {_COUNTED: _counted, "join": _join, "round": _round}
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
        for part in compile_template(source, html).generate({**context, _TURNS: _Turns()}):
            parts.append(part)
            length += len(part)
            if length > MAX_OUTPUT:
                raise RenderError(f"The message has more than {MAX_OUTPUT} characters.")
    except UndefinedError as error:
        raise RenderError(error.message or "") from None
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
        raise RenderError(f"The template meets a value it cannot use: {type(error).__name__}.") from None
    return "".join(parts)
