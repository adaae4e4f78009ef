"""Why a tenant's lanes wait, in words."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from services.admin.limits import Bar, limited
from services.admin.tenancy import Motion, Rows
from shared.jobs import SENDS
from shared.queue.standing import Usage, WindowUsed
from shared.queue.types import Running

TENANT, SENDER = UUID(int=1), UUID(int=2)
CHANNEL = f"{TENANT}/email"
LANE = f"{CHANNEL}/{SENDER}"
NOW = 1_000_000_000


def window(seconds: int, used: int, limit: int) -> WindowUsed:
    return WindowUsed(timedelta(seconds=seconds), limit, used, NOW + 34_000)


FULL = (window(60, 20, 20), window(3600, 30, 1_000), window(86_400, 9, 9))
ROOM = (window(60, 19, 20), window(3600, 0, 1_000), window(86_400, 0, 10_000))


def told(line: int = 7, **usages: dict[str, Any]) -> list[tuple[int | None, str]]:
    """Line of the tenant's mail and of its sender, and why they wait."""
    sender = SimpleNamespace(id=SENDER, channel="email")
    none: dict[str, Any] = {"email": {}, "sms": {}}
    rows = Rows(SimpleNamespace(id=TENANT), [], [], None, none, [sender], None, [])
    named = {"tenant": str(TENANT), "channel": CHANNEL, "lane": LANE, "sms": f"{TENANT}/sms"}
    usage = {
        subject: Usage(subject, NOW, **{"windows": ROOM, **usages.get(name, {})})
        for name, subject in named.items()
    }
    motion = Motion({SENDS.name: {LANE: line}}, {SENDS.name: Running(0, False)}, usage, [], [])
    return [(each.line, each.parked) for each in limited(rows, motion) if each.channel == "email"]


PARKED: dict[str, Any] = {"parked": True, "retry_ms": NOW + 34_000}


@pytest.mark.parametrize(
    ("usages", "channel", "sender"),
    [
        ({}, "", ""),
        ({"lane": {"windows": FULL}}, "", ""),
        (
            {"lane": {**PARKED, "windows": FULL}},
            "",
            "Parked for 34 s: its minute and day limits are used up",
        ),
        (
            {"channel": {**PARKED, "windows": FULL[:1]}},
            "Parked for 34 s: its minute limit is used up",
            "Parked for 34 s: its tenant's minute limit is used up",
        ),
        (
            {"tenant": {"parked": True, "paused": True, "windows": ()}},
            "Parked: the tenant is paused",
            "Parked: the tenant is paused",
        ),
        ({"lane": {"parked": True, "paused": True}}, "", "Parked: closed until somebody reopens it"),
        (
            {"lane": {**PARKED, "closed_until_ms": NOW + 90_000}},
            "",
            "Parked for 34 s: closed for 1 min 30 s",
        ),
        (
            {"lane": {"parked": True, "cap": 3, "running": 3}},
            "",
            "Parked: as many run as its limit lets run at once",
        ),
        (
            {"lane": {"parked": True, "retry_ms": NOW - 5}},
            "",
            "Parked until a worker looks: the next send costs more than its limits leave",
        ),
    ],
)
def test_a_lane_tells_what_it_waits_for_and_for_how_long(
    usages: dict[str, Any], channel: str, sender: str
) -> None:
    assert told(**usages) == [(7, channel), (7, sender)]


def test_a_lane_without_jobs_waits_for_nothing() -> None:
    assert told(0, lane={**PARKED, "windows": FULL}) == [(0, ""), (0, "")]


def test_a_bar_tells_when_the_first_of_it_frees_and_of_an_unused_one_nothing() -> None:
    sender = SimpleNamespace(id=SENDER, channel="email")
    overrides = {"email": {None: {"minute": 9}, SENDER: {"concurrent": 4}}, "sms": {}}
    rows = Rows(SimpleNamespace(id=TENANT), [], [], None, overrides, [sender], None, [])
    usage = {name: Usage(name, NOW, ROOM, cap=4, running=1) for name in (CHANNEL, LANE, f"{TENANT}/sms")}
    motion = Motion({SENDS.name: {LANE: 0}}, {}, usage, [], [])
    frees = timedelta(seconds=34)
    assert [each.bars for each in limited(rows, motion)][1] == [
        Bar("minute", 9, False, 19, frees),
        Bar("hour", 1_000, False, 0, None),
        Bar("day", 10_000, False, 0, None),
        Bar("concurrent", 4, True, 1),
    ]
    assert [each.bars for each in limited(rows, None)][1] == [
        Bar("minute", 9, False),
        Bar("hour", 1_000, False),
        Bar("day", 10_000, False),
        Bar("concurrent", 4, True),
    ]
