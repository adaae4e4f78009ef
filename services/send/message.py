"""A claimed send as the message a provider takes."""

import json
from collections.abc import Mapping

from services.send.ledger import Send
from shared.campaigns import messages
from shared.campaigns.unsubscribe import Subscription, Unsubscribe
from shared.providers.base import OutgoingMessage, ProviderAccount
from shared.sealing import Purpose, Sealer
from shared.settings import PublicSettings

NODE_ARGUMENT = "outreach_node"


class Composer:
    """Renders messages, and opens the credentials of the accounts they go out by."""

    def __init__(self, public: PublicSettings) -> None:
        self._public_url = public.public_url.rstrip("/")
        self._unsubscribe = Unsubscribe(public)
        self._credentials = Sealer(public.secret_key.get_secret_value(), Purpose.CREDENTIALS)

    def message(self, send: Send) -> OutgoingMessage:
        """The rendered message.

        Raises:
            RenderError: the templates name what the contact does not have.
        """
        row = send.row
        url = self._unsubscribe_url(send)
        contact = dict(row._mapping)
        names = messages.context(contact, {"name": row.campaign_name}, url)
        content = messages.content(send.node, names)
        return OutgoingMessage(
            action_id=row.id,
            channel=row.channel,
            sender_address=row.sender_address,
            sender_name=row.sender_name,
            recipient=row.address,
            subject=content.subject,
            text=content.text,
            html=content.html,
            headers=self._unsubscribe.headers(url) if url is not None else {},
            callback_url=f"{self._public_url}/webhooks/{row.endpoint_id}" if row.endpoint_id else None,
            custom_args={NODE_ARGUMENT: row.node_id},
        )

    def account(self, send: Send) -> ProviderAccount:
        """The account to send by; credentials sealed under another key are none, and the provider refuses."""
        row = send.row
        plain = self._credentials.open(bytes(row.credentials))
        credentials: Mapping[str, str] = json.loads(plain) if plain is not None else {}
        return ProviderAccount(row.provider, credentials, row.base_url)

    def _unsubscribe_url(self, send: Send) -> str | None:
        row = send.row
        if row.campaign_kind != "marketing" or row.channel != "email":
            return None
        return self._unsubscribe.url(Subscription(row.tenant_id, row.contact_id, row.campaign_id, row.id))
