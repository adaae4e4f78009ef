"""Twilio's callbacks in our words: the corpus beside the repository, and small samples of our own."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.providers.base import BounceClass, DropReason, EventType, ProviderEvent
from shared.providers.twilio import check_shape, normalize

ACTION = UUID("018f6f2e-7c1a-7b60-9a51-3f3d0a6b1c01")
NO_KEY = b""


def one(body: bytes | dict[str, str], **query: str) -> ProviderEvent:
    [found] = normalize(body if isinstance(body, bytes) else urlencode(body).encode(), {}, query)
    return found


def event(**fields: Any) -> ProviderEvent:
    return ProviderEvent(natural_key=NO_KEY, **fields)


def test_the_corpus_of_callbacks(shared_dir: Path) -> None:
    lines = (shared_dir / "data" / "twilio-callbacks.txt").read_bytes().splitlines()
    for line in lines:
        check_shape(line)
    assert [replace(one(line, sa=str(ACTION)), natural_key=NO_KEY) for line in lines] == [
        event(
            type=EventType.DELIVERED,
            message_id="SM0123456789abcdef0123456789abcdef",
            action_id=ACTION,
            recipient="+15005550010",
        ),
        event(
            type=EventType.SENT,
            message_id="SM0123456789abcdef0123456789abcdef",
            action_id=ACTION,
            recipient="+15005550010",
        ),
        event(
            type=EventType.UNDELIVERED,
            message_id="SM1123456789abcdef0123456789abcdef",
            action_id=ACTION,
            recipient="+15005550011",
            bounce_class=BounceClass.HARD,
            reason="30005",
        ),
        event(
            type=EventType.OPT_OUT,
            message_id="SM2123456789abcdef0123456789abcdef",
            action_id=ACTION,
            recipient="+15005550012",
            raw=dict(parse_qsl(lines[3].decode())),
        ),
    ]
    assert len({one(line).natural_key for line in lines}) == 4


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("accepted", EventType.PROCESSED),
        ("queued", EventType.PROCESSED),
        ("scheduled", EventType.PROCESSED),
        ("sending", EventType.PROCESSED),
        ("sent", EventType.SENT),
        ("delivered", EventType.DELIVERED),
        ("Delivered", EventType.DELIVERED),
        ("undelivered", EventType.UNDELIVERED),
        ("failed", EventType.FAILED),
        ("canceled", EventType.FAILED),
        ("read", EventType.UNKNOWN),
        ("something_new", EventType.UNKNOWN),
    ],
)
def test_statuses(status: str, expected: EventType) -> None:
    fields = {"MessageSid": "SM1", "SmsStatus": "queued", "MessageStatus": status, "To": "+1", "From": "+2"}
    found = one(fields)
    assert (found.type, found.recipient, found.message_id) == (expected, "+1", "SM1")
    assert (found.raw is not None) == (expected is EventType.UNKNOWN)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("STOP", EventType.OPT_OUT),
        (" stop. ", EventType.OPT_OUT),
        ("Stop all", EventType.OPT_OUT),
        ("opt-out!", EventType.OPT_OUT),
        ("unsubscribe", EventType.OPT_OUT),
        ("End", EventType.OPT_OUT),
        ("QUIT", EventType.OPT_OUT),
        ("revoke", EventType.OPT_OUT),
        ("cancel", EventType.OPT_OUT),
        ("Start", EventType.OPT_IN),
        ("yes", EventType.OPT_IN),
        ("unstop", EventType.OPT_IN),
        ("HELP", EventType.INBOUND),
        ("Stop by when you are near", EventType.INBOUND),
        ("Grüße", EventType.INBOUND),
        ("", EventType.INBOUND),
    ],
)
@pytest.mark.parametrize("status", [{}, {"SmsStatus": "received"}])
def test_words_of_those_who_write(text: str, expected: EventType, status: dict[str, str]) -> None:
    fields = {"MessageSid": "SM1", "Body": text, "From": "+1", "To": "+2", **status}
    assert replace(one(fields), natural_key=NO_KEY) == event(
        type=expected, message_id="SM1", recipient="+1", raw=fields
    )


def test_twilio_s_own_verdict_on_a_word_comes_first() -> None:
    fields = {"MessageSid": "SM1", "From": "+1", "Body": "ARRET", "OptOutType": "STOP"}
    assert one(fields).type is EventType.OPT_OUT
    assert one({**fields, "Body": "STOP", "OptOutType": "HELP"}).type is EventType.INBOUND


@pytest.mark.parametrize(
    ("code", "bounce_class", "drop_reason"),
    [
        ("30006", BounceClass.HARD, None),
        ("30003", BounceClass.SOFT, None),
        ("30007", BounceClass.BLOCK, None),
        ("21610", None, DropReason.UNSUBSCRIBED),
        ("99999", None, None),
    ],
)
def test_error_codes(code: str, bounce_class: BounceClass | None, drop_reason: DropReason | None) -> None:
    fields = {"MessageSid": "SM1", "MessageStatus": "failed", "To": "+1", "ErrorCode": code}
    assert replace(one({**fields, "ErrorMessage": "Why"}), natural_key=NO_KEY) == event(
        type=EventType.FAILED,
        message_id="SM1",
        recipient="+1",
        reason=f"{code} Why",
        bounce_class=bounce_class,
        drop_reason=drop_reason,
    )


def test_a_callback_is_named_by_its_message_and_status() -> None:
    fields = {"MessageSid": "SM1", "MessageStatus": "sent", "To": "+1"}
    name = one(fields).natural_key
    assert one({**fields, "RawDlrDoneDate": "2611250000"}).natural_key == name
    assert one({**fields, "MessageStatus": "delivered"}).natural_key != name
    assert one({**fields, "MessageSid": "SM2"}).natural_key != name
    assert name.hex() == "81538e46de47d431efad1427128590fc"


@pytest.mark.parametrize("garbage", ["", "1", "é", "018f6f2e-7c1a-7b60-9a51-3f3d0a6b1c0"])
def test_an_action_id_that_is_none_is_no_action(garbage: str) -> None:
    fields = {"MessageSid": "SM1", "MessageStatus": "sent"}
    assert one(fields, sa=garbage).action_id is None
    assert one(fields).action_id is None
    assert one(fields, sa=str(ACTION)).action_id == ACTION


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"To": "+1"}, "no MessageSid"),
        ({"MessageSid": "S" * 999, "MessageStatus": "sent"}, "no MessageSid"),
        ({"MessageSid": "SM1"}, "no status"),
        ({"MessageSid": "SM1", "Body": "STOP"}, "no status"),
        ({"MessageSid": "SM1", "MessageStatus": "partially_delivered"}, "partially_delivered"),
    ],
)
def test_what_makes_no_sense_is_unknown_and_kept(fields: dict[str, str], reason: str) -> None:
    found = one(fields)
    assert (found.type, found.reason, found.raw) == (EventType.UNKNOWN, reason, fields)


def test_what_postgres_cannot_store_is_replaced() -> None:
    found = one(b"MessageSid=SM1&From=%2B1&Body=a%00b%ff&To=\xff")
    assert found.raw == {
        "MessageSid": "SM1",
        "From": "+1",
        "Body": "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}",
        "To": "\N{REPLACEMENT CHARACTER}",
    }


def test_a_body_without_fields_is_refused_and_still_read_as_one_unknown_event() -> None:
    with pytest.raises(ValueError, match="form fields"):
        check_shape(b"")
    assert one(b"").type is EventType.UNKNOWN


def test_a_body_of_too_many_fields_is_refused_and_still_read_as_one_unknown_event() -> None:
    body = b"a=1&" * 5000
    with pytest.raises(ValueError, match="fields"):
        check_shape(body)
    assert (one(body).type, one(body).raw) == (EventType.UNKNOWN, None)


NAMES = st.sampled_from(
    ["MessageSid", "SmsSid", "MessageStatus", "SmsStatus", "Body", "From", "To", "ErrorCode"]
)


@settings(deadline=None)
@given(
    body=st.binary()
    | st.dictionaries(NAMES, st.text(st.characters(codec="utf-8"))).map(
        lambda fields: urlencode(fields).encode()
    ),
    sa=st.text(),
)
def test_normalize_never_raises_and_what_it_finds_can_be_stored(body: bytes, sa: str) -> None:
    found = one(body, sa=sa)
    words = [word for pair in (found.raw or {}).items() for word in pair]
    for value in (*words, found.recipient, found.message_id, found.reason):
        assert value is None or ("\0" not in value and value.encode().decode() == value)
