"""Rules: what operators do to jobs, and to what is in force."""

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import rule

from shared.jobs import JobState
from shared.queue.operating import Cancelled, Changed, Removed
from shared.queue.types import SubjectConfig
from tests.model.books import TENANTS, Books, Job
from tests.model.clearing import Clearing
from tests.model.coverage import saw
from tests.model.drafts import IDS, configs


class Operating(Clearing):
    """Operators at work."""

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

    @rule(partition=st.integers(0, 2), priority=st.integers(0, 3), data=st.data())
    def reprioritise(self, partition: int, priority: int, data: st.DataObject) -> None:
        partition %= self.partitions
        self.reprioritised(partition, self.some(data, list(self.books[partition].jobs)), priority)

    def reprioritised(self, partition: int, chosen: list[str], priority: int) -> None:
        books = self.books[partition]
        self.server_now(partition)
        words = self.run(self.queue.reprioritise(partition, chosen, priority))
        for job_id, word in zip(chosen, words, strict=True):
            saw("reprioritise", word)
            job = self.changeable(books, job_id, word)
            if job is not None and job.priority == priority:
                assert word is Changed.UNCHANGED
            elif job is not None:
                assert word is Changed.CHANGED
                job.priority = priority
                if job.state is JobState.WAITING:
                    books.waits(job)

    @rule(partition=st.integers(0, 2), ms=st.sampled_from([-1_000, 0, 3_000, 40_000]), data=st.data())
    def reschedule(self, partition: int, ms: int, data: st.DataObject) -> None:
        partition %= self.partitions
        self.rescheduled(partition, self.some(data, list(self.books[partition].jobs)), ms)

    def rescheduled(self, partition: int, chosen: list[str], ms: int) -> None:
        books = self.books[partition]
        at = self.server_now(partition) + ms
        words = self.run(self.queue.reschedule(partition, chosen, at))
        for job_id, word in zip(chosen, words, strict=True):
            job = self.changeable(books, job_id, word)
            saw("reschedule", f"{job.state} {word}" if job is not None else word)
            if job is not None:
                assert word is Changed.CHANGED
                job.state, job.due_ms = JobState.DELAYED, at

    def changeable(self, books: Books, job_id: str, word: Changed) -> Job | None:
        """The job, if it waits or is delayed; else the word must say why nothing was done to it."""
        job = books.jobs.get(job_id)
        if job is None:
            assert word is Changed.ABSENT
        elif job.state is JobState.ACTIVE:
            assert word is Changed.ACTIVE
        elif job.state in (JobState.COMPLETED, JobState.FAILED):
            assert word is Changed.FINISHED
        else:
            return job
        return None

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

    @rule(partition=st.integers(0, 2), running=st.booleans(), data=st.data())
    def cancel(self, partition: int, running: bool, data: st.DataObject) -> None:
        partition %= self.partitions
        books = self.books[partition]
        active = books.ids(JobState.ACTIVE)
        self.cancelled(partition, self.some(data, active if running else list(books.jobs))[:2])

    def cancelled(self, partition: int, chosen: list[str]) -> None:
        books = self.books[partition]
        for job_id, word in zip(chosen, self.run(self.queue.cancel(partition, chosen)), strict=True):
            saw("cancel", word)
            job = books.jobs.get(job_id)
            if job is None:
                assert word is Cancelled.ABSENT
            elif job.state in (JobState.COMPLETED, JobState.FAILED):
                assert word is Cancelled.FINISHED
            elif job.state is JobState.ACTIVE:
                assert word is Cancelled.CANCELLING
                job.cancelled = True
            else:
                assert word is Cancelled.REMOVED
                self.removed(books, job)

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
