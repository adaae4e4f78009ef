"""`python -m services.admin`."""

from services.admin.app import build
from services.admin.settings import AdminSettings
from shared.process import run


def main() -> None:
    """Serve until a signal ends it."""
    run(build, AdminSettings)


if __name__ == "__main__":
    main()
