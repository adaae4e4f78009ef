"""The bytes that Python and Lua exchange. All integers are big-endian and unsigned; ms times take 6 bytes.

- record: enqueued 6 (the script puts it in front), flags 1 (1 expires, 2 timeout, 4 annotations), version 1,
  priority 1, max attempts 1, cost 2, lane's length 1, [expires 6], [timeout in ms 4], [annotations' length 4,
  annotations], lane, payload
- state: letter 1 (w d a c f), attempt 1, stalls 1, seq 6, at 6, held 1 (128: cancelled); of a finished job
  also the reason's length 2, reason, result
- settlement: verdict 1 (c f r l d x), epoch 6, seq 6, at 6, refund 1, subject's length 1, reason's length 2,
  [closed until 6, subject], reason, result
- report: progress's length 2, progress (JSON), then for each line its time 6, its length 2 and its text
- config: flags 1 (1 paused, 2 own windows, 4 capped), weight 2, cap 4, closed until 6, then for each window
  its length in ms 4 and limit 4
"""

from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from struct import Struct, pack
from typing import Final

from shared.jobs import JobState
from shared.queue.types import ClaimedJob, NewJob, Seen, Settlement, SubjectConfig, Verdict

_HEAD: Final = Struct(">BBBBHB")
_WHOLE_HEAD: Final = Struct(">HIBBBBHB")
_STATE: Final = Struct(">cBBHIHIB")
_SETTLEMENT: Final = Struct(">cHIHIHIBBH")  # six bytes are two and four
_CONFIG: Final = Struct(">BHIHI")

_CANCELLED: Final = 128

_LETTERS: Final = {
    Verdict.COMPLETED: b"c",
    Verdict.HELD: b"c",
    Verdict.SKIPPED: b"c",
    Verdict.CANCELLED: b"x",
    Verdict.FAILED: b"f",
    Verdict.RETRY: b"r",
    Verdict.RELEASED: b"l",
    Verdict.DEFERRED: b"d",
}
_GIVE_BACK: Final = {Verdict.HELD, Verdict.SKIPPED, Verdict.RELEASED, Verdict.DEFERRED, Verdict.CANCELLED}
_STATES: Final = {
    b"w": JobState.WAITING,
    b"d": JobState.DELAYED,
    b"a": JobState.ACTIVE,
    b"c": JobState.COMPLETED,
    b"f": JobState.FAILED,
}


def milliseconds(length: timedelta) -> int:
    """A duration in whole ms."""
    return length // timedelta(milliseconds=1)


def pack_record(job: NewJob, priority: int, max_attempts: int) -> bytes:
    """A job as it is stored, without the time of its enqueue."""
    timeout = milliseconds(job.timeout) if job.timeout is not None else 0
    flags = (job.expires_at_ms is not None) | (timeout > 0) << 1 | bool(job.annotations) << 2
    lane = job.lane.encode()
    parts = [_HEAD.pack(flags, job.version, priority, max_attempts, job.cost, len(lane))]
    if job.expires_at_ms is not None:
        parts.append(job.expires_at_ms.to_bytes(6))
    if timeout:
        parts.append(timeout.to_bytes(4))
    if job.annotations:
        parts += (len(job.annotations).to_bytes(4), job.annotations)
    return b"".join((*parts, lane, job.payload))


def unpack_record(job_id: bytes, raw: bytes, attempt: int, token: str, claimed_ms: int) -> ClaimedJob:
    """A stored job as its worker sees it."""
    high, low, flags, _, priority, max_attempts, cost, length = _WHOLE_HEAD.unpack_from(raw)
    at = _WHOLE_HEAD.size + (6 if flags & 1 else 0)
    timeout, annotations = 0, b""
    if flags & 2:
        timeout, at = int.from_bytes(raw[at : at + 4]), at + 4
    if flags & 4:
        size, at = int.from_bytes(raw[at : at + 4]), at + 4
        annotations, at = raw[at : at + size], at + size
    return ClaimedJob(
        id=job_id.decode(),
        lane=raw[at : at + length].decode(),
        token=token,
        attempt=attempt,
        max_attempts=max_attempts,
        payload=raw[at + length :],
        annotations=annotations,
        cost=cost,
        priority=priority,
        enqueued_ms=high << 32 | low,
        claimed_ms=claimed_ms,
        timeout_ms=timeout,
    )


def pack_settlement(settlement: Settlement) -> bytes:
    """How a job ends."""
    epoch, seq = unpack_token(settlement.job.token)
    refund = settlement.verdict in _GIVE_BACK if settlement.refund is None else settlement.refund
    subject, until = settlement.close or ("", 0)
    reason = settlement.reason.encode()[:1000]
    head = _SETTLEMENT.pack(
        _LETTERS[settlement.verdict],
        *_six(epoch),
        *_six(seq),
        *_six(settlement.at_ms),
        refund,
        len(subject.encode()),
        len(reason),
    )
    close = until.to_bytes(6) + subject.encode() if subject else b""
    return head + close + reason + settlement.result


def pack_config(config: SubjectConfig) -> bytes:
    """What is in force for a subject; empty where nothing is out of the ordinary."""
    flags = config.paused | (config.windows is not None) << 1 | (config.cap is not None) << 2
    until = config.closed_until_ms
    if not flags and not until and config.weight == 1:
        return b""
    head = _CONFIG.pack(flags, config.weight, config.cap or 0, until >> 32, until & 0xFFFFFFFF)
    windows = [pack(">II", milliseconds(each.length), each.limit) for each in config.windows or ()]
    return b"".join((head, *windows))


def unpack_seen(job_id: str, raw: bytes) -> Seen:
    """What the engine knows of an id, from its stored state, `absent` or `fresh`."""
    if raw == b"absent":
        return Seen(job_id, None)
    if raw == b"fresh":
        return Seen(job_id, JobState.WAITING)
    letter, attempt, *_, held = _STATE.unpack_from(raw)
    seen = Seen(job_id, _STATES[letter], attempt=attempt, cancelling=held >= _CANCELLED)
    if len(raw) == _STATE.size:
        return seen
    length = int.from_bytes(raw[_STATE.size : _STATE.size + 2])
    start = _STATE.size + 2
    return replace(seen, reason=raw[start : start + length].decode(errors="replace"))


@lru_cache(maxsize=64)  # all jobs of a claim have the same
def unpack_token(token: str) -> tuple[int, int]:
    """Epoch and number of a token."""
    epoch, _, seq = token.partition("-")
    return int(epoch), int(seq)


def _six(value: int) -> tuple[int, int]:
    return value >> 32, value & 0xFFFFFFFF
