"""Twilio: SMS through the Messages resource, and the signature of its callbacks.

Facts: twilio.com/docs (Messages resource, webhook security, error codes), read 2026-11. Twilio has no
idempotency key for messages; our id travels in the signed callback URL, so a callback finds its send even
when the answer was lost.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import httpx

from shared.providers.base import (
    ACTION_QUERY,
    Channel,
    Outcome,
    OutgoingMessage,
    ProviderAccount,
    SendOutcome,
)
from shared.providers.calls import Answer, credential, judge_status, post
from shared.providers.fields import identifier
from shared.providers.twilio_events import check_shape, form_fields, normalize

__all__ = ["authenticate", "channels", "check_shape", "name", "normalize", "send", "verify"]

name = "twilio"
channels: frozenset[Channel] = frozenset({"sms"})

BASE_URL = "https://api.twilio.com"

# Not authenticated, account not active, account suspended: whatever status they come with.
_ACCOUNT_CODES = {20003, 20005, 30002}
# Too many requests, and the sender's queue of messages is full.
_RATE_CODES = {20429, 21611}


async def send(
    client: httpx.AsyncClient, account: ProviderAccount, message: OutgoingMessage, timeout: timedelta
) -> SendOutcome:
    """POST the account's Messages; its credentials are `account_sid` and `auth_token`."""
    sid, token = credential(account, "account_sid"), credential(account, "auth_token")
    if sid is None or token is None:
        return SendOutcome(
            Outcome.SENDER_CLOSED, reason="the account has no usable account_sid and auth_token"
        )
    basic = base64.b64encode(f"{sid}:{token}".encode()).decode()
    return await post(
        client,
        f"{account.base_url or BASE_URL}/2010-04-01/Accounts/{quote(sid, safe='')}/Messages.json",
        {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"},
        urlencode(form(message), errors="replace").encode(),
        timeout,
        _judge,
    )


def form(message: OutgoingMessage) -> dict[str, str]:
    """The fields of the Messages resource; the callback URL gets our id as `?sa=`."""
    fields = {"From": message.sender_address, "To": message.recipient, "Body": message.text or ""}
    if message.callback_url is not None:
        url = urlsplit(message.callback_url)
        query = "&".join(filter(None, (url.query, f"{ACTION_QUERY}={message.action_id}")))
        fields["StatusCallback"] = url._replace(query=query).geturl()
    return fields


def _judge(answer: Answer) -> SendOutcome:
    """Documented: 201 with the message's `sid`; an error is JSON with a `code`, which outranks the status.

    429 is "never processed and always safe to retry"; of 500 and 503 no page says that nothing was sent (of
    500 one warns that it may have been), so both stay unknown.
    """
    said = answer.json()
    if 200 <= answer.status < 300:
        message_id = identifier(said.get("sid"))
        if message_id is None:
            return SendOutcome(Outcome.UNKNOWN, reason=f"{answer.status} without a sid")
        return SendOutcome(Outcome.ACCEPTED, message_id=message_id)
    code = said.get("code")
    if 400 <= answer.status < 500 and isinstance(code, int):
        status = 401 if code in _ACCOUNT_CODES else 429 if code in _RATE_CODES else answer.status
        answer = Answer(status, answer.headers, answer.body)
    return judge_status(answer, " ".join(str(said[word]) for word in ("code", "message") if word in said))


def verify(auth_token: str, signature: str, url: str, params: Mapping[str, str]) -> bool:
    """Whether Twilio signed this form post to `url`; never raises.

    HMAC-SHA1 under the account's auth token over the URL as Twilio was told it (query included) and the
    fields in order of their names, each name followed by its value. Twilio is not consistent about the port,
    so the URL is tried with and without it.
    """
    return _signed(auth_token, signature, url, params.items())


def authenticate(headers: Mapping[str, str], body: bytes, url: str, keys: Sequence[str]) -> bool:
    """Whether one of the auth tokens signed this post; see `Provider.authenticate`."""
    signature = headers.get("x-twilio-signature")
    if signature is None:
        return False
    try:
        fields = _signed_fields(body, url)
    except ValueError:
        return False
    return any(_signed(key, signature, url, fields) for key in keys)


def _signed_fields(body: bytes, url: str) -> list[tuple[str, str]]:
    """The fields that are signed: none where the signed URL carries the body's hash, as for JSON bodies."""
    stated = parse_qs(urlsplit(url).query).get("bodySHA256")
    if stated is None:
        return form_fields(body)
    if not hmac.compare_digest(hashlib.sha256(body).hexdigest().encode(), stated[0].lower().encode()):
        raise ValueError("The body is not the one whose hash the URL carries.")
    return []


def _signed(auth_token: str, signature: str, url: str, fields: Iterable[tuple[str, str]]) -> bool:
    if not auth_token:  # a key that everybody knows signs nothing
        return False
    try:
        key, given = auth_token.encode(), signature.encode()
        # A field that came more than once counts once per value, as in twilio-python's request_validator.
        spelled = "".join(field + value for field, value in sorted(set(fields)))
        signed = [
            base64.b64encode(hmac.digest(key, (spelling + spelled).encode(), "sha1"))
            for spelling in _spellings(url)
        ]
    except ValueError:  # no URL, or a lone surrogate, which has no bytes to sign
        return False
    return any(hmac.compare_digest(mac, given) for mac in signed)


def _spellings(url: str) -> tuple[str, str]:
    """The URL as it is, and with its port taken away or its scheme's port added."""
    parts = urlsplit(url)
    if parts.port is None:
        netloc = f"{parts.netloc}:{443 if parts.scheme == 'https' else 80}"
    else:
        netloc = parts.netloc.rpartition(":")[0]
    return url, parts._replace(netloc=netloc).geturl()
