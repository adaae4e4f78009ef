"""SendGrid's events in our words: the corpora beside the repository, and small samples of our own."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.providers.base import Automated, BounceClass, DropReason, EventType, ProviderEvent
from shared.providers.sendgrid import check_shape, normalize

ACTION = UUID("018f6f2e-7c1a-7b60-9a51-3f3d0a6b1c01")
OTHER_ACTION = UUID("018f6f2e-7c1a-7b60-9a51-3f3d0a6b1c02")
NO_KEY = b""


def at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def events(body: bytes) -> list[ProviderEvent]:
    """The events without their natural keys, which have tests of their own."""
    check_shape(body)
    return [replace(event, natural_key=NO_KEY) for event in normalize(body, {}, {})]


def event(**fields: Any) -> ProviderEvent:
    return ProviderEvent(natural_key=NO_KEY, **fields)


def one(**item: Any) -> ProviderEvent:
    """The event of one item, with its natural key."""
    [found] = normalize(json.dumps([{"event": "open", "timestamp": 1795520000, **item}]).encode(), {}, {})
    return found


def test_the_corpus_of_a_message_s_life(shared_dir: Path) -> None:
    common = {
        "message_id": "Abc1DefGhiJklMnoPqrStu",
        "action_id": ACTION,
        "recipient": "ana1@example.com",
    }
    smtp_id = "<Abc1DefGhiJklMnoPqrStu@geopod-ismtpd-1>"
    assert events((shared_dir / "data" / "sendgrid-lifecycle.json").read_bytes()) == [
        event(
            type=EventType.PROCESSED,
            occurred_at=at(1795520000),
            provider_event_id="evt-processed-1",
            smtp_id=smtp_id,
            **common,
        ),
        event(
            type=EventType.DEFERRED,
            occurred_at=at(1795520003),
            provider_event_id="evt-deferred-1",
            smtp_id=smtp_id,
            reason="451 4.7.1 try again later",
            **common,
        ),
        event(
            type=EventType.DELIVERED,
            occurred_at=at(1795520061),
            provider_event_id="evt-delivered-1",
            smtp_id=smtp_id,
            reason="250 2.0.0 OK",
            **common,
        ),
        event(
            type=EventType.OPEN,
            occurred_at=at(1795520100),
            provider_event_id="evt-open-1",
            **common,
        ),
        event(
            type=EventType.CLICK,
            occurred_at=at(1795520120),
            provider_event_id="evt-click-1",
            url="https://example.com/a?x=1&y=2",
            **common,
        ),
    ]


def test_the_corpus_of_quirks(shared_dir: Path) -> None:
    body = (shared_dir / "data" / "sendgrid-quirks.json").read_bytes()
    raw = json.loads(body)

    def quirk(number: int, kind: EventType, second: int, **fields: Any) -> ProviderEvent:
        word = {EventType.SPAM_REPORT: "spamreport", EventType.UNKNOWN: raw[10]["event"]}.get(kind, kind)
        usual = {
            "provider_event_id": f"evt-{word}-{number}",
            "message_id": f"Abc{number}DefGhiJklMnoPqrStu",
            "action_id": OTHER_ACTION,
            "recipient": f"ana{number}@example.com",
        }
        return event(type=kind, occurred_at=at(second), **{**usual, **fields})

    smtp = {number: f"<Abc{number}DefGhiJklMnoPqrStu@geopod-ismtpd-{number}>" for number in range(2, 6)}
    assert events(body) == [
        quirk(2, EventType.OPEN, 1795520065, automated=Automated.MPP),
        quirk(
            2,
            EventType.BOUNCE,
            1795520070,
            smtp_id=smtp[2],
            bounce_class=BounceClass.HARD,
            reason="550 5.1.1 The email account does not exist",
        ),
        quirk(
            3,
            EventType.BOUNCE,
            1795520071,
            smtp_id=smtp[3],
            bounce_class=BounceClass.BLOCK,
            reason="421 4.7.0 temporarily rate limited",
        ),
        quirk(
            4,
            EventType.BOUNCE,
            1795523671,
            message_id=None,
            action_id=None,
            smtp_id=smtp[4],
            bounce_class=BounceClass.HARD,
            reason="550 mailbox disabled",
        ),
        quirk(
            5,
            EventType.DROPPED,
            1795520072,
            smtp_id=smtp[5],
            drop_reason=DropReason.BOUNCED,
            reason="Bounced Address",
        ),
        quirk(6, EventType.SPAM_REPORT, 1795527272, action_id=None),
        quirk(7, EventType.UNSUBSCRIBE, 1795520073),
        quirk(8, EventType.GROUP_UNSUBSCRIBE, 1795520074, group_id="10"),
        quirk(
            8,
            EventType.GROUP_RESUBSCRIBE,
            1795520075,
            group_id="10",
        ),
        event(
            type=EventType.UNKNOWN,
            occurred_at=at(1795520076),
            provider_event_id="evt-acct-1",
            reason="account_status_change: compliance_suspend",
            raw=raw[9],
        ),
        quirk(9, EventType.UNKNOWN, 1795520077, reason="something_new_in_2027", raw=raw[10]),
        event(
            type=EventType.UNKNOWN,
            occurred_at=at(1795520078),
            recipient="no-event@example.com",
            reason="no event",
            raw=raw[11],
        ),
        event(
            type=EventType.UNKNOWN,
            provider_event_id="evt-bad-1",
            recipient="bad-time@example.com",
            reason="open without a timestamp",
            raw=raw[12],
        ),
        event(type=EventType.UNKNOWN, reason="no event", raw={"item": "not an object"}),
        event(type=EventType.UNKNOWN, reason="no event", raw={"item": None}),
        quirk(
            10,
            EventType.CLICK,
            1795520079,
            url="https://example.com/über?q=日本",
            automated=Automated.SCANNER,
        ),
    ]


def test_the_corpus_of_a_retry_names_the_same_events_as_the_first_post(shared_dir: Path) -> None:
    first = normalize((shared_dir / "data" / "sendgrid-lifecycle.json").read_bytes(), {}, {})
    again = normalize((shared_dir / "data" / "sendgrid-retried-with-new-ids.json").read_bytes(), {}, {})
    assert [event.natural_key for event in again] == [event.natural_key for event in first[3:]]
    assert [event.provider_event_id for event in again] == ["evt-open-1-again", "evt-click-1-again"]
    assert len({event.natural_key for event in first}) == 5


def test_no_two_quirks_have_one_name(shared_dir: Path) -> None:
    found = normalize((shared_dir / "data" / "sendgrid-quirks.json").read_bytes(), {}, {})
    assert len({event.natural_key for event in found}) == len(found) == 16


@pytest.mark.parametrize(
    "change",
    [
        {"sg_message_id": "Xyz.recvd-1"},
        {"email": "bob@example.com"},
        {"event": "click"},
        {"timestamp": 1795520001},
        {"url": "https://example.com/b"},
        {"attempt": "2"},
        {"asm_group_id": 11},
        {"sg_machine_open": True},
    ],
)
def test_an_event_is_named_by_what_it_says(change: dict[str, Any]) -> None:
    said = {
        "sg_message_id": "Abc.recvd-1",
        "email": "ana@example.com",
        "url": "https://example.com/a",
        "attempt": "1",
        "asm_group_id": 10,
        "sg_machine_open": False,
        "sg_event_id": "first",
    }
    name = one(**said).natural_key
    assert one(**{**said, **change}).natural_key != name
    assert one(**{**said, "sg_event_id": "second", "ip": "203.0.113.9"}).natural_key == name
    assert len(name) == 16


def test_a_name_is_the_same_for_ever() -> None:
    """Events stored by an older release must be recognised: change no spelling of a natural key."""
    assert one(sg_message_id="Abc.recvd-1", email="ana@example.com").natural_key.hex() == (
        "08b96d685ddbc5c4cbaf107ba0e99c65"
    )


def test_an_unknown_event_keeps_its_name_under_a_new_id() -> None:
    assert one(event="new", sg_event_id="1").natural_key == one(event="new", sg_event_id="2").natural_key
    assert one(event="new", a=1).natural_key != one(event="new", a=2).natural_key


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"type": "bounce", "status": "5.1.1"}, BounceClass.HARD),
        ({"type": "bounce", "status": "5.1.1", "bounce_classification": "Invalid Address"}, BounceClass.HARD),
        ({"type": "bounce", "status": "550", "bounce_classification": "Unclassified"}, BounceClass.HARD),
        ({}, BounceClass.HARD),
        ({"type": "bounce", "status": 5, "bounce_classification": 7}, BounceClass.HARD),
        ({"type": "bounce", "status": "4.2.2"}, BounceClass.SOFT),
        ({"type": "bounce", "status": "5.0.0", "bounce_classification": "Technical"}, BounceClass.SOFT),
        ({"type": "bounce", "status": "5.0.0", "bounce_classification": "Content"}, BounceClass.SOFT),
        ({"type": "bounce", "bounce_classification": "Mailbox Unavailable"}, BounceClass.SOFT),
        ({"type": "blocked", "status": "4.7.0"}, BounceClass.BLOCK),
        ({"type": "blocked", "status": "5.7.1", "bounce_classification": "Reputation"}, BounceClass.BLOCK),
    ],
)
def test_bounces_are_hard_only_where_the_address_is_to_blame(
    item: dict[str, Any], expected: BounceClass
) -> None:
    assert one(event="bounce", **item).bounce_class is expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("Bounced Address", DropReason.BOUNCED),
        ("Invalid", DropReason.INVALID),
        ("Spam Reporting Address", DropReason.SPAM),
        ("Unsubscribed Address", DropReason.UNSUBSCRIBED),
        ("Recipient List over Package Quota", DropReason.OTHER),
        (None, DropReason.OTHER),
        ([], DropReason.OTHER),
    ],
)
def test_drops_say_why(reason: object, expected: DropReason) -> None:
    assert one(event="dropped", reason=reason).drop_reason is expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"event": "open", "sg_machine_open": True}, Automated.MPP),
        ({"event": "open", "sg_machine_open": "true"}, Automated.NONE),
        ({"event": "open", "useragent": "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"}, Automated.NONE),
        ({"event": "click", "useragent": "Barracuda Sentinel (EE)"}, Automated.SCANNER),
        ({"event": "click", "useragent": "Mozilla/5.0 (compatible; Proofpoint)"}, Automated.SCANNER),
        ({"event": "click", "useragent": ["Barracuda"]}, Automated.NONE),
        ({"event": "delivered", "useragent": "Barracuda", "sg_machine_open": True}, Automated.NONE),
    ],
)
def test_machines_are_flagged(item: dict[str, Any], expected: Automated) -> None:
    assert one(**item).automated is expected


@pytest.mark.parametrize(
    "timestamp",
    [None, "", "yesterday", "1795520000", -1, 0, True, 1795520000.5, 1795520000000, 10**400, [], {}],
)
def test_an_event_without_a_time_is_unknown(timestamp: object) -> None:
    found = one(timestamp=timestamp, email="ana@example.com", outreach_action=str(ACTION))
    assert (found.type, found.occurred_at, found.reason) == (
        EventType.UNKNOWN,
        None,
        "open without a timestamp",
    )
    assert (found.recipient, found.action_id) == ("ana@example.com", ACTION)


@pytest.mark.parametrize("garbage", ["", "1", "018f6f2e", "é" * 32, 7, None, [], {"a": 1}])
def test_an_action_id_that_is_none_is_no_action(garbage: object) -> None:
    assert one(outreach_action=garbage).action_id is None


@pytest.mark.parametrize(
    ("whole", "expected"),
    [("Abc-1_x.recvd-6f7c9-1.0", "Abc-1_x"), ("Abc", "Abc"), (".recvd", None), ("", None), (7, None)],
)
def test_the_message_id_is_what_our_request_was_answered_with(whole: object, expected: str | None) -> None:
    assert one(sg_message_id=whole).message_id == expected


def test_ids_too_long_for_an_index_are_no_ids_and_long_texts_are_cut() -> None:
    found = one(
        sg_message_id="m" * 5000,
        **{"smtp-id": "s" * 5000},
        email="e" * 5000,
        sg_event_id="i" * 5000,
        url="u" * 5000,
        reason="r" * 5000,
    )
    assert (found.message_id, found.smtp_id, found.recipient, found.provider_event_id) == (None,) * 4
    assert (found.url, found.reason) == ("u" * 2000, "r" * 2000)


def test_what_postgres_cannot_store_is_replaced() -> None:
    body = (
        rb'[{"event":"open","timestamp":1795520000,"email":"a\u0000b","url":"x\ud800y \ud83d\ude00"},'
        rb'{"event":"n\u0000w","k\u0000":[NaN,1e999,"\udfff",{"deep":'
        + b"[" * 40
        + b"]" * 40
        + rb"}]},"
        + b'{"event":"open","timestamp":1795520000,"email":"\xff"}]'
    )
    found = events(body)
    assert [(event.recipient, event.url) for event in found] == [
        ("a\N{REPLACEMENT CHARACTER}b", "x\N{REPLACEMENT CHARACTER}y 😀"),
        (None, None),
        ("\N{REPLACEMENT CHARACTER}", None),
    ]
    assert found[1].raw is not None
    assert found[1].raw["k\N{REPLACEMENT CHARACTER}"][:3] == [None, None, "\N{REPLACEMENT CHARACTER}"]
    stored = json.dumps(found[1].raw, allow_nan=False)
    assert "\\u0000" not in stored
    assert stored.count("[") == 14  # the raw item, its array and the object in it are levels too


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"{}",
        b'"[]"',
        b"7",
        b"[",
        b"[1,",
        b"[1] 2",
        b"\xff\xfe",
        b"[" * 100_000,
        b"a=1&b=2",
    ],
)
def test_what_is_no_array_is_refused_and_still_read_as_one_unknown_event(body: bytes) -> None:
    with pytest.raises(ValueError, match="JSON array"):
        check_shape(body)
    [found] = normalize(body, {}, {})
    assert (found.type, found.raw) == (EventType.UNKNOWN, None)


def test_an_empty_array_has_no_events() -> None:
    assert events(b"[]\r\n") == []


def test_one_bad_item_spoils_no_other() -> None:
    found = events(
        b'[{"event":"open","timestamp":1795520000},[[]],{"event":{}},{"event":"open","timestamp":1795520001}]'
    )
    assert [event.type for event in found] == [
        EventType.OPEN,
        EventType.UNKNOWN,
        EventType.UNKNOWN,
        EventType.OPEN,
    ]


OPENS = [b'{"event":"open","email":"a,]b@c.org","timestamp":179552000%d}' % second for second in (0, 1)]


@pytest.mark.parametrize(
    "bad",
    [
        b'{"event":"open","timestamp":' + b"9" * 5000 + b"}",
        b'{"event":"open","timestamp":1795520000,"attempt":-' + b"9" * 5000 + b"}",
        b'{"event":"open","x":"\\"],[",' + b'"y":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"[" * 5000 + b"]" * 5000,
    ],
    ids=["time", "attempt", "nested", "objects", "arrays"],
)
def test_no_number_and_no_nesting_spoils_the_items_beside_it(bad: bytes) -> None:
    body = b" [" + OPENS[0] + b",\r\n" + bad + b"," + OPENS[1] + b"]\r\n"
    check_shape(body)
    first, _, last = found = normalize(body, {}, {})
    assert [first, last] == normalize(b"[" + OPENS[0] + b"," + OPENS[1] + b"]", {}, {})
    assert len({event.natural_key for event in found}) == 3


def test_nested_too_deep_and_not_closed_is_refused() -> None:
    for body in (b"[" + b"[" * 5000, b"{" + b'"a":[' * 5000 + b"]" * 5000 + b"}", b"]" + b"[" * 5000):
        with pytest.raises(ValueError, match="JSON"):
            check_shape(body)


def test_of_too_many_items_the_rest_is_one_unknown_event() -> None:
    numbers = list(range(10_003))
    found = normalize(json.dumps(numbers).encode(), {}, {})
    assert len(found) == 10_001
    assert found[-1].type is EventType.UNKNOWN
    assert found[-1].reason == "3 items more than a post has"
    assert len({event.natural_key for event in found}) == 10_001


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
FIELDS = st.sampled_from(
    [
        "event",
        "timestamp",
        "email",
        "url",
        "type",
        "status",
        "reason",
        "response",
        "attempt",
        "useragent",
        "smtp-id",
        "sg_message_id",
        "sg_event_id",
        "sg_machine_open",
        "asm_group_id",
        "bounce_classification",
        "outreach_action",
    ]
)
WORDS = st.sampled_from(["open", "click", "bounce", "dropped", "processed", "group_unsubscribe"])
ITEMS = st.fixed_dictionaries({"event": WORDS | JSON, "timestamp": st.just(1795520000) | JSON}).flatmap(
    lambda item: st.dictionaries(FIELDS, JSON).map(lambda more: {**more, **item})
)


@settings(deadline=None)
@given(st.binary())
def test_normalize_never_raises(body: bytes) -> None:
    for found in normalize(body, {}, {}):
        assert found.type is EventType.UNKNOWN


@settings(deadline=None, max_examples=50)
@given(st.lists(ITEMS | JSON, max_size=5))
def test_every_item_becomes_one_event_that_can_be_stored(items: list[Any]) -> None:
    found = normalize(json.dumps(items).encode(), {}, {})
    assert len(found) == len(items)
    for item in found:
        json.dumps(item.raw, allow_nan=False)
        for value in (item.recipient, item.url, item.reason, item.message_id, item.smtp_id, item.group_id):
            assert value is None or ("\0" not in value and value.encode().decode() == value)
