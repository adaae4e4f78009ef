"""Rules: how claimed jobs end, are held on to, or are taken back."""

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import rule

from shared.jobs import JobState
from shared.queue.reporting import LogLine, Report
from shared.queue.types import ClaimedJob, Settled, Settlement, Verdict
from tests.model.books import Books, Job
from tests.model.claiming import Claiming
from tests.model.coverage import saw
from tests.model.drafts import LEASE, SPEC, TTL, VERDICTS


class Settling(Claiming):
    """Jobs end."""

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
            overruled = holds and self.overruled(books.jobs[settlement.job.id], settlement.verdict)
            kept = Settled.CANCELLED if overruled else Settled.OK
            assert word is (kept if holds else Settled.LEASE_LOST)
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

    def holds(self, books: Books, claimed: ClaimedJob) -> bool:
        job = books.jobs.get(claimed.id)
        return (
            job is not None
            and job.claimed is not None
            and job.claimed.token == claimed.token
            and job.epoch == books.epoch
        )

    def overruled(self, job: Job, verdict: Verdict) -> bool:
        """Whether a job ends for good although its worker said otherwise."""
        return job.cancelled and verdict in (
            Verdict.FAILED,
            Verdict.RETRY,
            Verdict.RELEASED,
            Verdict.DEFERRED,
        )

    def settled(self, books: Books, settlement: Settlement, now: int, released: list[Job]) -> None:
        job, verdict = books.jobs[settlement.job.id], settlement.verdict
        self.old = [*self.old[-20:], (self.queue.partition_of(job.tenant), settlement.job)]
        gives_back = verdict not in (Verdict.COMPLETED, Verdict.FAILED, Verdict.RETRY)
        if settlement.refund if settlement.refund is not None else gives_back:
            books.refund(job, settlement.job, now)
        books.release_slots(job)
        if settlement.close is not None:
            subject, until = settlement.close
            config = books.config(subject)
            books.configs[subject] = replace(config, closed_until_ms=max(config.closed_until_ms, until))
        job.claimed, job.newer_since = None, 0
        if self.overruled(job, verdict):
            books.finish(job, JobState.COMPLETED, now, "cancelled", TTL)
            return
        match verdict:
            case Verdict.COMPLETED | Verdict.HELD | Verdict.SKIPPED | Verdict.CANCELLED:
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
        chosen = st.lists(st.sampled_from(pool), min_size=1, max_size=4, unique_by=lambda job: job.id)
        self.extended(partition, data.draw(chosen))

    def extended(self, partition: int, chosen: list[ClaimedJob]) -> None:
        books = self.books[partition]
        now = self.server_now(partition)
        lost, cancelled = self.run(self.queue.extend(partition, chosen))
        for claimed in chosen:
            holds = self.holds(books, claimed)
            marked = holds and books.jobs[claimed.id].cancelled
            saw("extend", "cancelled" if marked else "held" if holds else "lost")
            assert (claimed.id in cancelled) is marked
            assert (claimed.id in lost) is not holds
            if holds:
                books.jobs[claimed.id].lease_ms = now + LEASE

    @rule(
        partition=st.integers(0, 2),
        mine=st.booleans(),
        progress=st.sampled_from([b"", b"0.5", b'{"done":1}']),
        lines=st.sampled_from([0, 1, 30]),
        data=st.data(),
    )
    def report(self, partition: int, mine: bool, progress: bytes, lines: int, data: st.DataObject) -> None:
        partition %= self.partitions
        books = self.books[partition]
        pool = [job.claimed for job in books.jobs.values() if job.claimed is not None]
        if not mine:
            pool += [claimed for where, claimed in self.old if where == partition]
        if not pool:
            return
        chosen = st.lists(st.sampled_from(pool), min_size=1, max_size=3, unique_by=lambda job: job.id)
        self.reported(partition, data.draw(chosen), progress, lines)

    def reported(self, partition: int, chosen: list[ClaimedJob], progress: bytes, lines: int) -> None:
        books = self.books[partition]
        said = [LogLine(self.now + n, f"line {n}") for n in range(lines)]
        reports = [Report(claimed, progress, said) for claimed in chosen]
        lost = self.run(self.queue.report(partition, reports))
        for report in reports:
            holds = self.holds(books, report.job)
            saw("report", "kept" if holds else "lost")
            assert (report.job.id in lost) is not holds
            if holds:
                books.jobs[report.job.id].tell(report)

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
        again = [job for _, _, job in expired if job.stalls < SPEC.max_stalls and not job.cancelled]
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
        gone = [job for _, _, job in expired if job not in again]
        assert sorted((seen.id, seen.reason) for seen in failed) == sorted(
            (job.id, "cancelled" if job.cancelled else "stalled") for job in gone
        )
        for job in gone:
            books.release_slots(job)
            self.doomed(books, job.id, "cancelled" if job.cancelled else "stalled", now)

    def age_out(self, books: Books, now: int) -> None:
        before = now - int(SPEC.keep_for.total_seconds() * 1000)
        for kept in (books.completed, books.failed):
            for job_id in [each for each in kept if books.jobs[each].ended_ms < before]:
                saw("reap", "aged out")
                kept.remove(job_id)
                books.forget(job_id)
