"""Sealing: what must not be readable at rest or in a URL is sealed under the installation's secret key."""

import base64
from enum import StrEnum

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class Purpose(StrEnum):
    """What there is to seal; each is sealed under a key of its own."""

    CREDENTIALS = "credentials"
    """Of a provider account: `provider_accounts.credentials`, a JSON object."""
    WEBHOOK_KEY = "webhook_key"
    """What a provider signs with: `webhook_keys.secret`."""
    UNSUBSCRIBE = "unsubscribe"
    """The token of an unsubscribe URL."""
    ADMIN_SESSION = "admin_session"
    """The cookie of somebody who logged in to the admin pages."""


class Sealer:
    """Seals and opens bytes for one purpose; what is sealed for another purpose does not open."""

    def __init__(self, secret_key: str, purpose: Purpose) -> None:
        derived = HKDF(SHA256(), length=32, salt=None, info=purpose.encode()).derive(secret_key.encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(derived))

    def seal(self, plain: bytes) -> bytes:
        """An opaque, authenticated, URL-safe token."""
        return self._fernet.encrypt(plain)

    def open(self, sealed: bytes) -> bytes | None:
        """What was sealed; None when it is forged, damaged, or sealed under another key or purpose."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken:
            return None
