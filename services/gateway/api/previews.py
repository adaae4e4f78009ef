"""Seeing a message before contacts do: rendered, or sent to one's own address."""

import asyncio
import json
from datetime import timedelta
from typing import Annotated, Any, Self
from uuid import UUID

import httpx
from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from pydantic import Field, model_validator

from services.gateway import addresses
from services.gateway.api.installation import Here, Installation
from services.gateway.api.shapes import Connection, Id, Shape, TenantId, Word
from services.gateway.problems import Refused
from services.gateway.trials import Trials
from shared.campaigns import messages
from shared.campaigns.graph import Graph, SendNode
from shared.campaigns.messages import Content
from shared.campaigns.suppression import blocks
from shared.campaigns.unsubscribe import PATH
from shared.errors import Conflict
from shared.providers import PROVIDERS
from shared.providers.base import Outcome, OutgoingMessage, ProviderAccount
from shared.providers.segments import segments
from shared.store import campaign_rows, contacts, senders, suppressions
from shared.store.database import AsyncConnection
from shared.store.ids import uuid7

_SEND_WITHIN = timedelta(seconds=10)

Client = NamedDependency[httpx.AsyncClient]
"""The client that test sends go out by."""
Counted = NamedDependency[Trials]
"""What limits them."""


class Sample(Shape):
    """Whom a message is rendered for, where it is no contact."""

    external_id: Word | None = None
    email: Word | None = None
    phone: Word | None = None
    attributes: Annotated[dict[str, Any], Field(default_factory=dict, max_length=200)]


class PreviewData(Shape):
    """Which send of a campaign to render, and for whom: a contact, or a sample of one."""

    node_id: Word
    contact_id: UUID | None = None
    contact: Sample | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.contact_id is None) == (self.contact is None):
            raise ValueError("Give contactId or contact.")
        return self


class TestSendData(PreviewData):
    """Where to send it."""

    to: Word


class Preview(Shape):
    """A rendered message; an SMS has text and the segments it takes."""

    subject: str
    text: str
    html: str | None
    segments: int | None


class TestSend(Shape):
    """What the provider made of a test."""

    outcome: Outcome
    message_id: str | None
    reason: str


@post("/campaigns/{campaign_id:uuid}/preview", status_code=200)
async def preview(
    campaign_id: Id,
    data: JSONBody[PreviewData],
    tenant_id: TenantId,
    connection: Connection,
    installation: Here,
) -> Preview:
    """Render one send; a variable that is missing is named."""
    campaign = await campaign_rows.get(connection, tenant_id, campaign_id)
    node = _send(campaign, data.node_id)
    content = await _rendered(connection, tenant_id, campaign, node, data, installation)
    return Preview(
        subject=content.subject,
        text=content.text,
        html=content.html,
        segments=segments(content.text) if node.channel == "sms" else None,
    )


@post("/campaigns/{campaign_id:uuid}/test-sends", status_code=200)
async def test_send(
    campaign_id: Id,
    data: JSONBody[TestSendData],
    tenant_id: TenantId,
    connection: Connection,
    installation: Here,
    http_client: Client,
    trials: Counted,
) -> TestSend:
    """Send one message to an address of your own, now.

    It goes straight to the sender's provider, is marked as a test, and belongs to no enrolment: nothing is
    recorded, no limit of the campaign is charged (there may be 20 a minute), and what the provider posts
    about it matches nothing. It is refused while the sender is closed, and to an address to which everything
    is suppressed.
    """
    campaign = await campaign_rows.get(connection, tenant_id, campaign_id)
    node = _send(campaign, data.node_id)
    recipient = await _recipient(connection, tenant_id, node, data.to)
    sender_id = node.sender or getattr(campaign, f"{node.channel}_sender_id")
    sender = await senders.get(connection, tenant_id, sender_id)
    if await senders.closed(connection, tenant_id, sender_id):
        raise Conflict("The sender is closed: GET it to see why.")
    content = await _rendered(connection, tenant_id, campaign, node, data, installation)
    message = _message(sender, node, recipient, content)
    sealed = await senders.sealed_account(connection, tenant_id, sender_id)
    plain = installation.credentials.open(bytes(sealed.credentials))
    account = ProviderAccount(sealed.provider, json.loads(plain or b"{}"), sealed.base_url)
    async with trials.admitted(tenant_id):
        outcome = await PROVIDERS[sealed.provider].send(http_client, account, message, _SEND_WITHIN)
    return TestSend(outcome=outcome.kind, message_id=outcome.message_id, reason=outcome.reason)


def _send(campaign: Any, node_id: str) -> SendNode:
    node = Graph.model_validate(campaign.graph).nodes.get(node_id)
    if not isinstance(node, SendNode):
        raise Refused(422, f"There is no send {node_id} in the campaign's current version.", "/nodeId")
    return node


async def _rendered(
    connection: AsyncConnection,
    tenant_id: UUID,
    campaign: Any,
    node: SendNode,
    data: PreviewData,
    installation: Installation,
) -> Content:
    if data.contact_id is not None:
        contact = dict((await contacts.get(connection, tenant_id, data.contact_id))._mapping)
    else:
        contact = data.contact.model_dump() if data.contact else {}
    marketing_mail = campaign.kind == "marketing" and node.channel == "email"
    url = f"{installation.public_url}{PATH}preview" if marketing_mail else None
    # Contacts' templates may take a while: not on the loop that webhooks come in by.
    return await asyncio.to_thread(
        messages.content, node, messages.context(contact, {"name": campaign.name}, url)
    )


async def _recipient(connection: AsyncConnection, tenant_id: UUID, node: SendNode, to: str) -> str:
    try:
        address = addresses.normalized(node.channel, to)
    except ValueError as error:
        raise Refused(400, str(error), "/to") from error
    scopes = await suppressions.scopes(connection, tenant_id, node.channel, address)
    if blocks(scopes, "transactional", None):
        raise Conflict("Everything to this address is suppressed.")
    return address


def _message(sender: Any, node: SendNode, recipient: str, content: Content) -> OutgoingMessage:
    return OutgoingMessage(
        action_id=uuid7(),
        channel=node.channel,
        sender_address=sender.address,
        sender_name=sender.name,
        recipient=recipient,
        subject=content.subject,
        text=content.text,
        html=content.html,
        headers={},
        callback_url=None,
        custom_args={"outreach_test": "true"},
    )


ROUTES = (preview, test_send)
