"""The whole measurement, scenario after scenario."""

from collections import defaultdict
from collections.abc import Awaitable, Callable

import structlog

from services.cli.bench.costs import server_costs
from services.cli.bench.depth import depths, fairness
from services.cli.bench.drains import drains, latency, lateness, two_processes
from services.cli.bench.enqueues import enqueues
from services.cli.bench.limits import limits
from services.cli.bench.memory import bytes_remembered, bytes_waiting
from services.cli.bench.parking import parking
from services.cli.bench.place import Place, private_place
from services.cli.bench.rows import ROWS, Result, Samples
from services.cli.bench.sizes import Sizes

log = structlog.get_logger()

Scenario = Callable[[Place, Sizes], Awaitable[Samples]]
Beside = Callable[[Place], Awaitable[None]]

ROUNDS: tuple[Scenario, ...] = (drains, enqueues, latency, lateness, two_processes, server_costs)
"""Measured `rounds` times, each time after the peer."""

ONCE: tuple[Scenario, ...] = (parking, limits, bytes_waiting, bytes_remembered, fairness, depths)
"""Counts, bytes, and what goes its rounds by itself."""


async def measure(sizes: Sizes, beside: Beside | None = None) -> list[Result]:
    """Measure every row on a server of its own; `beside` is called on it before each round.

    Raises:
        SettingsError: there is no embedded Valkey here.
        BenchmarkFailed: something did not happen that was to be measured.
    """
    figures: dict[str, list[float]] = defaultdict(list)
    async with private_place() as place:
        for round_number in range(sizes.rounds):
            if beside is not None:
                await place.empty()
                await beside(place)
            for scenario in ROUNDS:
                await _take(scenario, place, sizes, figures, round_number)
        for scenario in ONCE:
            await _take(scenario, place, sizes, figures)
    return [Result(row, tuple(figures[row.name])) for row in ROWS]


async def _take(
    scenario: Scenario, place: Place, sizes: Sizes, figures: dict[str, list[float]], round_number: int = 0
) -> None:
    log.info("bench.measuring", scenario=scenario.__name__, round=round_number + 1)
    for name, found in (await scenario(place, sizes)).items():
        figures[name] += found
