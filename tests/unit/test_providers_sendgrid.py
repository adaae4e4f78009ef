"""SendGrid's signature and mail, against its official client."""

import base64
from dataclasses import replace
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from sendgrid.helpers.eventwebhook import EventWebhook
from sendgrid.helpers.mail import CustomArg, Header, Mail

from shared.providers import sendgrid
from shared.providers.base import OutgoingMessage

PRIVATE = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
OTHER = ec.derive_private_key(0xBEEF, ec.SECP256R1())
TIMESTAMP = "1795520300"
BODY = '[{"email":"ana@example.com","event":"open","category":["été"]},\r\n{"event":"click"}]\r\n'.encode()

MESSAGE = OutgoingMessage(
    action_id=UUID("018f6f2e-7c1a-7b60-9a51-3f3d0a6b1c01"),
    channel="email",
    sender_address="news@example.com",
    sender_name="News",
    recipient="ana@example.com",
    subject="Grüße 日本",
    text="Hello, Ana",
    html="<p>Hello, Ana</p>",
    headers={
        "List-Unsubscribe": "<https://out.example/u/1>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    },
    callback_url=None,
    custom_args={"campaign": "c1"},
)


def public(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> str:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def sign(body: bytes, timestamp: str = TIMESTAMP, key: ec.EllipticCurvePrivateKey = PRIVATE) -> str:
    return base64.b64encode(key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()


SIGNATURE = sign(BODY)
HEADERS = {
    "x-twilio-email-event-webhook-signature": SIGNATURE,
    "x-twilio-email-event-webhook-timestamp": TIMESTAMP,
}


def test_a_body_signed_by_the_key_is_verified_as_the_official_client_does() -> None:
    assert sendgrid.verify(public(PRIVATE), SIGNATURE, TIMESTAMP, BODY)
    assert EventWebhook(public(PRIVATE)).verify_signature(BODY.decode(), SIGNATURE, TIMESTAMP)


@pytest.mark.parametrize(
    ("key", "signature", "timestamp", "body"),
    [
        pytest.param(public(OTHER), SIGNATURE, TIMESTAMP, BODY, id="another key"),
        pytest.param(public(PRIVATE), sign(BODY, key=OTHER), TIMESTAMP, BODY, id="signed by another"),
        pytest.param(public(PRIVATE), SIGNATURE, "1795520301", BODY, id="edited timestamp"),
        pytest.param(public(PRIVATE), SIGNATURE, "", BODY, id="no timestamp"),
        pytest.param(public(PRIVATE), SIGNATURE, TIMESTAMP, BODY.replace(b"open", b"opem"), id="edited body"),
        pytest.param(public(PRIVATE), SIGNATURE, TIMESTAMP, BODY[:-2], id="final CRLF lost"),
        pytest.param(public(PRIVATE), SIGNATURE, TIMESTAMP, BODY.replace(b"\r\n", b"\n"), id="CRLF to LF"),
        pytest.param(public(PRIVATE), SIGNATURE, TIMESTAMP, b"", id="no body"),
        pytest.param(public(PRIVATE), "", TIMESTAMP, BODY, id="no signature"),
        pytest.param(public(PRIVATE), SIGNATURE[:-4], TIMESTAMP, BODY, id="cut signature"),
        pytest.param(public(PRIVATE), f"!{SIGNATURE}", TIMESTAMP, BODY, id="no base64"),
        pytest.param(public(PRIVATE), "\ud800", "\ud800", BODY, id="lone surrogates"),
        pytest.param("", SIGNATURE, TIMESTAMP, BODY, id="no key"),
        pytest.param("é" * 8, SIGNATURE, TIMESTAMP, BODY, id="a key that is no base64"),
        pytest.param(public(PRIVATE)[:-8], SIGNATURE, TIMESTAMP, BODY, id="cut key"),
    ],
)
def test_what_the_key_did_not_sign_is_refused(key: str, signature: str, timestamp: str, body: bytes) -> None:
    assert sendgrid.verify(key, signature, timestamp, body) is False


def test_a_key_of_another_kind_verifies_nothing() -> None:
    p384 = ec.generate_private_key(ec.SECP384R1())
    others = [p384, rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()]
    assert sendgrid.verify(public(p384), sign(BODY, key=p384), TIMESTAMP, BODY) is False
    assert [sendgrid.verify(public(key), SIGNATURE, TIMESTAMP, BODY) for key in others] == [False] * 3


@settings(deadline=None)
@given(key=st.text(), signature=st.text(), timestamp=st.text(), body=st.binary())
def test_verify_never_raises(key: str, signature: str, timestamp: str, body: bytes) -> None:
    assert sendgrid.verify(key, signature, timestamp, body) is False
    assert sendgrid.verify(public(PRIVATE), signature, timestamp, body) is False


@settings(deadline=None)
@given(at=st.integers(0, 90), byte=st.integers(0, 255), signature=st.binary(max_size=80))
def test_verify_never_raises_for_damaged_keys_and_signatures(at: int, byte: int, signature: bytes) -> None:
    der = bytearray(base64.b64decode(public(PRIVATE)))
    der[at] = byte
    damaged = base64.b64encode(der).decode()
    whole = damaged == public(PRIVATE)
    assert sendgrid.verify(damaged, SIGNATURE, TIMESTAMP, BODY) is whole
    assert sendgrid.verify(public(PRIVATE), base64.b64encode(signature).decode(), TIMESTAMP, BODY) is False


def test_either_key_is_valid_during_a_rotation() -> None:
    old, new = public(OTHER), public(PRIVATE)
    assert sendgrid.authenticate(HEADERS, BODY, "", [old, new])
    assert sendgrid.authenticate(HEADERS, BODY, "", [new, old])
    assert not sendgrid.authenticate(HEADERS, BODY, "", [old])
    assert not sendgrid.authenticate(HEADERS, BODY, "", [])


@pytest.mark.parametrize("missing", HEADERS)
def test_a_post_without_a_signature_or_its_timestamp_is_refused(missing: str) -> None:
    headers = {name: value for name, value in HEADERS.items() if name != missing}
    assert not sendgrid.authenticate(headers, BODY, "", [public(PRIVATE)])


def test_the_mail_is_what_the_official_client_would_post() -> None:
    official = Mail(
        from_email=("news@example.com", "News"),
        to_emails="ana@example.com",
        subject="Grüße 日本",
        plain_text_content="Hello, Ana",
        html_content="<p>Hello, Ana</p>",
    )
    for name, value in MESSAGE.headers.items():
        official.add_header(Header(name, value))
    official.add_custom_arg(CustomArg("campaign", "c1"))
    official.add_custom_arg(CustomArg("outreach_action", "018f6f2e-7c1a-7b60-9a51-3f3d0a6b1c01"))
    assert sendgrid.mail(MESSAGE) == official.get()


def test_a_plain_mail_has_no_empty_parts() -> None:
    official = Mail(
        from_email="news@example.com",
        to_emails="ana@example.com",
        subject="Hello",
        plain_text_content="Hello, Ana",
    )
    official.add_custom_arg(CustomArg("outreach_action", "018f6f2e-7c1a-7b60-9a51-3f3d0a6b1c01"))
    plain = replace(MESSAGE, sender_name="", subject="Hello", html=None, headers={}, custom_args={})
    assert sendgrid.mail(plain) == official.get()


def test_no_custom_argument_replaces_our_action_s() -> None:
    forged = replace(MESSAGE, custom_args={"outreach_action": "another"})
    assert sendgrid.mail(forged)["custom_args"] == {"outreach_action": str(MESSAGE.action_id)}
