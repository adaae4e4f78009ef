"""Make the virtual environment, or say which Debian package is missing."""

import sys
import venv
from importlib.util import find_spec
from pathlib import Path


def main() -> None:
    """Create the environment named by the first argument if it is not there."""
    target = Path(sys.argv[1])
    if sys.version_info < (3, 11):  # noqa: UP036  whoever types make may have an older one
        sys.exit(f"outreach needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}.")
    if find_spec("ensurepip") is None:
        major, minor = sys.version_info[:2]
        sys.exit(
            f"Python has no ensurepip: install Debian's python{major}.{minor}-venv, then run make again."
        )
    if not (target / "bin" / "python").exists():
        venv.create(target, with_pip=True)


main()
