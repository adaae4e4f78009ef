"""`python -m services.webhook`."""

from services.webhook.app import build
from services.webhook.settings import WebhookWorkerSettings
from shared.process import run


def main() -> None:
    """Process webhooks until a signal ends it."""
    run(build, WebhookWorkerSettings)


if __name__ == "__main__":
    main()
