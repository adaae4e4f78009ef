"""`python -m services.cli.simulator config.json`."""

import sys
from pathlib import Path

import uvloop

from services.cli.simulator.config import Config
from services.cli.simulator.server import serve


def main() -> None:
    """Read the configuration named on the command line, and serve."""
    uvloop.run(serve(Config.model_validate_json(Path(sys.argv[1]).read_bytes())))


if __name__ == "__main__":
    main()
