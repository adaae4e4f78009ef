"""Twilio's signature, against the vectors of its documentation and its client libraries' own tests."""

import base64
import hashlib
import hmac
from dataclasses import replace
from urllib.parse import urlencode
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.providers import twilio
from shared.providers.base import OutgoingMessage

TOKEN = "12345"
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
PARAMS = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675309",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
}
SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
BODY = urlencode(PARAMS).encode()

JSON_BODY = b'{"property": "value", "boolean": true}'
JSON_URL = f"{URL}&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
JSON_SIGNATURE = "a9nBmqA0ju/hNViExpshrM61xv4="

REPEATED = b"Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234"
REPEATED_SIGNATURE = "IK+Dwps556ElfBT0I3Rgjkr1wJU="


def sign(url: str, params: dict[str, str], token: str = TOKEN) -> str:
    said = url + "".join(name + params[name] for name in sorted(params))
    return base64.b64encode(hmac.digest(token.encode(), said.encode(), hashlib.sha1)).decode()


def authentic(body: bytes, signature: str, url: str = URL, keys: tuple[str, ...] = (TOKEN,)) -> bool:
    return twilio.authenticate({"x-twilio-signature": signature}, body, url, keys)


def test_the_documented_example_is_verified() -> None:
    assert twilio.verify(TOKEN, SIGNATURE, URL, PARAMS)
    assert authentic(BODY, SIGNATURE)


@pytest.mark.parametrize(
    ("token", "signature", "url", "params"),
    [
        pytest.param("54321", SIGNATURE, URL, PARAMS, id="another token"),
        pytest.param("", sign(URL, PARAMS, ""), URL, PARAMS, id="an empty token, signed by it"),
        pytest.param(TOKEN, SIGNATURE, URL.replace("foo=1", "foo=2"), PARAMS, id="edited query"),
        pytest.param(TOKEN, SIGNATURE, URL.replace("https", "http"), PARAMS, id="another scheme"),
        pytest.param(TOKEN, SIGNATURE, URL.replace("mycompany", "another"), PARAMS, id="another host"),
        pytest.param(TOKEN, SIGNATURE, URL, {**PARAMS, "Digits": "1235"}, id="edited field"),
        pytest.param(TOKEN, SIGNATURE, URL, {**PARAMS, "More": ""}, id="added field"),
        pytest.param(TOKEN, SIGNATURE, URL, {}, id="no fields"),
        pytest.param(TOKEN, "", URL, PARAMS, id="no signature"),
        pytest.param(TOKEN, SIGNATURE[:-1], URL, PARAMS, id="cut signature"),
        pytest.param(TOKEN, "ключ", URL, PARAMS, id="a signature that is no base64"),
        pytest.param(TOKEN, "\ud800", "\ud800", {"\ud800": "\ud800"}, id="lone surrogates"),
        pytest.param(TOKEN, SIGNATURE, "https://[::1", PARAMS, id="no url"),
        pytest.param(TOKEN, SIGNATURE, "https://x:port/", PARAMS, id="no port"),
    ],
)
def test_what_the_token_did_not_sign_is_refused(
    token: str, signature: str, url: str, params: dict[str, str]
) -> None:
    assert twilio.verify(token, signature, url, params) is False
    assert authentic(urlencode(params, errors="replace").encode(), signature, url, (token,)) is False


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("https://x.example/a?b=1", "https://x.example:443/a?b=1"),
        ("https://x.example:443/a?b=1", "https://x.example/a?b=1"),
        ("http://x.example/a", "http://x.example:80/a"),
        ("https://x.example:8443/a", "https://x.example/a"),
        ("https://x.example:8443/a", "https://x.example:8443/a"),
        ("https://user:pass@x.example/a", "https://user:pass@x.example:443/a"),
        ("https://[2001:db8::1]/a", "https://[2001:db8::1]:443/a"),
        ("https://https/a", "https://https:443/a"),
    ],
)
def test_the_url_is_tried_with_and_without_its_port(ours: str, theirs: str) -> None:
    assert twilio.verify(TOKEN, sign(theirs, PARAMS), ours, PARAMS)
    assert not twilio.verify(TOKEN, sign(theirs.replace("/a", "/b"), PARAMS), ours, PARAMS)


def test_fields_that_come_more_than_once_count_once_per_value() -> None:
    assert authentic(REPEATED, REPEATED_SIGNATURE)
    assert not authentic(REPEATED.replace(b"5678", b"5679"), REPEATED_SIGNATURE)


def test_blank_fields_and_other_alphabets_are_signed_too() -> None:
    params = {"Body": "Grüße 日本 + & =", "MediaUrl": ""}
    assert twilio.verify(TOKEN, sign(URL, params), URL, params)
    assert authentic(urlencode(params).encode(), sign(URL, params))
    assert not authentic(urlencode({"Body": params["Body"]}).encode(), sign(URL, {**params, "X": "1"}))


def test_a_json_body_is_signed_through_its_hash_in_the_url() -> None:
    assert authentic(JSON_BODY, JSON_SIGNATURE, JSON_URL)
    assert not authentic(JSON_BODY + b" ", JSON_SIGNATURE, JSON_URL)
    assert not authentic(JSON_BODY, JSON_SIGNATURE, URL)
    assert not authentic(JSON_BODY, sign(f"{URL}&bodySHA256=é", {}), f"{URL}&bodySHA256=é")


def test_either_token_is_valid_during_a_rotation() -> None:
    assert authentic(BODY, SIGNATURE, keys=("old", TOKEN))
    assert authentic(BODY, SIGNATURE, keys=(TOKEN, "new"))
    assert not authentic(BODY, SIGNATURE, keys=("old", "new"))
    assert not authentic(BODY, SIGNATURE, keys=())


def test_a_post_without_a_signature_is_refused() -> None:
    assert not twilio.authenticate({}, BODY, URL, [TOKEN])


def test_a_body_of_too_many_fields_is_refused_before_it_is_hashed() -> None:
    body = b"a=1&" * 100_000
    assert not authentic(body, sign(URL, {"a": "1"}))


@settings(deadline=None)
@given(token=st.text(), signature=st.text(), url=st.text(), params=st.dictionaries(st.text(), st.text()))
def test_verify_never_raises(token: str, signature: str, url: str, params: dict[str, str]) -> None:
    assert twilio.verify(token, signature, url, params) is False
    assert twilio.verify(token, signature, f"https://x.example/{url}", params) is False


@settings(deadline=None)
@given(signature=st.text(), body=st.binary(), url=st.text())
def test_authenticate_never_raises(signature: str, body: bytes, url: str) -> None:
    assert authentic(body, signature, url) is False
    assert authentic(body, signature, f"https://x.example/?bodySHA256={url}") is False


MESSAGE = OutgoingMessage(
    action_id=UUID("018f6f2e-7c1a-7b60-9a51-3f3d0a6b1c01"),
    channel="sms",
    sender_address="+15005550006",
    sender_name="",
    recipient="+15005550010",
    subject="",
    text="Hello",
    html=None,
    headers={},
    callback_url=None,
    custom_args={},
)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x.example/webhooks/1", f"https://x.example/webhooks/1?sa={MESSAGE.action_id}"),
        ("https://x.example/w?a=1", f"https://x.example/w?a=1&sa={MESSAGE.action_id}"),
        ("https://x.example/w#rc=5&rp=all", f"https://x.example/w?sa={MESSAGE.action_id}#rc=5&rp=all"),
    ],
)
def test_the_callback_url_carries_the_action(url: str, expected: str) -> None:
    assert twilio.form(replace(MESSAGE, callback_url=url))["StatusCallback"] == expected


def test_without_a_callback_url_none_is_asked_for() -> None:
    assert twilio.form(MESSAGE) == {"From": "+15005550006", "To": "+15005550010", "Body": "Hello"}
