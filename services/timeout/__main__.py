"""`python -m services.timeout`."""

from services.timeout.app import build
from services.timeout.settings import TimeoutWorkerSettings
from shared.process import run


def main() -> None:
    """Work on timeouts until a signal ends it."""
    run(build, TimeoutWorkerSettings)


if __name__ == "__main__":
    main()
