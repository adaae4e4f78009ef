"""When a rate limit ends, and a fault of a library; every other part of a call is an integration test."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.providers.base import Outcome, SendOutcome
from shared.providers.calls import DEFAULT_WAIT, MAX_WAIT, MIN_WAIT, judge_status, post, reopening

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) + 90)}, timedelta(seconds=90)),
        ({"Retry-After": "90"}, timedelta(seconds=90)),
        ({"Retry-After": "Wed, 25 Nov 2026 12:01:30 GMT"}, timedelta(seconds=90)),
        ({"Retry-After": "Wed, 25 Nov 2026 12:01:30 -0000"}, timedelta(seconds=90)),
        (
            {"X-RateLimit-Reset": str(int(NOW.timestamp()) + 30), "Retry-After": "90"},
            timedelta(seconds=30),
        ),
        ({"X-RateLimit-Reset": "soon", "Retry-After": "90"}, timedelta(seconds=90)),
        ({}, DEFAULT_WAIT),
        ({"Retry-After": ""}, DEFAULT_WAIT),
        ({"Retry-After": "-5"}, DEFAULT_WAIT),
        ({"Retry-After": "later"}, DEFAULT_WAIT),
        ({"Retry-After": "٣"}, DEFAULT_WAIT),
        ({"Retry-After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, DEFAULT_WAIT),
        ({"X-RateLimit-Reset": "0"}, MIN_WAIT),
        ({"Retry-After": "0"}, MIN_WAIT),
        ({"Retry-After": "Wed, 25 Nov 2020 12:00:00 GMT"}, MIN_WAIT),
        ({"Retry-After": "999999"}, MAX_WAIT),
        ({"X-RateLimit-Reset": "999999999999999"}, MAX_WAIT),
        ({"X-RateLimit-Reset": "9" * 5000}, DEFAULT_WAIT),
        ({"Retry-After": "Wed, 25 Nov 9999 12:00:00 GMT"}, MAX_WAIT),
    ],
)
def test_a_rate_limit_ends(headers: dict[str, str], wait: timedelta) -> None:
    assert reopening(httpx.Headers(headers, encoding="utf-8"), NOW) == NOW + wait


@settings(deadline=None)
@given(
    reset=st.none() | st.text() | st.integers().map(str),
    after=st.none() | st.text() | st.datetimes().map(lambda date: f"{date:%a, %d %b %Y %H:%M:%S} GMT"),
)
def test_a_rate_limit_always_ends_within_bounds(reset: str | None, after: str | None) -> None:
    given_headers = {"x-ratelimit-reset": reset, "retry-after": after}
    headers = {name: value for name, value in given_headers.items() if value is not None}
    assert MIN_WAIT <= reopening(headers, NOW) - NOW <= MAX_WAIT


class _Taken(httpx.AsyncBaseTransport):
    """A connection that was reset before anything was written, as anyio meets it on uvloop."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise AttributeError("'NoneType' object has no attribute 'getpeername'")


async def test_a_reset_that_takes_the_transport_before_the_write_counts_as_not_connected() -> None:
    async with httpx.AsyncClient(transport=_Taken()) as client:
        outcome = await post(client, "http://localhost/", {}, b"{}", timedelta(seconds=1), judge_status)
    assert outcome == SendOutcome(Outcome.NOT_CONNECTED, reason="AttributeError")
