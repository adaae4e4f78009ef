"""Make the virtual environment, or say which Debian package is missing."""

import sys
import venv
from importlib.util import find_spec
from pathlib import Path


def main() -> None:
    """Create the environment named by the first argument if it is not there."""
    target = Path(sys.argv[1])
    if not (3, 11) <= sys.version_info < (3, 14):  # whoever types make may have another one
        sys.exit(
            f"outreach needs Python 3.11 to 3.13, and {sys.executable} is {sys.version.split()[0]}: "
            "name another, as by `make PYTHON=python3.13`."
        )
    if find_spec("ensurepip") is None:
        major, minor = sys.version_info[:2]
        sys.exit(
            f"Python has no ensurepip: install Debian's python{major}.{minor}-venv, then run make again."
        )
    # Not bin/python: a creation that was cut short, or another tool's, leaves that without pip.
    if not (target / "bin" / "pip").exists():
        venv.create(target, symlinks=True, with_pip=True)


main()
