"""`python -m services.send`."""

from services.send.app import build
from services.send.settings import SendWorkerSettings
from shared.process import run


def main() -> None:
    """Send until a signal ends it."""
    run(build, SendWorkerSettings)


if __name__ == "__main__":
    main()
