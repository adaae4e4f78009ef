"""Every outcome of design §7.4, from a server that speaks, breaks off and stalls over real sockets."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import ModuleType
from urllib.parse import parse_qsl
from uuid import UUID

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from shared.providers import sendgrid, twilio
from shared.providers.base import Outcome, OutgoingMessage, ProviderAccount, SendOutcome
from shared.providers.client import open_client

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ACTION = UUID("018f6f2e-7c1a-7b60-9a51-3f3d0a6b1c01")
LONG = timedelta(seconds=20)
SHORT = timedelta(milliseconds=300)
CREDENTIALS = {"api_key": "SG.key", "account_sid": "AC1", "auth_token": "token"}
MESSAGE = OutgoingMessage(
    action_id=ACTION,
    channel="email",
    sender_address="news@example.com",
    sender_name="News",
    recipient="ana@example.com",
    subject="Hello",
    text="Hello, Ana",
    html=None,
    headers={},
    callback_url=None,
    custom_args={},
)
# More than the sockets' buffers hold, so that a server which does not read keeps the last byte from leaving.
BIG = replace(MESSAGE, text="x" * 32 * 1024 * 1024)


@dataclass
class Stage:
    """What the server saw: a head and a body per request."""

    url: str = ""
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def staged(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server on a free port; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def take(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """One request's head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    return head, await reader.readexactly(length)


def reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection off as a killed process does."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def answering(status: int, headers: dict[str, str], body: bytes, stage: Stage | None = None) -> Handler:
    """A handler that takes requests and gives each this answer."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                head, content = await take(reader)
            except asyncio.IncompleteReadError:
                return
            if stage is not None:
                stage.heads.append(head)
                stage.bodies.append(content)
            lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
            lines.append(f"Content-Length: {len(body)}")
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            await writer.drain()

    return handle


async def sent(
    provider: ModuleType,
    url: str,
    message: OutgoingMessage = MESSAGE,
    timeout: timedelta = LONG,
    trust: ssl.SSLContext | None = None,
) -> SendOutcome:
    opened = httpx.AsyncClient(trust_env=False, verify=trust) if trust else open_client(1)
    async with opened as client:
        account = ProviderAccount(provider.name, CREDENTIALS, url)
        outcome = await provider.send(client, account, message, timeout)
    assert isinstance(outcome, SendOutcome)
    return outcome


SENDGRID_ERROR = (
    b'{"errors": [{"field": "personalizations.0.to", "message": "Does not contain a valid address."}]}'
)
ID = {"X-Message-Id": "Abc1DefGhiJklMnoPqrStu"}

SENDGRID_ANSWERS = [
    (202, ID, b"", SendOutcome(Outcome.ACCEPTED, message_id="Abc1DefGhiJklMnoPqrStu")),
    (200, ID, b"{}", SendOutcome(Outcome.ACCEPTED, message_id="Abc1DefGhiJklMnoPqrStu")),
    (202, {}, b"", SendOutcome(Outcome.UNKNOWN, reason="202 without X-Message-Id")),
    (
        400,
        {},
        SENDGRID_ERROR,
        SendOutcome(Outcome.REJECTED, reason="400 Does not contain a valid address."),
    ),
    (400, {}, b"<html>", SendOutcome(Outcome.REJECTED, reason="400")),
    (413, {}, b"", SendOutcome(Outcome.REJECTED, reason="413")),
    (422, {}, b'{"errors": [7]}', SendOutcome(Outcome.REJECTED, reason="422")),
    (401, {}, b'{"errors": []}', SendOutcome(Outcome.SENDER_CLOSED, reason="401")),
    (403, {}, b"[[[", SendOutcome(Outcome.SENDER_CLOSED, reason="403")),
    (404, {}, b"", SendOutcome(Outcome.SENDER_CLOSED, reason="404")),
    (451, {}, b"", SendOutcome(Outcome.SENDER_CLOSED, reason="451")),
    (307, {"Location": "/elsewhere"}, b"", SendOutcome(Outcome.SENDER_CLOSED, reason="307")),
    (408, {}, b"", SendOutcome(Outcome.NOT_TAKEN, reason="408")),
    (503, {}, b"", SendOutcome(Outcome.NOT_TAKEN, reason="503")),
    (500, {}, b'{"errors": null}', SendOutcome(Outcome.UNKNOWN, reason="500")),
    (502, {}, b"", SendOutcome(Outcome.UNKNOWN, reason="502")),
    (504, {}, b"\xff\xfe", SendOutcome(Outcome.UNKNOWN, reason="504")),
]

TWILIO_ANSWERS = [
    (201, {}, b'{"sid": "SM1", "status": "queued"}', SendOutcome(Outcome.ACCEPTED, message_id="SM1")),
    (201, {}, b'{"status": "queued"}', SendOutcome(Outcome.UNKNOWN, reason="201 without a sid")),
    (201, {}, b"<html>", SendOutcome(Outcome.UNKNOWN, reason="201 without a sid")),
    (201, {}, b'{"sid": "' + b"S" * 999 + b'"}', SendOutcome(Outcome.UNKNOWN, reason="201 without a sid")),
    (
        400,
        {},
        b'{"code": 21211, "message": "Invalid To"}',
        SendOutcome(Outcome.REJECTED, reason="400 21211 Invalid To"),
    ),
    (400, {}, b'{"code": 21610}', SendOutcome(Outcome.REJECTED, reason="400 21610")),
    (400, {}, b'{"code": "\\u0000"}', SendOutcome(Outcome.REJECTED, reason="400 \N{REPLACEMENT CHARACTER}")),
    (401, {}, b'{"code": 20003}', SendOutcome(Outcome.SENDER_CLOSED, reason="401 20003")),
    (400, {}, b'{"code": 20005}', SendOutcome(Outcome.SENDER_CLOSED, reason="401 20005")),
    (403, {}, b'{"code": 30002}', SendOutcome(Outcome.SENDER_CLOSED, reason="401 30002")),
    (404, {}, b'{"code": 20404}', SendOutcome(Outcome.SENDER_CLOSED, reason="404 20404")),
    (500, {}, b'{"code": 20500}', SendOutcome(Outcome.UNKNOWN, reason="500 20500")),
    (503, {}, b'{"code": 20503}', SendOutcome(Outcome.UNKNOWN, reason="503 20503")),
]


@pytest.mark.parametrize(("status", "headers", "body", "expected"), SENDGRID_ANSWERS)
async def test_what_sendgrid_answers_decides_the_outcome(
    status: int, headers: dict[str, str], body: bytes, expected: SendOutcome
) -> None:
    async with staged(answering(status, headers, body)) as url:
        assert await sent(sendgrid, url) == expected


@pytest.mark.parametrize(("status", "headers", "body", "expected"), TWILIO_ANSWERS)
async def test_what_twilio_answers_decides_the_outcome(
    status: int, headers: dict[str, str], body: bytes, expected: SendOutcome
) -> None:
    async with staged(answering(status, headers, body)) as url:
        assert await sent(twilio, url) == expected


@pytest.mark.parametrize(
    ("provider", "status", "body"),
    [(sendgrid, 429, b""), (twilio, 429, b'{"code": 20429}'), (twilio, 400, b'{"code": 21611}')],
)
@pytest.mark.parametrize("name", ["X-RateLimit-Reset", "Retry-After"])
async def test_a_rate_limit_ends_when_the_provider_says(
    provider: ModuleType, status: int, body: bytes, name: str
) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=10)
    value = str(int(ends.timestamp())) if name == "X-RateLimit-Reset" else f"{ends:%a, %d %b %Y %H:%M:%S} GMT"
    async with staged(answering(status, {name: value}, body)) as url:
        outcome = await sent(provider, url)
    assert outcome.kind is Outcome.RATE_LIMITED
    assert outcome.until == ends


async def test_sendgrid_gets_one_whole_request_with_the_account_s_key() -> None:
    stage = Stage()
    async with staged(answering(202, ID, b"", stage)) as url:
        await sent(sendgrid, url)
    [head], [body] = stage.heads, stage.bodies
    assert head.startswith(b"POST /v3/mail/send HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer SG.key\r\n" in head
    assert b"transfer-encoding" not in head.lower()
    assert body.endswith(b"}")
    assert str(ACTION).encode() in body


async def test_twilio_gets_a_form_whose_callback_url_carries_the_action() -> None:
    stage = Stage()
    message = replace(
        MESSAGE,
        channel="sms",
        sender_address="+15005550006",
        recipient="+15005550010",
        text="Grüße & 日本",
        callback_url="https://out.example/webhooks/7?x=1#rc=5",
    )
    async with staged(answering(201, {}, b'{"sid": "SM1"}', stage)) as url:
        await sent(twilio, url, message)
    [head], [body] = stage.heads, stage.bodies
    assert head.startswith(b"POST /2010-04-01/Accounts/AC1/Messages.json HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Basic QUMxOnRva2Vu\r\n" in head
    assert b"\r\nContent-Type: application/x-www-form-urlencoded\r\n" in head
    assert dict(parse_qsl(body.decode())) == {
        "From": "+15005550006",
        "To": "+15005550010",
        "Body": "Grüße & 日本",
        "StatusCallback": f"https://out.example/webhooks/7?x=1&sa={ACTION}#rc=5",
    }


async def test_a_redirect_is_not_followed() -> None:
    stage = Stage()
    async with (
        staged(answering(202, ID, b"", stage)) as elsewhere,
        staged(answering(308, {"Location": f"{elsewhere}/v3/mail/send"}, b"")) as url,
    ):
        outcome = await sent(sendgrid, url)
    assert (outcome.kind, stage.heads) == (Outcome.SENDER_CLOSED, [])


async def test_a_refused_connection_sent_nothing() -> None:
    async with staged(answering(202, ID, b"")) as url:
        pass
    assert await sent(sendgrid, url) == SendOutcome(Outcome.NOT_CONNECTED, reason="ConnectError")


async def test_a_failed_tls_handshake_sent_nothing() -> None:
    async def talk_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 no TLS here\r\n\r\n")

    async with staged(talk_plainly) as url:
        outcome = await sent(sendgrid, url.replace("http:", "https:"))
    assert outcome == SendOutcome(Outcome.NOT_CONNECTED, reason="ConnectError")


async def test_a_certificate_that_is_not_trusted_sent_nothing(tmp_path: Path) -> None:
    async with staged(answering(202, ID, b""), tls=certified(tmp_path)) as url:
        outcome = await sent(sendgrid, url)
    assert outcome == SendOutcome(Outcome.NOT_CONNECTED, reason="ConnectError")


async def test_a_connection_cut_under_the_body_sent_nothing() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reset(writer)

    async with staged(cut) as url:
        assert (await sent(sendgrid, url, BIG)).kind is Outcome.NOT_CONNECTED


async def test_a_server_that_stops_reading_was_sent_nothing() -> None:
    done = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()

    async with staged(stall) as url:
        outcome = await sent(sendgrid, url, BIG, SHORT)
        done.set()
    assert outcome == SendOutcome(Outcome.NOT_CONNECTED, reason="TimeoutError")


async def test_waiting_for_a_free_connection_sent_nothing() -> None:
    taken, done = asyncio.Event(), asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        taken.set()
        await done.wait()

    limits = httpx.Limits(max_connections=1)
    async with staged(hold) as url, httpx.AsyncClient(trust_env=False, limits=limits) as client:
        account = ProviderAccount("sendgrid", CREDENTIALS, url)
        holder = asyncio.create_task(sendgrid.send(client, account, MESSAGE, LONG))
        await taken.wait()
        outcome = await sendgrid.send(client, account, MESSAGE, SHORT)
        done.set()
        held = await holder
    assert outcome == SendOutcome(Outcome.NOT_CONNECTED, reason="TimeoutError")
    assert held.kind is Outcome.UNKNOWN


async def test_a_connection_cut_after_the_body_is_unknown() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        reset(writer)

    async with staged(cut) as url:
        assert (await sent(sendgrid, url)).kind is Outcome.UNKNOWN
        assert (await sent(twilio, url)).kind is Outcome.UNKNOWN


async def test_a_connection_closed_after_the_body_is_unknown() -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)

    async with staged(close) as url:
        outcome = await sent(sendgrid, url)
    assert outcome == SendOutcome(Outcome.UNKNOWN, reason="RemoteProtocolError")


async def test_an_answer_that_does_not_come_in_time_is_unknown() -> None:
    done = asyncio.Event()

    async def think(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        await done.wait()

    async with staged(think) as url:
        outcome = await sent(sendgrid, url, timeout=SHORT)
        done.set()
    assert outcome == SendOutcome(Outcome.UNKNOWN, reason="TimeoutError")


@pytest.mark.parametrize("garbage", [b"SSH-2.0-OpenSSH_9\r\n\r\n", b"HTTP/1.1 zzz\r\n\r\n", b"\x00" * 64])
async def test_an_answer_that_is_no_http_is_unknown(garbage: bytes) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        writer.write(garbage)
        await writer.drain()

    async with staged(babble) as url:
        assert (await sent(sendgrid, url)).kind is Outcome.UNKNOWN


async def test_bytes_that_are_no_tls_after_the_body_are_unknown(tmp_path: Path) -> None:
    """The ssl.SSLError that httpcore does not map: the record is written beneath the server's TLS."""
    context = certified(tmp_path)

    async def corrupt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        with socket.socket(fileno=writer.get_extra_info("socket").fileno()) as beneath:
            beneath.send(b"no TLS record at all, that is sure")
            beneath.detach()
        await reader.read()

    trusting = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    async with staged(corrupt, tls=context) as url:
        outcome = await sent(sendgrid, url, trust=trusting)
    assert outcome == SendOutcome(Outcome.UNKNOWN, reason="SSLError")


async def test_a_status_that_came_counts_although_its_body_broke_off() -> None:
    async def stop_halfway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        writer.write(b"HTTP/1.1 202 Accepted\r\nX-Message-Id: Abc\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()

    async with staged(stop_halfway) as url:
        assert await sent(sendgrid, url) == SendOutcome(Outcome.ACCEPTED, message_id="Abc")
        assert await sent(twilio, url) == SendOutcome(Outcome.UNKNOWN, reason="202 without a sid")


async def test_an_endless_answer_is_read_to_its_limit_only() -> None:
    written = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await take(reader)
        writer.write(b"HTTP/1.1 400 X\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.transport.is_closing():
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            written += 65536
            try:
                await writer.drain()
            except ConnectionError:
                return

    async with staged(pour) as url:
        assert await sent(sendgrid, url) == SendOutcome(Outcome.REJECTED, reason="400")
    assert written < 64 * 1024 * 1024


@pytest.mark.parametrize(
    "url",
    [
        "no address",
        "ftp://127.0.0.1",
        "http://[::1",
        "http://127.0.0.1:port",
        "http://127.0.0.1:99999",
        "http://xn--a",
        "://",
    ],
)
@pytest.mark.parametrize("provider", [sendgrid, twilio])
async def test_a_base_url_that_is_no_http_address_closes_the_sender(provider: ModuleType, url: str) -> None:
    assert (await sent(provider, url)).kind is Outcome.SENDER_CLOSED


@pytest.mark.parametrize(
    ("provider", "credentials"),
    [
        (sendgrid, {}),
        (sendgrid, {"api_key": ""}),
        (sendgrid, {"api_key": "SG.a\nb"}),
        (sendgrid, {"api_key": "SG.ключ"}),
        (twilio, {"account_sid": "AC1"}),
        (twilio, {"auth_token": "t"}),
        (twilio, {"account_sid": "AC\ud800", "auth_token": "t"}),
    ],
)
async def test_credentials_that_cannot_be_sent_close_the_sender(
    provider: ModuleType, credentials: dict[str, str]
) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        account = ProviderAccount(provider.name, credentials)
        assert (await provider.send(client, account, MESSAGE, LONG)).kind is Outcome.SENDER_CLOSED


async def test_a_cancelled_call_is_cancelled() -> None:
    done = asyncio.Event()

    async def think(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        done.set()
        await reader.read()

    async with staged(think) as url:
        call = asyncio.create_task(sent(sendgrid, url))
        await done.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


def certified(folder: Path) -> ssl.SSLContext:
    """A server's TLS under a certificate of its own, which lies in the folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
