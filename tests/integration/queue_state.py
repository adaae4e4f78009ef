"""A queue for tests, and the whole state of a partition as plain Python."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from struct import unpack_from
from typing import Any

from redis.asyncio import Redis

from shared.jobs import QueueSpec
from shared.queue.codec import unpack_record, unpack_seen
from shared.queue.queue import Queue
from shared.queue.types import NewJob, SubjectConfig, Window
from shared.redis.client import connect
from shared.settings import RedisSettings

T0 = 1_620_000_000_000
"""When a test begins, ms; not when the server thinks it is, so no script may ask it behind our back."""

SPEC = QueueSpec("outreach:send", concurrency=3, priority=1, keep_completed=2, keep_failed=2)


@dataclass
class Clock:
    """The time that a test's queue sees."""

    now: int = T0

    def __call__(self) -> int:
        return self.now

    def forward(self, **length: float) -> int:
        """Let time pass; what it is then."""
        self.now += timedelta(**length) // timedelta(milliseconds=1)
        return self.now


@dataclass
class Bench:
    """An open queue with a clock of its own."""

    queue: Queue
    redis: Redis
    clock: Clock = field(default_factory=Clock)

    async def state(self, partition: int = 0) -> dict[str, Any]:
        """The whole state of a partition."""
        return await snapshot(self.redis, self.queue._tags[partition])

    async def stored(self, subject: str) -> tuple[tuple[int, int, int], bytes]:
        """The recent charge of a subject (first, last, cost), and its logs as they are stored."""
        key = f"{self.queue._tags[0]}windows:{self.clock.now // 90_000_000}"
        raw = await self.redis.hget(key, subject)  # type: ignore[misc]  # redis-py's union
        recent = int.from_bytes(raw[:6]), int.from_bytes(raw[6:12]), int.from_bytes(raw[12:16])
        return recent, raw[22 + int.from_bytes(raw[20:22]) :]


@asynccontextmanager
async def bench(
    url: str, spec: QueueSpec = SPEC, *, opened: bool = True, **place: Any
) -> AsyncIterator[Bench]:
    """A queue on a server that is empty, opened under epoch 1 unless told otherwise."""
    clock = Clock()
    settings = RedisSettings(url=url)  # type: ignore[arg-type]  # pydantic wraps it
    async with connect(settings, role="test") as redis, connect(settings, role="wait") as waiting:
        queue = Queue(redis, spec, prefix="test", waiting=waiting, clock=clock, **place)
        if opened:
            for partition in range(queue.partitions):
                await queue.begin_opening(partition, 1)
                await queue.open(partition, 1)
        yield Bench(queue, redis, clock)


def job(name: str, lane: str = "a", **fields: Any) -> NewJob:
    """A job with a payload of its own."""
    return NewJob(name, lane, fields.pop("payload", b'{"job":"%s"}' % name.encode()), **fields)


def limits(subject: str, *windows: tuple[float, int], **fields: Any) -> SubjectConfig:
    """A configuration with windows of `(seconds, limit)`."""
    return SubjectConfig(
        subject,
        windows=tuple(Window(timedelta(seconds=length), limit) for length, limit in windows),
        **fields,
    )


async def snapshot(redis: Redis, tag: str) -> dict[str, Any]:
    """Every key of a partition but `wake` and `events`, decoded: what is absent is empty."""
    found: dict[str, Any] = {}
    async for raw in redis.scan_iter(match=tag.replace("{", "\\{") + "*", count=1000):
        name = raw.decode().removeprefix(tag)
        if name not in ("wake", "events"):
            found[name] = _decoded(name, await _value(redis, raw))
    return found


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The keys that differ, with what they are now; None for those that are gone."""
    return {key: after.get(key) for key in sorted(before.keys() | after) if before.get(key) != after.get(key)}


async def _value(redis: Any, key: bytes) -> Any:
    match await redis.type(key):
        case b"hash":
            return {field.decode(): value for field, value in (await redis.hgetall(key)).items()}
        case b"list":
            return [each.decode() for each in await redis.lrange(key, 0, -1)]
        case b"zset":
            return {
                member.decode(): score for member, score in await redis.zrange(key, 0, -1, withscores=True)
            }
        case _:
            members = [each.decode() for each in await redis.smembers(key)]
            return sorted(map(int, members) if all(map(str.isdigit, members)) else members)


def _decoded(name: str, value: Any) -> Any:
    if name == "jobs":
        return {each: _job(each, raw) for each, raw in value.items()}
    if name == "state":
        return {each: _state(each, raw) for each, raw in value.items()}
    if name == "meta":
        return _meta(value)
    if name.startswith("windows:"):
        return {each: _windows(raw) for each, raw in value.items()}
    if name == "refused":
        return {each: int(raw) for each, raw in value.items()}
    return value


def _job(job_id: str, raw: bytes) -> tuple[str, int, int, bytes]:
    found = unpack_record(job_id.encode(), raw, 0, "", 0)
    return found.lane, found.priority, found.cost, found.payload


def _state(job_id: str, raw: bytes) -> tuple[Any, ...]:
    """Letter, attempt, stalls, token's number, at, slots held, reason."""
    letter, attempt, stalls, high, seq, late, at, held = unpack_from(">cBBHIHIB", raw)
    reason = unpack_seen(job_id, raw).reason
    return letter.decode(), attempt, stalls, high << 32 | seq, late << 32 | at, held, reason


def _meta(value: dict[str, bytes]) -> dict[str, Any]:
    core = value.pop("core")
    numbers = [int.from_bytes(core[at : at + 6]) for at in (0, 6, 12)]
    # Lua's struct packs a double in the machine's order of bytes for `d` as for all: big-endian here.
    (vtime,) = unpack_from(">d", core, 18)
    rest = {"vtime": vtime, "paused": bool(core[26]), "rules": bool(core[27]), "open": "run" in value}
    return dict(zip(("epoch", "seq", "last"), numbers, strict=True)) | rest


def _windows(raw: bytes) -> dict[int, list[tuple[int, int]]]:
    """Length of window, ms → bins of (last charge, cost), the recent charge as one more."""
    last, cost, size = int.from_bytes(raw[6:12]), *unpack_from(">I4xH", raw, 12)
    recent = [(last, cost)] if cost else []
    return {length: bins + recent for length, bins in _logs(raw[22 + size :]).items()}


def _logs(raw: bytes) -> dict[int, list[tuple[int, int]]]:
    logs, at = {}, 0
    while at < len(raw):
        length, total, count = *unpack_from(">II", raw, at), *unpack_from(">H", raw, at + 20)
        bins = [unpack_from(">HII", raw, at + 22 + 10 * n) for n in range(count)]
        logs[length] = [(high << 32 | low, cost) for high, low, cost in bins]
        assert total == sum(cost for _, cost in logs[length])
        at += 22 + 10 * count
    return logs


__all__ = ["SPEC", "T0", "Bench", "Clock", "bench", "changed", "job", "limits", "replace", "snapshot"]
