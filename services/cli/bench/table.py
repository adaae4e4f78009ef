"""The table: a row a line, ours beside the peer's, the target and whether it is met."""

from collections.abc import Mapping, Sequence

from services.cli.bench.rows import Result
from services.cli.columns import columns

_TITLES = ("row", "ours", "(lowest to highest)", "unit", "peer", "ratio", "target", "met")
_WORDS = {True: "met", False: "NOT MET", None: "no peer"}


def table(results: Sequence[Result], peers: Mapping[str, float]) -> str:
    """The results as text; `peers` are the peer's figures by their names, none where there is no peer."""
    return columns([_TITLES, *(_cells(each, peers) for each in results)])


def _cells(result: Result, peers: Mapping[str, float]) -> tuple[str, ...]:
    peer, ratio, met = result.beside(peers)
    lowest, highest = min(result.figures), max(result.figures)
    return (
        result.row.what,
        _short(result.figure),
        f"({_short(lowest)} to {_short(highest)})" if lowest != highest else "",
        result.row.unit,
        _short(peer) if peer is not None else "",
        f"{_short(ratio)} ×" if ratio is not None else "",
        str(result.row.target),
        _WORDS[met],
    )


def _short(figure: float) -> str:
    """Three figures that count, or all of a whole number's."""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
