"""SendGrid: Mail Send v3, and the Event Webhook's signature and events.

Facts: twilio.com/docs/sendgrid (API reference, Event Webhook reference), read 2026-11; what the field reports
beyond them is said where it is used. SendGrid has no idempotency key, so a lost answer stays unknown.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import lru_cache

import httpx
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from shared.providers.base import (
    ACTION_ARGUMENT,
    Channel,
    Outcome,
    OutgoingMessage,
    ProviderAccount,
    SendOutcome,
)
from shared.providers.calls import Answer, credential, judge_status, post
from shared.providers.fields import identifier
from shared.providers.sendgrid_events import check_shape, normalize

__all__ = ["authenticate", "channels", "check_shape", "name", "normalize", "send", "verify"]

name = "sendgrid"
channels: frozenset[Channel] = frozenset({"email"})

BASE_URL = "https://api.sendgrid.com"

_ECDSA = ECDSA(SHA256())
_SIGNATURE = "x-twilio-email-event-webhook-signature"
_TIMESTAMP = "x-twilio-email-event-webhook-timestamp"


async def send(
    client: httpx.AsyncClient, account: ProviderAccount, message: OutgoingMessage, timeout: timedelta
) -> SendOutcome:
    """POST /v3/mail/send; the account's credential is `api_key`."""
    key = credential(account, "api_key")
    if key is None:
        return SendOutcome(Outcome.SENDER_CLOSED, reason="the account has no usable api_key")
    return await post(
        client,
        f"{account.base_url or BASE_URL}/v3/mail/send",
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Accept": "application/json"},
        json.dumps(mail(message)).encode(),
        timeout,
        _judge,
    )


def mail(message: OutgoingMessage) -> dict[str, object]:
    """The JSON of Mail Send v3: one recipient, plain text before HTML, our id as a custom argument."""
    parts = (("text/plain", message.text), ("text/html", message.html))
    sender = {"email": message.sender_address}
    if message.sender_name:
        sender["name"] = message.sender_name
    body: dict[str, object] = {
        "personalizations": [{"to": [{"email": message.recipient}]}],
        "from": sender,
        "subject": message.subject,
        "content": [{"type": kind, "value": value} for kind, value in parts if value],
        "custom_args": {**message.custom_args, ACTION_ARGUMENT: str(message.action_id)},
    }
    if message.headers:
        body["headers"] = dict(message.headers)
    return body


def _judge(answer: Answer) -> SendOutcome:
    """Documented: 202 with X-Message-Id; 503 "the SendGrid v3 Web API is not available", so nothing took it.

    A success without the id did not come from SendGrid's API: a proxy's page, or a wrong base_url.
    """
    if 200 <= answer.status < 300:
        message_id = identifier(answer.headers.get("x-message-id"))
        if message_id is None:
            return SendOutcome(Outcome.UNKNOWN, reason=f"{answer.status} without X-Message-Id")
        return SendOutcome(Outcome.ACCEPTED, message_id=message_id)
    if answer.status == 503:
        return SendOutcome(Outcome.NOT_TAKEN, reason="503")
    return judge_status(answer, _message(answer))


def _message(answer: Answer) -> str:
    """The first error's sentence: `{"errors": [{"field": …, "message": …}]}`."""
    errors = answer.json().get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return str(first.get("message", "")) if isinstance(first, dict) else ""


def verify(public_key: str, signature: str, timestamp: str, body: bytes) -> bool:
    """Whether the Event Webhook's key signed `timestamp` and `body`; never raises.

    ECDSA on P-256 with SHA-256 over both as they came, the body's final CRLF included. `public_key` is base64
    of an SPKI DER, `signature` base64 of an ASN.1 DER. The timestamp's age is not judged: SendGrid posts
    again for 24 h and does not say whether it signs anew.
    """
    key = _public_key(public_key)
    if key is None:
        return False
    try:
        key.verify(base64.b64decode(signature, validate=True), timestamp.encode() + body, _ECDSA)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=512)
def _public_key(public_key: str) -> EllipticCurvePublicKey | None:
    try:
        key = load_der_public_key(base64.b64decode(public_key))
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1) else None


def authenticate(headers: Mapping[str, str], body: bytes, url: str, keys: Sequence[str]) -> bool:
    """Whether one of the public keys signed this post; see `Provider.authenticate`. The URL is not signed."""
    signature, timestamp = headers.get(_SIGNATURE), headers.get(_TIMESTAMP)
    if signature is None or timestamp is None:
        return False
    return any(verify(key, signature, timestamp, body) for key in keys)
