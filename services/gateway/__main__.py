"""`python -m services.gateway`."""

from services.gateway.app import build
from services.gateway.settings import GatewaySettings
from shared.process import run


def main() -> None:
    """Serve until a signal ends it."""
    run(build, GatewaySettings)


if __name__ == "__main__":
    main()
