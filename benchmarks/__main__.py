"""`make bench`: the engine's table, with BullMQ measured in turns with it on the same server.

    python -m benchmarks [--quick] [--json FILE]

Ends with 0 also where a target is missed: figures of a busy machine are to be read, not obeyed.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from benchmarks import peer
from services.cli.bench.place import Place
from services.cli.bench.rows import Result
from services.cli.bench.run import measure
from services.cli.bench.sizes import FULL, QUICK
from services.cli.bench.table import table
from shared import log
from shared.settings import LogSettings


class Beside:
    """The peer, measured before each round of ours."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._rounds: list[Mapping[str, float]] = []
        self.reason = ""

    async def measure(self, place: Place) -> None:
        """Measure it once more, unless it cannot be."""
        if not self.reason:
            self.add(await peer.measure(place.server.port, self._jobs))

    def add(self, found: peer.Peer) -> None:
        """Take in a round, or the reason why there is none."""
        self.reason = found.reason
        if found.numbers is not None:
            self._rounds.append(found.numbers)

    @property
    def figures(self) -> dict[str, float]:
        """The medians by name; none without a peer."""
        names = self._rounds[0] if self._rounds else ()
        return {name: median(each[name] for each in self._rounds) for name in names}


def report(results: list[Result], beside: Beside) -> dict[str, Any]:
    """Everything for machines."""
    rows = [each.as_json(beside.figures) for each in results]
    return {"rows": rows, "peer": beside.figures, "no_peer": beside.reason or None}


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="The engine beside BullMQ.")
    parser.add_argument("--quick", action="store_true", help="few jobs: the figures mean nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as JSON")
    arguments = parser.parse_args()
    log.configure("bench", LogSettings())
    sizes = QUICK if arguments.quick else FULL
    beside = Beside(sizes.jobs)
    results = uvloop.run(measure(sizes, beside.measure))
    print(table(results, beside.figures))
    if beside.reason:
        print(beside.reason)
    if arguments.json:
        arguments.json.write_text(json.dumps(report(results, beside), indent=2))


if __name__ == "__main__":
    main()
