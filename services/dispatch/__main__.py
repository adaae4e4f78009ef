"""`python -m services.dispatch`."""

from services.dispatch.app import build
from services.dispatch.settings import DispatcherSettings
from shared.process import run


def main() -> None:
    """Dispatch until a signal ends it."""
    run(build, DispatcherSettings)


if __name__ == "__main__":
    main()
