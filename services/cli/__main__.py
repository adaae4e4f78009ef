"""Entry of the `outreach` command."""

import sys

from services.cli.app import app
from shared import log
from shared.errors import SettingsError
from shared.settings import LogSettings


def main() -> None:
    """Run the command line; of events only warnings are shown, and on stderr: stdout is for answers."""
    try:
        "".join(sys.argv).encode()
    except UnicodeEncodeError as error:
        raise SystemExit("outreach: type UTF-8: what is named is kept as text.") from error
    try:
        log.configure("outreach", LogSettings().model_copy(update={"level": "WARNING"}))
    except SettingsError as error:
        raise SystemExit(f"outreach: {error}") from error
    app()


if __name__ == "__main__":
    main()
