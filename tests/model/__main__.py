"""`make model`: the long run, and a table of what it did.

python -m tests.model [--steps 100000]
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from shared.redis.embedded import EmbeddedValkey
from tests.model.coverage import LONG, shortfalls, table
from tests.model.test_engine import check


def main() -> None:
    """Run half of the steps on one partition and half on three."""
    parser = argparse.ArgumentParser(prog="make model ARGS=…", description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--no-shrink", action="store_true", help="stop at the first divergence as it is")
    arguments = parser.parse_args()
    steps = arguments.steps
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedValkey(Path(folder) / "valkey")
        asyncio.run(server.start())
        try:
            for partitions in (1, 3):
                check(server.url, partitions, steps // 2, shrink=not arguments.no_shrink)
        finally:
            asyncio.run(server.stop())
    sys.stdout.write(table())
    sys.stdout.write(f"{steps} steps, 0 divergences, {time.monotonic() - began:.0f} s\n")
    if steps >= LONG and (found := shortfalls()):
        sys.exit("\n".join(("Not enough of everything:", *found)))


if __name__ == "__main__":
    main()
