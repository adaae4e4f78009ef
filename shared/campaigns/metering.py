"""Metering: how much a template may go through, so that none takes all of a worker's time or memory."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from shared.errors import RenderError

MAX_OUTPUT = 1024 * 1024
"""Characters of one rendered part, and of any value on the way to it."""

MAX_TURNS = 10_000
"""Turns of all loops of one rendering together."""

MAX_WORK = 32 * 1024 * 1024
"""Characters that one rendering goes through in filters, comparisons and loops."""

_NODE = 30  # characters that are as much work as a part of a loop's body
_MAX_BITS = 16 * 1024  # of a whole number; the longest that Python reads from a text has fewer


class Meter:
    """What is left of a rendering's loops and work."""

    def __init__(self) -> None:
        self._turns = MAX_TURNS
        self._work = MAX_WORK

    def counted(self, items: Iterable[Any], parts: int) -> Iterator[Any]:
        """The items, as long as there are turns left for a body of so many parts."""
        for item in items:
            self._turns -= 1
            if self._turns < 0:
                raise RenderError(f"The template's loops take more than {MAX_TURNS} turns.")
            self._spend(parts * _NODE)
            yield item

    def metered(self, value: Any) -> Any:
        """The value, unless it is too large, or all of them together are."""
        self._spend(size_of(value))
        return value

    def _spend(self, work: int) -> None:
        self._work -= work
        if self._work < 0:
            raise RenderError(f"The template goes through more than {MAX_WORK} characters.")


def size_of(value: Any) -> int:
    """Characters of a value, about; one that no message has room for is a RenderError or OverflowError."""
    if isinstance(value, list | tuple | dict):
        size = 0
        for item in chain.from_iterable(value.items()) if isinstance(value, dict) else value:
            size += 1 + size_of(item)
            _fits(size)
        return size
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise OverflowError
    return _fits(len(value)) if isinstance(value, str) else 1


def _fits(size: int) -> int:
    if size > MAX_OUTPUT:
        raise RenderError(f"A value has more than {MAX_OUTPUT} characters.")
    return size
