"""Sets: rows of values as the array parameters of one statement."""

from collections.abc import Iterable, Sequence
from typing import Any


def columns(names: Iterable[str], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    """The rows' values by column, for `unnest(cast(:name as …[]), …)`; `names` are in the rows' order.

    Rows may be named tuples: then `names` are their `_fields`.
    """
    if not rows:
        return {name: [] for name in names}
    return {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
