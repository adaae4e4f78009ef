"""Calls: one POST to a provider, and what can be proven of it afterwards (design §7.4).

A server can act only on a whole body, so the last byte is handed to the connection on its own, and one fact
decides every call that ended without an answer: was that byte handed over?

- No: nothing can have been done, whatever broke. httpx.ConnectError (refused, no name, TLS failed),
  ConnectTimeout, PoolTimeout and LocalProtocolError always end here, and so do WriteError, WriteTimeout,
  ReadError and RemoteProtocolError when the connection broke or stalled under an earlier byte.
- Yes: the outcome is unknown. The exception's name proves nothing then: httpcore hides a WriteError and reads
  on, so a cut shows as ReadError or RemoteProtocolError; and what was written may still lie in a buffer.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from shared.providers.base import Outcome, ProviderAccount, SendOutcome
from shared.providers.fields import text

MAX_ANSWER_BYTES = 64 * 1024
MAX_REASON = 300

DEFAULT_WAIT = timedelta(minutes=1)
MIN_WAIT = timedelta(seconds=1)
MAX_WAIT = timedelta(hours=1)

# The account or its address is wrong, so every message of the sender would end the same way: not
# authenticated or not allowed, no such path, a redirect (never followed), data residency (SendGrid's 451).
_SENDER = {401, 402, 403, 404, 405, 407, 451}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered: at most `MAX_ANSWER_BYTES` of the body, or less if it broke off."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        """The body's JSON object, empty where it is none."""
        try:
            parsed = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return parsed if isinstance(parsed, dict) else {}


class _Body:
    """A request body that knows whether its last byte was handed to the connection."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.handed_over = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content[:-1]
        self.handed_over = True
        yield self._content[-1:]


async def post(
    client: httpx.AsyncClient,
    url: str,
    headers: Mapping[str, str],
    content: bytes,
    timeout: timedelta,
    judge: Callable[[Answer], SendOutcome],
) -> SendOutcome:
    """POST once and let `judge` read the answer; without one, what the connection proves.

    `timeout` bounds the whole call, waiting for a free connection included. Redirects are not followed.
    """
    address = _address(url)
    if address is None:
        return SendOutcome(Outcome.SENDER_CLOSED, reason="the account's base_url is no http address")
    body, received = _Body(content), bytearray()
    response: httpx.Response | None = None
    headers = {**headers, "Content-Length": str(len(content)), "Accept-Encoding": "identity"}
    try:
        async with (
            asyncio.timeout(timeout.total_seconds()),
            client.stream(
                "POST", address, headers=headers, content=body, timeout=None, follow_redirects=False
            ) as response,
        ):
            async for chunk in response.aiter_raw():
                received += chunk
                if len(received) > MAX_ANSWER_BYTES:
                    break
    except (httpx.RequestError, OSError, AttributeError) as error:
        # OSError: the deadline (TimeoutError), and ssl.SSLError, which httpcore does not map once connected.
        # AttributeError: on uvloop anyio asks for the peer of a transport that a reset has already taken.
        if response is None:
            kind = Outcome.UNKNOWN if body.handed_over else Outcome.NOT_CONNECTED
            return SendOutcome(kind, reason=type(error).__name__)
    assert response is not None  # a call without an exception has a response
    return judge(Answer(response.status_code, response.headers, bytes(received)))


def credential(account: ProviderAccount, name: str) -> str | None:
    """The account's credential, or None where there is none that could stand in a header."""
    value = account.credentials.get(name)
    return value if value and value.isascii() and value.isprintable() else None


def _address(url: str) -> httpx.URL | None:
    try:
        address = httpx.URL(url)
        whole = address.scheme in ("http", "https") and address.host and (address.port or 0) < 65536
    except (httpx.InvalidURL, UnicodeError):  # a name that is no IDNA shows when it is read
        return None
    return address if whole else None


def judge_status(answer: Answer, message: str = "") -> SendOutcome:
    """What an HTTP status means where the provider's file knows nothing better; `message` explains it."""
    status = answer.status
    reason = _reason(status, message)
    if status == 429:
        return SendOutcome(
            Outcome.RATE_LIMITED, reason=reason, until=reopening(answer.headers, datetime.now(UTC))
        )
    if status in _SENDER or 300 <= status < 400:
        return SendOutcome(Outcome.SENDER_CLOSED, reason=reason)
    if status == 408:  # RFC 9110 §15.5.9: the server did not receive a complete request.
        return SendOutcome(Outcome.NOT_TAKEN, reason=reason)
    if 400 <= status < 500:
        return SendOutcome(Outcome.REJECTED, reason=reason)
    return SendOutcome(Outcome.UNKNOWN, reason=reason)


def reopening(headers: Mapping[str, str], now: datetime) -> datetime:
    """When a rate limit ends: `X-RateLimit-Reset` (epoch seconds), else `Retry-After` (seconds or a date).

    A minute from now where neither makes sense; never sooner than `MIN_WAIT` nor later than `MAX_WAIT`.
    """
    reset = _number(headers.get("x-ratelimit-reset"))
    wait = _retry_after(headers.get("retry-after"), now) if reset is None else reset - now.timestamp()
    return now + timedelta(seconds=min(max(wait, MIN_WAIT.total_seconds()), MAX_WAIT.total_seconds()))


def _retry_after(value: str | None, now: datetime) -> float:
    seconds = _number(value)
    if seconds is not None:
        return seconds
    try:
        date = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return DEFAULT_WAIT.total_seconds()
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now.timestamp()


def _number(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 16 else None


def _reason(status: int, message: str) -> str:
    return f"{status} {text(message, MAX_REASON) or ''}".strip()
