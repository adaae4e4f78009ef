"""Sets: rows of values as the array parameters of one statement, and rows looked up by such values."""

from collections.abc import Iterable, Sequence
from typing import Any


def columns(names: Iterable[str], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    """The rows' values by column, for `unnest(cast(:name as …[]), …)`; `names` are in the rows' order.

    Rows may be named tuples: then `names` are their `_fields`.
    """
    if not rows:
        return {name: [] for name in names}
    return {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}


def checked(condition: str) -> str:
    """A condition on rows that are looked up by their keys, put so that nothing else finds them by it.

    A status that nobody was in at the last `analyze` is rare for the planner: it would rather read all of a
    partial index, or a small table, than a few keys. In a flood that is every waiting row for each batch.
    """
    return f"case when {condition} then true else false end"


def by_key(table: str, key: str) -> str:
    """The row of a table that an action `a` points to by `key`, to be joined laterally.

    The offset keeps the planner from joining by the tenant alone, which it takes to be cheap where it expects
    few actions: it would read every row of a tenant for each of its actions.
    """
    return f"(select * from {table} x where x.tenant_id = a.tenant_id and x.id = {key} offset 0)"
