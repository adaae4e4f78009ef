"""The engine against the dict model: random transitions on a real server, compared after every step."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from redis.asyncio import Redis

from shared.errors import OpeningSuperseded
from shared.jobs import JobState, QueueSpec
from shared.queue.operating import Removed
from shared.queue.queue import Queue
from shared.queue.types import (
    Charge,
    Claimed,
    ClaimedJob,
    ClaimStatus,
    Enqueued,
    NewJob,
    Settled,
    Settlement,
    Slot,
    SubjectConfig,
    Verdict,
    Window,
)
from shared.redis.client import connect
from shared.settings import RedisSettings
from tests.model.agreement import differences, shares, whole
from tests.model.books import (
    DAY_MS,
    LANES,
    NEWEST_VERSION,
    SUBJECTS,
    TENANTS,
    Books,
    Job,
    subjects_of,
)
from tests.model.coverage import COVERAGE, STEP, saw

T = TypeVar("T")

SPEC = QueueSpec(
    "outreach:model",
    concurrency=4,
    priority=1,
    lease=timedelta(seconds=10),
    max_stalls=1,
    keep_completed=4,
    keep_failed=6,
    keep_for=timedelta(seconds=120),
    remember_for=timedelta(seconds=60),
)
TTL = 60_000
LEASE = 10_000
IDS = tuple(f"send:{number}" for number in range(120))
VERDICTS = tuple(Verdict)

lanes = st.sampled_from(LANES)
ids = st.sampled_from(IDS)
subjects = st.sampled_from(SUBJECTS)
windows = st.none() | st.lists(
    st.builds(
        Window,
        st.sampled_from([timedelta(seconds=20), timedelta(seconds=100)]),
        st.integers(1, 6),
    ),
    max_size=2,
    unique_by=lambda window: window.length,
).map(tuple)
LIMITS = (
    SubjectConfig("a/email", (Window(timedelta(seconds=20), 4), Window(timedelta(seconds=100), 7))),
    SubjectConfig("a/email/s1", (Window(timedelta(seconds=20), 3),), cap=3),
    SubjectConfig("b/email/s4", (Window(timedelta(seconds=100), 5),)),
    SubjectConfig("b", weight=3),
    SubjectConfig("c", cap=2),
    SubjectConfig("*/sms", (Window(timedelta(seconds=20), 3),)),
)
"""What is in force from the start, so that most claims meet a limit."""

configs = st.builds(
    SubjectConfig,
    subjects | st.just("*/sms"),
    windows=windows,
    cap=st.none() | st.integers(1, 3),
    weight=st.integers(1, 4),
    paused=st.sampled_from([False, False, False, True]),
)


@dataclass(frozen=True)
class Draft:
    """A job to enqueue, its times counted from now."""

    id: str
    lane: str
    payload: bytes
    priority: int
    cost: int
    delay: int
    expires: int | None
    version: int

    def job(self, now: int) -> NewJob:
        return NewJob(
            self.id,
            self.lane,
            self.payload,
            priority=self.priority,
            cost=self.cost,
            delay=timedelta(milliseconds=self.delay),
            expires_at_ms=now + self.expires if self.expires is not None else None,
            version=self.version,
        )


drafts = st.builds(
    Draft,
    ids,
    lanes,
    st.sampled_from([b"{}", b"{}", b"{}", b'{"x":1}']),
    st.integers(0, 3),
    st.sampled_from([1, 1, 1, 1, 2, 9]),
    st.sampled_from([0, 0, 0, 5_000, 40_000]),
    st.sampled_from([None, None, None, None, 15_000]),
    st.sampled_from([1, 1, 1, 1, 1, 2]),
)
PREFILL = tuple(
    Draft(f"send:{n}", LANES[n % len(LANES)], b"{}", n % 4, 1, 5_000 if n % 7 == 6 else 0, None, 1)
    for n in range(100, 120)
)
"""A queue at work, so that short histories are worth something too."""

rarely = st.sampled_from([False] * 9 + [True])


class EngineMachine(RuleBasedStateMachine):
    """One queue of `partitions` partitions; subclasses name the server."""

    url: str
    partitions = 1

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 1_800_000_000_000
        self.redis: Redis = connect(RedisSettings(url=self.url), role="model")
        self.queue = Queue(
            self.redis, SPEC, prefix="model", partitions=self.partitions, clock=lambda: self.now
        )
        self.books = [Books() for _ in range(self.partitions)]
        self.old: list[tuple[int, ClaimedJob]] = []
        self.used: set[str] = set()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.redis.aclose())
        self.run(self.redis.connection_pool.disconnect())
        self.loop.close()

    def agrees(self, partition: int, got: Iterable[ClaimedJob] = (), *, full: bool = False) -> None:
        """Lanes, caps, windows and the fair queue are as the model says, after a claim got these jobs."""
        books = self.books[partition]
        now = self.server_now(partition)
        found = self.run(whole(self.redis, self.queue._key(partition, ""), now))
        served = Counter(job.lane.partition("/")[0] for job in got)
        wrong = [*shares(books, found, served, full=full), *differences(books, found, now)]
        assert wrong == [], "\n".join(wrong)

    def places(self, subject: str) -> list[int]:
        """Where a subject is in force: a channel's in every partition."""
        return list(range(self.partitions)) if subject.startswith("*") else [self.at(subject)[0]]

    def at(self, lane: str) -> tuple[int, Books]:
        partition = self.queue.partition_of(lane.partition("/")[0])
        return partition, self.books[partition]

    def core(self, partition: int) -> tuple[int, int] | None:
        """Epoch and latest time of the partition; None where it knows of none."""
        raw = self.run(self.redis.hget(self.queue._key(partition, "meta"), "core"))  # type: ignore[arg-type]  # redis-py's union
        if raw is None:
            return None
        epoch, last = int.from_bytes(raw[:6]), int.from_bytes(raw[12:18])
        return epoch, last

    def server_now(self, partition: int) -> int:
        """The engine's clock: ours, but never backwards."""
        books, core = self.books[partition], self.core(partition)
        if core is not None:
            assert core[1] >= books.last, "the clock ran backwards"
            books.last = core[1]
        return max(self.now, books.last)

    @initialize()
    def start(self) -> None:
        self.run(self.redis.flushall())
        for partition in range(self.partitions):
            self.open_anew(partition)
        for config in LIMITS:
            self.put_in_force(config)
        self.enqueue(list(PREFILL))
        for partition in range(self.partitions):
            self.claim(partition, 4)
            self.work(partition, 3, Verdict.FAILED, 3, None)

    # --- producers

    @rule(drafts=st.lists(drafts, min_size=2, max_size=6, unique_by=lambda draft: draft.id))
    def enqueue(self, drafts: list[Draft]) -> None:
        # An id names one row of one tenant.
        mine = [
            draft
            for draft in drafts
            if all(draft.id not in books.jobs for books in self.books if books is not self.at(draft.lane)[1])
        ]
        jobs = [draft.job(self.server_now(self.at(draft.lane)[0])) for draft in mine]
        for draft, job, word in zip(mine, jobs, self.run(self.queue.enqueue(jobs)), strict=True):
            _, books = self.at(job.lane)
            again = word is Enqueued.CREATED and job.id in self.used
            saw("enqueue", "created again" if again else word)
            self.used.add(job.id)
            self.enqueued(books, draft, job, word)

    def enqueued(self, books: Books, draft: Draft, job: NewJob, word: Enqueued) -> None:
        now = max(self.now, books.last)
        known = books.recalled(job.id, now, TTL)
        if known is not None:
            assert word is (Enqueued.DUPLICATE if known == job.payload else Enqueued.CONFLICT)
            return
        assert word is Enqueued.CREATED
        new = Job(
            job.id,
            job.lane,
            draft.priority,
            job.payload,
            job.cost,
            job.version,
            job.expires_at_ms,
            JobState.DELAYED,
            now + draft.delay,
        )
        books.jobs[job.id] = new
        if not draft.delay:
            books.waits(new)

    # --- workers

    @rule(partition=st.integers(0, 2), slots=st.integers(1, 6))
    def claim(self, partition: int, slots: int) -> None:
        partition %= self.partitions
        self.server_now(partition)
        claimed = self.run(self.queue.claim(partition, slots))
        self.follow(partition, slots, claimed, "claim")

    def follow(self, partition: int, slots: int, claimed: Claimed, transition: str) -> None:
        books = self.books[partition]
        found = "jobs" if claimed.jobs else "none"
        saw(transition, found if claimed.status is ClaimStatus.OK else claimed.status)
        if not books.open:
            assert claimed.status is ClaimStatus.CLOSED
            return
        if books.paused:
            assert claimed.status is ClaimStatus.PAUSED
            return
        assert claimed.status is ClaimStatus.OK
        now = claimed.now_ms
        assert len(claimed.jobs) <= slots
        books.promote(now, 2 * slots + 20)
        self.check_order(books, claimed)
        taken = [self.taken(books, each, now) for each in claimed.jobs]
        for seen in claimed.doomed:
            self.doomed(books, seen.id, seen.reason, now)
        self.newer(partition, books, now)
        assert books.over_limit(now) == []
        assert books.over_cap(taken, now) == []
        if not claimed.more and len(claimed.jobs) < slots:
            idle = [
                lane
                for lane in {job.lane for job in books.jobs.values() if job.state is JobState.WAITING}
                if not books.loose.intersection(books.line(lane))
                and books.may_start(books.jobs[books.line(lane)[0]], now)
            ]
            assert idle == [], f"lanes with work and room were not served: {idle}"
        self.agrees(partition, claimed.jobs, full=len(claimed.jobs) == slots)

    def check_order(self, books: Books, claimed: Claimed) -> None:
        """In a lane, who comes first starts first; a job of a newer version steps aside."""
        got = [job.id for job in claimed.jobs] + [seen.id for seen in claimed.doomed]
        assert len(got) == len(set(got)), "a job was handed out twice"
        newer = {each for each in got if books.jobs[each].version > NEWEST_VERSION}
        for lane in {books.jobs[job_id].lane for job_id in got}:
            line = [each for each in books.line(lane) if books.jobs[each].version <= NEWEST_VERSION]
            mine = {each for each in got if books.jobs[each].lane == lane} - newer
            if not books.loose.intersection(line):
                assert mine == set(line[: len(mine)]), f"{lane} out of order: {mine} of {line}"
        for one, other in pairwise(claimed.jobs):
            if one.lane == other.lane and not books.loose.intersection(line := books.line(one.lane)):
                assert line.index(one.id) < line.index(other.id)

    def taken(self, books: Books, got: ClaimedJob, now: int) -> Job:
        job = books.jobs[got.id]
        assert job.state is JobState.WAITING
        assert job.expires_ms is None or job.expires_ms > now
        job.attempt += 1
        assert (got.lane, got.payload, got.cost, got.priority, got.attempt, got.claimed_ms) == (
            job.lane,
            job.payload,
            job.cost,
            job.priority,
            job.attempt,
            now,
        )
        for subject in subjects_of(job.lane):
            config = books.config(subject)
            assert not config.paused and config.closed_until_ms <= now, f"{subject} admits nothing"
        books.leaves_line(job)
        books.loose.discard(job.id)
        job.state, job.claimed, job.lease_ms, job.epoch = JobState.ACTIVE, got, now + LEASE, books.epoch
        books.charge(job, got, now)
        return job

    def doomed(self, books: Books, job_id: str, reason: str, now: int) -> None:
        job = books.jobs[job_id]
        saw("reap" if reason == "stalled" else "claim", f"doomed {reason}")
        if job.state is JobState.WAITING:
            books.leaves_line(job)
        books.loose.discard(job_id)
        match reason:
            case "expired":
                assert job.expires_ms is not None and job.expires_ms <= now
            case "version":
                assert job.version > NEWEST_VERSION and now - job.newer_since >= DAY_MS
            case "cost":
                assert any(job.cost > log.limit for log in books.logs_of(*subjects_of(job.lane)))
            case "stalled":
                assert job.stalls >= SPEC.max_stalls
            case other:
                raise AssertionError(f"failed for no known reason: {other}")
        books.finish(job, JobState.FAILED, now, reason, TTL)
        books.trim(SPEC.keep_completed, SPEC.keep_failed)

    def newer(self, partition: int, books: Books, now: int) -> None:
        """Jobs of a version that no worker knows yet step aside, uncharged."""
        waiting = [job for job in books.jobs.values() if job.version > NEWEST_VERSION]
        for job in waiting:
            if job.state is not JobState.WAITING:
                continue
            (seen,) = self.run(self.queue.look_up(partition, [job.id]))
            if seen.state is JobState.DELAYED:
                saw("claim", "newer")
                books.leaves_line(job)
                books.loose.discard(job.id)
                job.newer_since = job.newer_since or now
                waited = now - job.newer_since
                job.state, job.due_ms = JobState.DELAYED, now + min(300_000, waited + 30_000)

    @rule(
        partition=st.integers(0, 2),
        verdicts=st.lists(st.sampled_from(VERDICTS), min_size=1, max_size=4),
        stale=st.booleans(),
        refund=st.sampled_from([None, None, True, False]),
        slots=st.sampled_from([0, 3]),
        close=st.sampled_from([False, False, False, False, True]),
        data=st.data(),
    )
    def settle(
        self,
        partition: int,
        verdicts: list[Verdict],
        stale: bool,
        refund: bool | None,
        slots: int,
        close: bool,
        data: st.DataObject,
    ) -> None:
        partition %= self.partitions
        books = self.books[partition]
        held = [job.claimed for job in books.jobs.values() if job.claimed is not None]
        if stale:
            held = [claimed for where, claimed in self.old if where == partition]
        if not held:
            return
        chosen = data.draw(
            st.lists(st.sampled_from(held), min_size=1, max_size=len(verdicts), unique_by=lambda job: job.id)
        )
        self.end(partition, chosen, verdicts, refund, slots, close=close)

    def end(
        self,
        partition: int,
        chosen: list[ClaimedJob],
        verdicts: list[Verdict],
        refund: bool | None,
        slots: int,
        *,
        close: bool,
    ) -> None:
        books = self.books[partition]
        now = self.server_now(partition)
        settlements = [
            Settlement(
                claimed,
                verdict,
                at_ms=now + 7_000,
                reason="why",
                refund=refund,
                close=(claimed.lane, now + 9_000) if close else None,
            )
            for claimed, verdict in zip(chosen, verdicts, strict=False)
        ]
        words, claimed = self.run(self.queue.settle(partition, settlements, slots))
        released: list[Job] = []
        for settlement, word in zip(settlements, words, strict=True):
            saw("settle", f"{settlement.verdict} {word}")
            holds = self.holds(books, settlement.job)
            assert word is (Settled.OK if holds else Settled.LEASE_LOST)
            if holds:
                self.settled(books, settlement, now, released)
        for job in reversed(released):
            books.waits(job, head=True)
        books.trim(SPEC.keep_completed, SPEC.keep_failed)
        if claimed is not None:
            self.follow(partition, slots, claimed, "settle and claim")

    @rule(
        partition=st.integers(0, 2),
        slots=st.integers(2, 6),
        verdict=st.sampled_from(VERDICTS),
        again=st.sampled_from([0, 0, 3]),
        refund=st.sampled_from([None, None, True]),
    )
    def work(self, partition: int, slots: int, verdict: Verdict, again: int, refund: bool | None) -> None:
        """What a worker does all day: claim, and settle what was claimed with the next claim."""
        partition %= self.partitions
        self.server_now(partition)
        claimed = self.run(self.queue.claim(partition, slots))
        self.follow(partition, slots, claimed, "claim")
        if claimed.jobs:
            self.end(partition, list(claimed.jobs), [verdict] * len(claimed.jobs), refund, again, close=False)

    @rule(slots=st.integers(1, 6), drafts=st.lists(drafts, min_size=3, max_size=6, unique_by=lambda d: d.id))
    def busy(self, slots: int, drafts: list[Draft]) -> None:
        """Jobs come and are claimed at once, on every partition."""
        self.enqueue(drafts)
        for partition in range(self.partitions):
            self.claim(partition, slots)

    def holds(self, books: Books, claimed: ClaimedJob) -> bool:
        job = books.jobs.get(claimed.id)
        return (
            job is not None
            and job.claimed is not None
            and job.claimed.token == claimed.token
            and job.epoch == books.epoch
        )

    def settled(self, books: Books, settlement: Settlement, now: int, released: list[Job]) -> None:
        job, verdict = books.jobs[settlement.job.id], settlement.verdict
        self.old = [*self.old[-20:], (self.queue.partition_of(job.tenant), settlement.job)]
        gives_back = verdict in (Verdict.RELEASED, Verdict.DEFERRED, Verdict.HELD, Verdict.SKIPPED)
        if settlement.refund if settlement.refund is not None else gives_back:
            books.refund(job, settlement.job, now)
        books.release_slots(job)
        if settlement.close is not None:
            subject, until = settlement.close
            config = books.config(subject)
            books.configs[subject] = replace(config, closed_until_ms=max(config.closed_until_ms, until))
        job.claimed, job.newer_since = None, 0
        match verdict:
            case Verdict.COMPLETED | Verdict.HELD | Verdict.SKIPPED:
                books.finish(job, JobState.COMPLETED, now, settlement.reason, TTL)
            case Verdict.FAILED:
                books.finish(job, JobState.FAILED, now, settlement.reason, TTL)
            case Verdict.RELEASED:
                job.attempt -= 1
                released.append(job)
                job.state = JobState.WAITING
            case Verdict.DEFERRED:
                job.attempt -= 1
                job.state, job.due_ms = JobState.DELAYED, settlement.at_ms
            case Verdict.RETRY:
                job.state, job.due_ms = JobState.DELAYED, settlement.at_ms

    @rule(partition=st.integers(0, 2), mine=st.booleans(), data=st.data())
    def extend(self, partition: int, mine: bool, data: st.DataObject) -> None:
        partition %= self.partitions
        books = self.books[partition]
        pool = [job.claimed for job in books.jobs.values() if job.claimed is not None]
        if not mine:
            pool += [claimed for where, claimed in self.old if where == partition]
        if not pool:
            return
        chosen = data.draw(
            st.lists(st.sampled_from(pool), min_size=1, max_size=4, unique_by=lambda job: job.id)
        )
        now = self.server_now(partition)
        lost = self.run(self.queue.extend(partition, chosen))
        for claimed in chosen:
            holds = self.holds(books, claimed)
            saw("extend", "held" if holds else "lost")
            assert (claimed.id in lost) is not holds
            if holds:
                books.jobs[claimed.id].lease_ms = now + LEASE

    @rule(partition=st.integers(0, 2))
    def reap(self, partition: int) -> None:
        partition %= self.partitions
        books = self.books[partition]
        now = self.server_now(partition)
        back, failed = self.run(self.queue.reap(partition))
        if not books.open:
            assert (back, failed) == ([], [])
            saw("reap", "closed")
            return
        expired = sorted(
            (job.lease_ms, job.id.encode(), job)
            for job in books.jobs.values()
            if job.state is JobState.ACTIVE and job.lease_ms <= now
        )
        again = [job for _, _, job in expired if job.stalls < SPEC.max_stalls]
        saw("reap", "expired" if expired else "none")
        assert back == [job.id for job in again]
        for job in again:
            if job.claimed is not None:
                self.old = [*self.old[-20:], (partition, job.claimed)]
            books.release_slots(job)
            job.attempt, job.stalls = max(0, job.attempt - 1), job.stalls + 1
            job.newer_since = 0
        for job in reversed(again):
            books.waits(job, head=True)
        self.age_out(books, now)
        gone = [job for _, _, job in expired if job.stalls >= SPEC.max_stalls and job not in again]
        assert sorted(seen.id for seen in failed) == sorted(job.id for job in gone)
        for job in gone:
            books.release_slots(job)
            self.doomed(books, job.id, "stalled", now)

    def age_out(self, books: Books, now: int) -> None:
        before = now - int(SPEC.keep_for.total_seconds() * 1000)
        for kept in (books.completed, books.failed):
            for job_id in [each for each in kept if books.jobs[each].ended_ms < before]:
                saw("reap", "aged out")
                kept.remove(job_id)
                books.forget(job_id)

    # --- what takes several steps, and would seldom come about by chance

    @rule(draft=drafts)
    def hurry(self, draft: Draft) -> None:
        """An operator does not wait for a delayed job's time."""
        self.enqueue([replace(draft, delay=40_000)])
        partition, _ = self.at(draft.lane)
        self.promoted(partition, [draft.id])

    @rule(draft=drafts, other=st.booleans(), data=st.data())
    def come_again(self, draft: Draft, other: bool, data: st.DataObject) -> None:
        """A producer sends what it sent before, or something else under the same id, when the job is gone."""
        _, books = self.at(draft.lane)
        gone = sorted(books.remembered.keys() - {job_id for each in self.books for job_id in each.jobs})
        if gone:
            job_id = data.draw(st.sampled_from(gone))
            payload, _ = books.remembered[job_id]
            self.enqueue([replace(draft, id=job_id, payload=b"[]" if other else payload)])

    @rule(partition=st.integers(0, 2), slots=st.integers(1, 3), verdict=st.sampled_from(VERDICTS))
    def outlive_an_opening(self, partition: int, slots: int, verdict: Verdict) -> None:
        """A worker settles what it claimed before its partition was opened anew."""
        partition %= self.partitions
        self.claim(partition, slots)
        held = [job.claimed for job in self.books[partition].jobs.values() if job.claimed is not None][:2]
        self.open_anew(partition)
        self.end(partition, held, [verdict] * 2, None, 0, close=False)

    @rule(partition=st.integers(0, 2), slots=st.integers(1, 4))
    def stall(self, partition: int, slots: int) -> None:
        """A worker dies with its jobs."""
        self.claim(partition, slots)
        self.now += LEASE + 1_000
        self.reap(partition)

    @rule(partition=st.integers(0, 2), slots=st.integers(1, 3))
    def fail_and_retry(self, partition: int, slots: int) -> None:
        """An operator sees jobs fail, and lets them run again."""
        self.work(partition, slots, Verdict.FAILED, 0, None)
        partition %= self.partitions
        self.retried(partition, self.books[partition].failed[:2], True)

    @rule(partition=st.integers(0, 2), slots=st.integers(1, 3))
    def pause_at_work(self, partition: int, slots: int) -> None:
        """What runs when a queue is paused ends, and is followed by nothing."""
        partition %= self.partitions
        books = self.books[partition]
        self.claim(partition, slots)
        self.run(self.queue.pause(partition))
        books.paused = True
        saw("pause", "queue")
        held = [job.claimed for job in books.jobs.values() if job.claimed is not None][:2]
        self.end(partition, held, [Verdict.COMPLETED] * 2, None, slots, close=False)
        self.run(self.queue.resume(partition))
        books.paused = False
        saw("resume", "queue")

    @rule(draft=drafts, rarely=rarely)
    def wait_a_day_for_a_newer_worker(self, draft: Draft, rarely: bool) -> None:
        if rarely:
            self.enqueue([replace(draft, version=2, delay=0)])
            partition, _ = self.at(draft.lane)
            self.claim(partition, 6)
            self.now += DAY_MS
            self.claim(partition, 6)

    # --- operators

    def some(self, data: st.DataObject, likely: list[str]) -> list[str]:
        """A few ids: often those that the transition is for, now and then any."""
        pool = likely if likely and data.draw(st.sampled_from([True, True, True, False])) else IDS
        return data.draw(st.lists(st.sampled_from(pool), min_size=1, max_size=3, unique=True))

    @rule(partition=st.integers(0, 2), data=st.data())
    def promote(self, partition: int, data: st.DataObject) -> None:
        partition %= self.partitions
        self.promoted(partition, self.some(data, self.books[partition].ids(JobState.DELAYED)))

    def promoted(self, partition: int, chosen: list[str]) -> None:
        books = self.books[partition]
        self.server_now(partition)
        delayed = [
            each for each in chosen if each in books.jobs and books.jobs[each].state is JobState.DELAYED
        ]
        saw("promote", "delayed" if delayed else "none")
        assert self.run(self.queue.promote(partition, chosen)) == delayed
        for job_id in delayed:
            books.waits(books.jobs[job_id])

    @rule(partition=st.integers(0, 2), by_age=st.booleans(), data=st.data())
    def retry(self, partition: int, by_age: bool, data: st.DataObject) -> None:
        partition %= self.partitions
        books = self.books[partition]
        self.retried(partition, books.failed[:2] if by_age else self.some(data, books.failed), by_age)

    def retried(self, partition: int, chosen: list[str], by_age: bool) -> None:
        books = self.books[partition]
        self.server_now(partition)
        failed = [each for each in chosen if each in books.failed]
        if by_age:
            assert self.run(self.queue.retry_oldest(partition, 2)) == failed
        else:
            assert self.run(self.queue.retry(partition, chosen)) == failed
        saw("retry", "failed" if failed else "none")
        for job_id in failed:
            books.failed.remove(job_id)
            job = books.jobs[job_id]
            job.attempt = job.stalls = job.newer_since = 0
            job.reason = ""
            books.waits(job)

    @rule(partition=st.integers(0, 2), data=st.data())
    def remove(self, partition: int, data: st.DataObject) -> None:
        partition %= self.partitions
        books = self.books[partition]
        chosen = self.some(data, list(books.jobs))[:2]
        words = self.run(self.queue.remove(partition, chosen))
        for job_id, word in zip(chosen, words, strict=True):
            saw("remove", word)
            job = books.jobs.get(job_id)
            if job is None:
                assert word is Removed.ABSENT
            elif job.state is JobState.ACTIVE:
                assert word is Removed.ACTIVE
            else:
                assert word is Removed.REMOVED
                self.removed(books, job)

    def removed(self, books: Books, job: Job) -> None:
        if job.state is JobState.WAITING:
            books.leaves_line(job)
            books.loose.add(job.id)  # its entry stays in the list: an id used again may get its old place
        for kept in (books.completed, books.failed):
            if job.id in kept:
                kept.remove(job.id)
        books.forget(job.id)

    @rule(config=configs, closed=st.sampled_from([0, 0, 0, 12_000]), often=st.booleans())
    def configure(self, config: SubjectConfig, closed: int, often: bool) -> None:
        if not often:
            return
        if config.subject == "*/sms" and config.windows is None:
            config = replace(config, windows=())  # a default is lifted, never unsaid
        now = self.server_now(self.places(config.subject)[0])
        config = replace(config, closed_until_ms=now + closed if closed else 0)
        saw("configure", "closed" if closed else "paused" if config.paused else "open")
        self.put_in_force(config)

    @rule(config=configs, draft=drafts, slots=st.integers(1, 3))
    def change_limits_at_work(self, config: SubjectConfig, draft: Draft, slots: int) -> None:
        """What is in force changes between two claims of one moment."""
        self.enqueue([draft])
        partition, _ = self.at(draft.lane)
        self.claim(partition, slots)
        self.configure(replace(config, subject=subjects_of(draft.lane)[-1], paused=False), 0, True)
        self.claim(partition, slots)

    def put_in_force(self, config: SubjectConfig) -> None:
        for partition in self.places(config.subject):
            now = self.server_now(partition)
            self.run(self.queue.configure(partition, [config]))
            self.books[partition].configure(config, now)

    @rule(
        partition=st.integers(0, 2),
        tenant=st.sampled_from(["", *TENANTS, *TENANTS]),
        pause=st.sampled_from([True, False, False]),
    )
    def pause_or_resume(self, partition: int, tenant: str, pause: bool) -> None:
        partition = self.queue.partition_of(tenant) if tenant else partition % self.partitions
        books = self.books[partition]
        change = self.queue.pause if pause else self.queue.resume
        self.run(change(partition, tenant))
        saw("pause" if pause else "resume", "tenant" if tenant else "queue")
        if tenant:
            books.configs[tenant] = replace(books.config(tenant), paused=pause)
        else:
            books.paused = pause

    # --- openings

    @rule(partition=st.integers(0, 2), often=st.booleans())
    def flush(self, partition: int, often: bool) -> None:
        """Redis forgets a partition; Postgres does not forget what was attempted."""
        if not often:
            return
        partition %= self.partitions
        keys = self.run(self.redis.keys(self.queue._key(partition, "") + "*"))
        if keys:
            self.run(self.redis.delete(*keys))
        saw("flush", "done")
        old = self.books[partition]
        fresh = Books()
        fresh.epoch = old.epoch
        fresh.logs, fresh.configs = old.logs, old.configs
        for log in fresh.logs.values():
            log.forget()
        self.old += [(partition, job.claimed) for job in old.jobs.values() if job.claimed is not None]
        self.books[partition] = fresh

    @precondition(lambda self: not all(books.open for books in self.books))
    @rule(running=st.integers(0, 2), data=st.data())
    def open_closed(self, running: int, data: st.DataObject) -> None:
        closed = [n for n, books in enumerate(self.books) if not books.open]
        self.open_anew(data.draw(st.sampled_from(closed)), running)

    @rule(partition=st.integers(0, 2), rarely=rarely)
    def open_again(self, partition: int, rarely: bool) -> None:
        """An opening without a flush, as after a restart: jobs stay, tokens do not."""
        if rarely:
            self.open_anew(partition % self.partitions)

    @rule(partition=st.integers(0, 2), behind=st.integers(1, 2))
    def open_superseded(self, partition: int, behind: int) -> None:
        """The steps of an opening that a newer one has overtaken change nothing."""
        partition %= self.partitions
        books = self.books[partition]
        if books.epoch <= behind:
            return
        self.server_now(partition)
        epoch = books.epoch - behind
        core = self.core(partition)
        if core is None or core[0] <= epoch:
            return  # nothing remembers a newer opening here; dispatch takes its epoch from Postgres
        for step in (
            lambda: self.queue.begin_opening(partition, epoch),
            lambda: self.queue.seed_configs(partition, epoch, [SubjectConfig("a", paused=True)]),
            lambda: self.queue.seed_charges(partition, epoch, [Charge("a", self.now, 3)]),
            lambda: self.queue.open(partition, epoch),
        ):
            try:
                self.run(step())
            except OpeningSuperseded:
                saw("opening", "superseded")
            else:
                raise AssertionError("an overtaken opening wrote")

    def open_anew(self, partition: int, running: int = 0) -> None:
        books = self.books[partition]
        books.epoch += 1
        now = self.server_now(partition)
        self.run(self.queue.begin_opening(partition, books.epoch))
        books.paused = False
        for config in books.configs.values():
            books.configure(config, now)
        self.run(self.queue.seed_configs(partition, books.epoch, list(books.configs.values())))
        attempts = books.attempts()
        charges = [Charge(subject, at, cost) for at, subject, cost in attempts]
        self.run(self.queue.seed_charges(partition, books.epoch, charges))
        books.reseed(attempts, now)
        slots = [
            Slot(subject, f"sent:{n}", now + 8_000) for n in range(running) for subject in ("a/email", "c")
        ]
        self.run(self.queue.seed_slots(partition, books.epoch, slots))
        for slot in slots:
            books.outside[slot.subject][slot.id] = slot.ends_ms
        self.run(self.queue.open(partition, books.epoch))
        books.open = True
        saw("opening", "opened")
        for job in books.jobs.values():
            if job.claimed is not None:
                self.old = [*self.old[-20:], (partition, job.claimed)]

    # --- time

    @rule(ms=st.sampled_from([0, 1, 300, 2_000, 6_000, 11_000, 30_000, 130_000]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule(ms=st.sampled_from([5, 3_000]))
    def clock_steps_back(self, ms: int) -> None:
        self.now -= ms
        saw("clock", "back")

    @rule(rarely=rarely)
    def a_day_passes(self, rarely: bool) -> None:
        if rarely:
            self.now += DAY_MS

    # --- the whole state

    @invariant()
    def counts_a_step(self) -> None:
        COVERAGE[STEP] += 1

    @invariant()
    def every_id_is_in_exactly_one_state(self) -> None:
        for partition, books in enumerate(self.books):
            seen = self.run(self.queue.look_up(partition, IDS))
            assert {each.id: each.state for each in seen} == {
                job_id: books.jobs[job_id].state if job_id in books.jobs else None for job_id in IDS
            }
            for each in seen:
                if each.state is not None:
                    job = books.jobs[each.id]
                    assert (each.attempt, each.reason) == (job.attempt, job.reason), each.id

    @invariant()
    def counts_agree(self) -> None:
        for partition, books in enumerate(self.books):
            counts = self.run(self.queue.counts(partition))
            assert counts == type(counts)(**{state.value: len(books.ids(state)) for state in JobState}), (
                partition
            )

    @invariant()
    def lanes_shares_and_limits_agree(self) -> None:
        for partition in range(self.partitions):
            self.agrees(partition)

    @invariant()
    def leases_agree(self) -> None:
        for partition, books in enumerate(self.books):
            held = self.run(self.redis.zrange(self.queue._key(partition, "active"), 0, -1, withscores=True))
            assert {job_id.decode(): int(score) for job_id, score in held} == {
                job.id: job.lease_ms for job in books.jobs.values() if job.state is JobState.ACTIVE
            }
