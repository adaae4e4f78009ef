"""Rules: what takes several steps, and would seldom come about by chance."""

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import rule

from shared.jobs import JobState
from shared.queue.types import SubjectConfig, Verdict
from tests.model.books import DAY_MS, subjects_of
from tests.model.coverage import saw
from tests.model.drafts import LEASE, Draft, configs, drafts, rarely, verdicts
from tests.model.opening import Opening
from tests.model.operating import Operating
from tests.model.producing import Producing
from tests.model.settling import Settling


class Stories(Producing, Settling, Operating, Opening):
    """One thing after another."""

    @rule(slots=st.integers(1, 6), drafts=st.lists(drafts, min_size=3, max_size=6, unique_by=lambda d: d.id))
    def busy(self, slots: int, drafts: list[Draft]) -> None:
        """Jobs come and are claimed at once, on every partition."""
        self.enqueue(drafts)
        for partition in range(self.partitions):
            self.claim(partition, slots)

    @rule(draft=drafts)
    def hurry(self, draft: Draft) -> None:
        """An operator does not wait for a delayed job's time."""
        self.enqueue([replace(draft, delay=40_000)])
        partition, _ = self.at(draft.lane)
        self.promoted(partition, [draft.id])

    @rule(draft=drafts, priority=st.integers(0, 3), slots=st.integers(1, 3))
    def change_ones_mind(self, draft: Draft, priority: int, slots: int) -> None:
        """A job goes back to a list that still has an old entry of it, and is claimed by that one."""
        self.enqueue([replace(draft, delay=0)])
        partition, books = self.at(draft.lane)
        if draft.id in books.jobs:
            first = books.jobs[draft.id].priority
            self.reprioritised(partition, [draft.id], priority)
            self.rescheduled(partition, [draft.id], 0)
            self.reprioritised(partition, [draft.id], first)
            self.claim(partition, slots)

    @rule(draft=drafts, other=st.booleans(), data=st.data())
    def come_again(self, draft: Draft, other: bool, data: st.DataObject) -> None:
        """A producer sends what it sent before, or something else under the same id, when the job is gone."""
        _, books = self.at(draft.lane)
        gone = sorted(books.remembered.keys() - {job_id for each in self.books for job_id in each.jobs})
        if gone:
            job_id = data.draw(st.sampled_from(gone))
            payload, _ = books.remembered[job_id]
            self.enqueue([replace(draft, id=job_id, payload=b"[]" if other else payload)])

    @rule(partition=st.integers(0, 2), slots=st.integers(1, 3), verdict=verdicts)
    def outlive_an_opening(self, partition: int, slots: int, verdict: Verdict) -> None:
        """A worker settles what it claimed before its partition was opened anew."""
        partition %= self.partitions
        self.claim(partition, slots)
        held = [job.claimed for job in self.books[partition].jobs.values() if job.claimed is not None][:2]
        self.open_anew(partition)
        self.end(partition, held, [verdict] * 2, None, 0, close=False)

    @rule(draft=drafts, slots=st.integers(1, 3))
    def process_by_hand(self, draft: Draft, slots: int) -> None:
        """A queue is paused, and somebody claims jobs of it all the same."""
        self.enqueue([replace(draft, delay=0)])
        partition, books = self.at(draft.lane)
        resumes, books.paused = not books.paused, True
        self.run(self.queue.pause(partition))
        self.claim(partition, slots, through_pause=True)
        if resumes:
            self.run(self.queue.resume(partition))
            books.paused = False

    @rule(partition=st.integers(0, 2), slots=st.integers(1, 4))
    def stall(self, partition: int, slots: int) -> None:
        """A worker dies with its jobs."""
        self.claim(partition, slots)
        self.now += LEASE + 1_000
        self.reap(partition)

    @rule(partition=st.integers(0, 2), slots=st.integers(1, 3), verdict=verdicts, dies=rarely)
    def cancel_at_work(self, partition: int, slots: int, verdict: Verdict, dies: bool) -> None:
        """What is cancelled while it runs ends for good, whatever its worker says, or if it dies."""
        partition %= self.partitions
        books = self.books[partition]
        self.claim(partition, slots)
        held = [job.claimed for job in books.jobs.values() if job.claimed is not None][:2]
        self.cancelled(partition, [claimed.id for claimed in held])
        self.extended(partition, held)
        if dies:
            self.now += LEASE + 1_000
            self.reap(partition)
        else:
            self.end(partition, held, [verdict] * 2, None, 0, close=False)

    @rule(partition=st.integers(0, 2), slots=st.integers(1, 3), verdict=verdicts)
    def report_at_work(self, partition: int, slots: int, verdict: Verdict) -> None:
        """A handler says how far it is, and then what happened, at length."""
        partition %= self.partitions
        self.claim(partition, slots)
        books = self.books[partition]
        held = [job.claimed for job in books.jobs.values() if job.claimed is not None][:2]
        self.reported(partition, held, b"0.5", 1)
        self.reported(partition, held, b"", 30)
        self.end(partition, held, [verdict] * 2, None, 0, close=False)

    @rule(partition=st.integers(0, 2), slots=st.integers(1, 3))
    def fail_and_retry(self, partition: int, slots: int) -> None:
        """An operator sees jobs fail, and lets them run again."""
        self.work(partition, slots, Verdict.FAILED, 0, None)
        partition %= self.partitions
        self.retried(partition, self.books[partition].failed[:2], True)

    @rule(partition=st.integers(0, 2), slots=st.integers(1, 3))
    def put_off_a_retry(self, partition: int, slots: int) -> None:
        """An operator lets what failed once run at once, and then rather later."""
        self.work(partition, slots, Verdict.RETRY, 0, None)
        partition %= self.partitions
        books = self.books[partition]
        tried = [job_id for job_id in books.ids(JobState.DELAYED) if books.jobs[job_id].attempt][:2]
        self.promoted(partition, tried)
        self.rescheduled(partition, tried, 3_000)

    @rule(partition=st.integers(0, 2), failed=st.booleans(), limit=st.integers(1, 3))
    def finish_and_clean(self, partition: int, failed: bool, limit: int) -> None:
        """An operator clears away what ended just now."""
        self.work(partition, 4, Verdict.FAILED if failed else Verdict.COMPLETED, 0, None)
        self.clean(partition, JobState.FAILED if failed else JobState.COMPLETED, 0, limit)

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

    @rule(partition=st.integers(0, 2), more=st.integers(1, 4), slots=st.integers(1, 4), rarely=rarely)
    def stop_obliterating(self, partition: int, more: int, slots: int, rarely: bool) -> None:
        """An operator obliterates a queue, and thinks better of it when some of what waits is gone."""
        if rarely:
            partition %= self.partitions
            books = self.books[partition]
            self.claim(partition, slots)
            first = len(books.jobs) - len(books.ids(JobState.WAITING))
            self.obliterate(partition, True, 1, first + more, True)
            self.claim(partition, slots)

    @rule(draft=drafts, rarely=rarely)
    def wait_a_day_for_a_newer_worker(self, draft: Draft, rarely: bool) -> None:
        if rarely:
            self.enqueue([replace(draft, version=2, delay=0)])
            partition, _ = self.at(draft.lane)
            self.claim(partition, 6)
            self.now += DAY_MS
            self.claim(partition, 6)

    @rule(config=configs, draft=drafts, slots=st.integers(1, 3))
    def change_limits_at_work(self, config: SubjectConfig, draft: Draft, slots: int) -> None:
        """What is in force changes between two claims of one moment."""
        self.enqueue([draft])
        partition, _ = self.at(draft.lane)
        self.claim(partition, slots)
        self.configure(replace(config, subject=subjects_of(draft.lane)[-1], paused=False), 0, True)
        self.claim(partition, slots)
