"""The model test can fail: a fault planted in one Lua file after another is found each time."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from shared.queue import engine
from shared.redis.scripts import Script, load, part
from tests.model.test_engine import check

_STEPS = 20_000
"""More than it takes: most faults are found in a second, and what is not found fails the test."""


@dataclass(frozen=True)
class Fault:
    """One change of one file, of a part or else of a script, and what it would do to users."""

    room: str
    part: str
    right: str
    wrong: str
    means: str


FAULTS = (
    Fault("limits", "charge", "log.total + cost", "log.total", "a window never fills"),
    Fault("limits", "log", "last + length > now", "last + length > now + length / 2", "bins leave early"),
    Fault("limits", "recent", "and under == subject.windows.raw", "", "changed limits do not bind yet"),
    Fault("limits", "recent", "subject.room, #under", "4294967295, #under", "room is never used up"),
    Fault(
        "limits",
        "recent",
        "subject.recent > 0",
        "subject.recent < 0",
        "charges are lost on their way to bins",
    ),
    Fault(
        "limits",
        "recent",
        "subject.open, subject.touched = false",
        "subject.open, subject.touched = true",
        "a refund is lost",
    ),
    Fault("limits", "refund", "log.total - back", "log.total - back - back", "a refund gives back twice"),
    Fault("queue", "holders", "job.epoch == m.epoch", "true", "tokens outlive an opening"),
    Fault("queue", "claim", "and not want.passes", "", "a paused queue cannot be processed by hand"),
    Fault("queue", "judge", "expires <= c.now", "expires < 0", "nothing ever expires"),
    Fault("queue", "take", "subject.slots - 1", "subject.slots", "a cap is not filled within a call"),
    Fault("queue", "settle", "(verdict == 'r' and 0 or 1)", "0", "a release uses up an attempt"),
    Fault("queue", "promote", "enlist('RPUSH'", "enlist('LPUSH'", "who was delayed jumps the line"),
    Fault("queue", "retire", "- keep_completed", "- keep_completed - 1", "one more job is kept than asked"),
    Fault(
        "idempotency",
        "recall",
        "and 'duplicate' or 'conflict'",
        "and 'duplicate' or 'duplicate'",
        "lost work",
    ),
    Fault("queue", "serve", "got / turn.weight", "got", "weights weigh nothing"),
    Fault("queue", "relieve", "kind .. name", "'L' .. name", "room for a tenant wakes none of its senders"),
    Fault("queue", "unpark", "lanes[#lanes + 1] = lane", "lanes[1] = lane", "parked lanes are lost"),
    Fault("queue", "reprioritise", "sub(raws[n], 10)", "sub(raws[n], 11)", "a changed job is garbled"),
    Fault("queue", "reprioritise", "{id = id, lane = lane, priority = wanted}", "nil", "its job never runs"),
    Fault("queue", "reschedule", "pack_state('d', attempt,", "pack_state('d', 0,", "attempts are forgotten"),
    Fault("queue", "take_out", "#delayed > 0", "#delayed > 9", "delayed jobs leave ghosts"),
    Fault("queue", "drain", "match(lane, '^[^/]+') == ARGV[3]", "true", "another tenant's jobs are lost"),
    Fault("queue", "obliterate", "not meta().paused", "false", "a queue at work is obliterated"),
    Fault("queue", "cancel", "held % CANCELLED + CANCELLED", "CANCELLED", "a cancelled job keeps its slots"),
    Fault("queue", "settle", "job.held >= CANCELLED", "false", "a cancelled job runs again"),
    Fault("queue", "reap", "job.held >= CANCELLED", "false", "it runs again when its worker dies"),
    Fault("queue", "report", "words[n] == 'lease_lost'", "false", "a worker goes on with what it lost"),
    Fault("queue", "report", "job.progress ~= '' and", "true and", "a line of log wipes the progress"),
    Fault("queue", "last_lines", "#starts - most + 1", "#starts - most", "a log grows beyond its bound"),
    Fault(
        "queue",
        "retire",
        "call('HDEL', K.reports, unpack(ids))",
        "call('HDEL', K.reports, '')",
        "logs of jobs that are gone stay",
    ),
    Fault(
        "queue",
        "obliterate",
        "relieve(free_slots(jobs))",
        "free_slots(jobs)",
        "lanes wait for slots that are free",
    ),
    Fault("redis", "clock", "math.max(now, last)", "now", "time runs backwards"),
)


def source(fault: Fault) -> str:
    try:
        return part(fault.room, fault.part)
    except FileNotFoundError:
        return load(fault.room, fault.part).body


@pytest.fixture
def planted(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    healthy = source(fault)
    assert fault.right in healthy, "the file has changed: plant the fault where the line is now"
    sick = healthy.replace(fault.right, fault.wrong, 1)

    def mutated(room: str, name: str) -> Script:
        script = load(room, name)
        body = script.body.replace(healthy, sick)
        return replace(script, body=body, sha=hashlib.sha1(body.encode(), usedforsecurity=False).hexdigest())

    monkeypatch.setattr(engine, "load", mutated)
    yield


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.room}-{fault.part}")
def test_a_planted_fault_is_found(valkey_url: str, fault: Fault) -> None:
    with pytest.raises(AssertionError):
        check(valkey_url, 1, _STEPS, shrink=False)
