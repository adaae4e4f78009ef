"""The pages' settings."""

from datetime import timedelta
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from shared.settings import (
    Part,
    PublicSettings,
    SendSettings,
    ServiceSettings,
    TimeoutSettings,
    WebhookSettings,
)


class AccountSettings(Part):
    """Who may log in."""

    model_config = SettingsConfigDict(env_prefix="OUTREACH_ADMIN_")

    users: SecretStr | None = None
    """`name:role:hash`, one a line or between commas; roles are operator and viewer, hashes are argon2's."""
    password: SecretStr | None = Field(default=None, min_length=8)
    """Of an operator named `admin`."""
    older_password: SecretStr | None = Field(
        default=None, min_length=8, validation_alias="BULLMQ_ADMIN_PASSWORD"
    )
    """As `password`, which goes before it."""

    @field_validator("users")
    @classmethod
    def _some(cls, users: SecretStr | None) -> SecretStr | None:
        """Blanks name nobody: whoever set them is told so, and not served without a login."""
        return users if users is not None and users.get_secret_value().strip() else None


class AdminSettings(ServiceSettings):
    """Where the pages are, who may see them, and how often they look."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="ADMIN_")

    host: str = "0.0.0.0"
    port: int = 8081
    connections: int = Field(default=200, ge=1)
    read_timeout: timedelta = timedelta(seconds=20)
    """How long a request's head may take to come, and then its form."""
    look_every: timedelta = timedelta(seconds=1)
    """How often the queues are looked at, whoever and how many look at the pages."""
    session: timedelta = timedelta(hours=12)
    """How long a login lasts."""
    secure_cookies: bool = True
    """Let browsers send the login over HTTPS alone, or to this machine."""
    development: bool = False
    """Let everybody on this machine in as an operator while no user is set."""

    accounts: AccountSettings = Field(default_factory=AccountSettings)
    public: PublicSettings = Field(default_factory=PublicSettings)
    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)
    webhooks: WebhookSettings = Field(default_factory=WebhookSettings)
    sends: SendSettings = Field(default_factory=SendSettings)

    @model_validator(mode="after")
    def _somebody_may(self) -> Self:
        accounts = self.accounts
        if not (accounts.users or accounts.password or accounts.older_password or self.development):
            raise ValueError(
                "The admin pages have no user: set OUTREACH_ADMIN_USERS or OUTREACH_ADMIN_PASSWORD."
            )
        return self
