"""What the API knows of the installation: its keys, its address, and what it accepts of tenants."""

from dataclasses import dataclass
from typing import Self

from litestar.di import NamedDependency

from services.gateway.settings import GatewaySettings
from shared.sealing import Purpose, Sealer


@dataclass(frozen=True)
class Installation:
    """Seals secrets on their way in. `development` accepts accounts that a tenant could misuse."""

    credentials: Sealer
    webhook_keys: Sealer
    public_url: str
    development: bool

    @classmethod
    def of(cls, settings: GatewaySettings) -> Self:
        """The installation that the settings describe."""
        secret = settings.public.secret_key.get_secret_value()
        return cls(
            credentials=Sealer(secret, Purpose.CREDENTIALS),
            webhook_keys=Sealer(secret, Purpose.WEBHOOK_KEY),
            public_url=settings.public.public_url.rstrip("/"),
            development=settings.development,
        )


Here = NamedDependency[Installation]
"""The installation, for handlers that need it."""
