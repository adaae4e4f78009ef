"""`python -m services.gateway`."""

from services.gateway.app import build
from services.gateway.settings import GatewaySettings
from shared.process import run


def main() -> None:
    """Serve until a signal ends it."""
    settings = GatewaySettings()
    run(build(settings), settings)


if __name__ == "__main__":
    main()
