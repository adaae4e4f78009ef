"""`python -m services.send`."""

from services.send.app import build
from services.send.settings import SendWorkerSettings
from shared.process import run


def main() -> None:
    """Send until a signal ends it."""
    settings = SendWorkerSettings()
    run(build(settings), settings)


if __name__ == "__main__":
    main()
