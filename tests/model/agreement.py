"""The whole of a partition in Redis, and where it is not as the model says."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from struct import unpack, unpack_from
from typing import Any

from redis.asyncio import Redis

from tests.model.books import LANES, SUBJECTS, TENANTS, Books

_GENERATION = 90_000_000
_PRIORITIES = range(4)
_DUMP = """
local found = {}
for n, key in ipairs(ARGV) do
  local kind = redis.call('TYPE', key).ok
  found[n] = kind == 'list' and redis.call('LRANGE', key, 0, -1)
    or kind == 'zset' and redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
    or kind == 'hash' and redis.call('HGETALL', key)
    or {}
end
return found
"""

Bins = list[tuple[int, int]]
Recent = tuple[int, int, int] | None
"""First charge, last charge, cost: what is in no bin yet."""


@dataclass(frozen=True)
class Whole:
    """What the engine holds beside the jobs themselves."""

    lines: dict[tuple[str, int], list[str]]
    rings: dict[str, list[str]]
    held: dict[str, list[str]]
    parked: dict[str, float]
    ready: dict[str, float]
    slots: dict[str, dict[str, float]]
    logs: dict[str, dict[int, tuple[Bins, Recent]]]
    vtime: float


async def whole(redis: Redis, tag: str, now: int) -> Whole:
    """Read it, in one call."""
    generation = now // _GENERATION
    names = [
        *(f"lane:{lane}:{priority}" for lane in LANES for priority in _PRIORITIES),
        *(f"ring:{tenant}" for tenant in TENANTS),
        *(f"held:{subject}" for subject in SUBJECTS),
        *(f"slots:{subject}" for subject in SUBJECTS),
        *("parked", "ready", "meta", f"windows:{generation}", f"windows:{generation - 1}"),
    ]
    dumped: Any = await redis.eval(_DUMP, 0, *(tag + name for name in names))  # type: ignore[misc]  # redis-py's union
    found = dict(zip(names, dumped, strict=True))
    logs = _pairs(found[f"windows:{generation - 1}"]) | _pairs(found[f"windows:{generation}"])
    core = _pairs(found["meta"]).get("core")
    return Whole(
        lines={
            (lane, priority): _words(found[f"lane:{lane}:{priority}"])
            for lane in LANES
            for priority in _PRIORITIES
        },
        rings={tenant: _words(found[f"ring:{tenant}"]) for tenant in TENANTS},
        held={subject: _words(found[f"held:{subject}"]) for subject in SUBJECTS},
        parked=_scores(found["parked"]),
        ready=_scores(found["ready"]),
        slots={subject: _scores(found[f"slots:{subject}"]) for subject in SUBJECTS},
        logs={subject: dict(_logs(raw)) for subject, raw in logs.items()},
        vtime=unpack(">d", core[18:26])[0] if core else 0.0,
    )


def differences(books: Books, found: Whole, now: int) -> list[str]:
    """Where lanes, caps and windows are not as the model says. Entries that are gone the books then drop."""
    return [*_lanes(books, found), *_caps(books, found, now), *_windows(books, found, now)]


def shares(books: Books, found: Whole, got: Counter[str], *, full: bool) -> list[str]:
    """Where the fair queue did not go on from the books as the jobs that tenants got say; the books then do.

    `full`: a claim used up its slots, so nobody may be far ahead of another who has work.
    """
    if strangers := got.keys() - set(TENANTS):
        return [f"{strangers} got jobs, and are nobody"]
    begun = {tenant: books.tags.get(tenant, books.vtime) for tenant in TENANTS}
    step = {tenant: 1 / books.config(tenant).weight for tenant in TENANTS}
    tags = {tenant: begun[tenant] + got[tenant] * step[tenant] for tenant in TENANTS}
    wrong = [
        f"{tenant}'s tag is {tag}, not {tags[tenant]}"
        for tenant, tag in found.ready.items()
        if abs(tag - tags[tenant]) > 1e-6
    ]
    wrong += [
        f"{tenant} is out of line" for tenant in TENANTS if found.rings[tenant] and tenant not in found.ready
    ]
    lowest = max([books.vtime, *(begun[tenant] for tenant in got)])
    highest = max([books.vtime, *(tags[tenant] - step[tenant] for tenant in got)])
    if not lowest - 1e-6 <= found.vtime <= highest + 1e-6:
        wrong.append(f"virtual time is {found.vtime}, not from {lowest} to {highest}")
    for ahead in got if full else ():
        for tenant in TENANTS:
            if (
                found.rings[tenant]
                and tags[ahead] > tags[tenant] + 1.5 * step[ahead] + step[tenant] / 2 + 1e-6
            ):
                wrong.append(f"{ahead} was served before {tenant}: {tags}")
    books.tags, books.vtime = found.ready, found.vtime
    return wrong


def _lanes(books: Books, found: Whole) -> Iterator[str]:
    for lane in LANES:
        waiting = 0
        for priority in _PRIORITIES:
            known, entries = books.entries[lane, priority], found.lines[lane, priority]
            waiting += len(entries)
            if known[len(known) - len(entries) :] != entries:
                yield f"{lane}, priority {priority}, is {entries}, not an end of {known}"
        if books.line(lane, found.lines) != books.line(lane):
            yield f"{lane} is {books.line(lane, found.lines)}, not {books.line(lane)}"
        books.entries.update({(lane, priority): found.lines[lane, priority] for priority in _PRIORITIES})
        tenant = lane.partition("/")[0]
        places = found.rings[tenant].count(lane) + ("L" + lane in found.parked)
        places += sum(
            lanes.count(lane) for subject, lanes in found.held.items() if "S" + subject in found.parked
        )
        if places != (waiting > 0):
            yield f"{lane} has {waiting} entries and {places} places"


def _caps(books: Books, found: Whole, now: int) -> Iterator[str]:
    for subject, slots in found.slots.items():
        ours = {job_id for job_id, ends in slots.items() if ends == float("inf")}
        others = {slot for slot, ends in slots.items() if now < ends < float("inf")}
        outside = {slot for slot, ends in books.outside[subject].items() if now < ends}
        if (ours, others) != (books.holding[subject], outside):
            yield f"{slots} run under {subject}, not {books.holding[subject]} and {outside}"


def _windows(books: Books, found: Whole, now: int) -> Iterator[str]:
    for (subject, length), log in books.logs.items():
        bins, recent = found.logs.get(subject, {}).get(length, ([], None))
        counted = [(last, cost) for last, cost in bins if last + length > now]
        if counted != log.alive(now):
            yield f"{subject} in {length} ms counts {counted}, not {log.alive(now)}"
        if recent != log.recent and any(each and each[1] + length > now for each in (recent, log.recent)):
            yield f"{subject} was charged {recent} of late, not {log.recent}"


def _logs(raw: bytes) -> Iterator[tuple[int, tuple[Bins, Recent]]]:
    first, last, cost = (int.from_bytes(raw[at:end]) for at, end in ((0, 6), (6, 12), (12, 16)))
    recent = (first, last, cost) if cost else None
    at = 22 + int.from_bytes(raw[20:22])
    while at < len(raw):
        length, total = unpack_from(">II", raw, at)
        (count,) = unpack_from(">H", raw, at + 20)
        found = [unpack_from(">HII", raw, at + 22 + 10 * n) for n in range(count)]
        bins = [(high << 32 | low, cost) for high, low, cost in found]
        assert total == sum(cost for _, cost in bins)
        yield length, (bins, recent)
        at += 22 + 10 * count


def _words(raw: Iterable[bytes]) -> list[str]:
    return [each.decode() for each in raw]


def _pairs(raw: Iterable[bytes]) -> dict[str, bytes]:
    flat = iter(raw)
    return {name.decode(): value for name, value in zip(flat, flat, strict=True)}


def _scores(raw: Iterable[bytes]) -> dict[str, float]:
    return {member: float(score) for member, score in _pairs(raw).items()}
