"""Rules: what a claim hands out."""

from itertools import pairwise

from hypothesis import strategies as st
from hypothesis.stateful import rule

from shared.jobs import JobState
from shared.queue.types import Claimed, ClaimedJob, ClaimStatus
from tests.model.books import DAY_MS, NEWEST_VERSION, Books, Job, subjects_of
from tests.model.coverage import saw
from tests.model.drafts import LEASE, SPEC, TTL
from tests.model.ground import Ground


class Claiming(Ground):
    """Jobs go to workers."""

    @rule(partition=st.integers(0, 2), slots=st.integers(1, 6), through_pause=st.booleans())
    def claim(self, partition: int, slots: int, through_pause: bool = False) -> None:
        partition %= self.partitions
        self.server_now(partition)
        claimed = self.run(self.queue.claim(partition, slots, through_pause=through_pause))
        if self.books[partition].paused and claimed.jobs:
            assert through_pause
            saw("claim", "through a pause")
        self.follow(partition, slots, claimed, "claim", through_pause)

    def follow(
        self, partition: int, slots: int, claimed: Claimed, transition: str, through_pause: bool = False
    ) -> None:
        books = self.books[partition]
        found = "jobs" if claimed.jobs else "none"
        saw(transition, found if claimed.status is ClaimStatus.OK else claimed.status)
        if not books.open:
            assert claimed.status is ClaimStatus.CLOSED
            return
        if books.paused and not through_pause:
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
                if books.may_start(books.jobs[books.line(lane)[0]], now)
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
            assert mine == set(line[: len(mine)]), f"{lane} out of order: {mine} of {line}"
        for one, other in pairwise(claimed.jobs):
            if one.lane == other.lane:
                line = books.line(one.lane)
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
        job.state, job.claimed, job.lease_ms, job.epoch = JobState.ACTIVE, got, now + LEASE, books.epoch
        books.charge(job, got, now)
        return job

    def doomed(self, books: Books, job_id: str, reason: str, now: int) -> None:
        job = books.jobs[job_id]
        saw("reap" if reason in ("stalled", "cancelled") else "claim", f"doomed {reason}")
        match reason:
            case "expired":
                assert job.expires_ms is not None and job.expires_ms <= now
            case "version":
                assert job.version > NEWEST_VERSION and now - job.newer_since >= DAY_MS
            case "cost":
                assert any(job.cost > log.limit for log in books.logs_of(*subjects_of(job.lane)))
            case "stalled":
                assert job.stalls >= SPEC.max_stalls and not job.cancelled
            case "cancelled":
                assert job.cancelled
            case other:
                raise AssertionError(f"failed for no known reason: {other}")
        books.finish(job, JobState.COMPLETED if reason == "cancelled" else JobState.FAILED, now, reason, TTL)
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
                job.newer_since = job.newer_since or now
                waited = now - job.newer_since
                job.state, job.due_ms = JobState.DELAYED, now + min(300_000, waited + 30_000)
