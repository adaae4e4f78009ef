"""Entry of the `outreach` command."""

from services.cli.app import app
from shared import log
from shared.errors import SettingsError
from shared.settings import LogSettings


def main() -> None:
    """Run the command line; of events only warnings are shown, and on stderr: stdout is for answers."""
    try:
        log.configure("outreach", LogSettings().model_copy(update={"level": "WARNING"}))
    except SettingsError as error:
        raise SystemExit(f"outreach: {error}") from error
    app()


if __name__ == "__main__":
    main()
