"""One-click unsubscribe (RFC 8058): the URL a message carries, and what it stands for."""

from typing import NamedTuple
from uuid import UUID

from shared.sealing import Purpose, Sealer
from shared.settings import PublicSettings

PATH = "/u/"


class Subscription(NamedTuple):
    """Whom a campaign's messages go to, and by which of its sends they came."""

    tenant_id: UUID
    contact_id: UUID
    campaign_id: UUID
    action_id: UUID


class Unsubscribe:
    """Makes and reads the URLs; a token is opaque, and nobody without our key can make one."""

    def __init__(self, public: PublicSettings) -> None:
        self._public_url = public.public_url.rstrip("/")
        self._sealer = Sealer(public.secret_key.get_secret_value(), Purpose.UNSUBSCRIBE)

    def url(self, subscription: Subscription) -> str:
        """Where a POST ends the subscription."""
        token = self._sealer.seal(b"".join(each.bytes for each in subscription))
        return f"{self._public_url}{PATH}{token.decode()}"

    def headers(self, url: str) -> dict[str, str]:
        """What mail carries so that its reader can unsubscribe by one click."""
        return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}

    def read(self, token: str) -> Subscription | None:
        """What a token stands for; None for one that is not ours."""
        plain = self._sealer.open(token.encode())
        if plain is None or len(plain) != 16 * len(Subscription._fields):
            return None
        return Subscription(*(UUID(bytes=plain[at : at + 16]) for at in range(0, len(plain), 16)))
