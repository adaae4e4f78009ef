"""Rules: many jobs are taken out at once."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import rule

from shared.jobs import JobState
from shared.queue.clearing import Obliterated
from tests.model.books import TENANTS, Books, Job
from tests.model.coverage import saw
from tests.model.ground import Ground

_STAYS = ("meta", "config", "windows:", "ids:", "refused", "costly:", "slots:", "wake", "events")


class Clearing(Ground):
    """Operators clear up."""

    def removed(self, books: Books, job: Job) -> None:
        """What a removal leaves: entries in lists, which are stale now."""
        for kept in (books.completed, books.failed):
            if job.id in kept:
                kept.remove(job.id)
        books.forget(job.id)

    @rule(
        partition=st.integers(0, 2),
        state=st.sampled_from([JobState.COMPLETED, JobState.FAILED]),
        seconds=st.sampled_from([0, 2, 30]),
        limit=st.integers(1, 3),
    )
    def clean(self, partition: int, state: JobState, seconds: int, limit: int) -> None:
        partition %= self.partitions
        books = self.books[partition]
        now = self.server_now(partition)
        kept = books.completed if state is JobState.COMPLETED else books.failed
        old = [each for each in kept if books.jobs[each].ended_ms <= now - seconds * 1000][:limit]
        gone = self.run(self.queue.clean(partition, state, timedelta(seconds=seconds), limit))
        assert gone == old
        saw("clean", f"{state} gone" if gone else f"{state} none")
        for job_id in gone:
            self.removed(books, books.jobs[job_id])

    @rule(
        partition=st.integers(0, 2),
        tenant=st.sampled_from([*TENANTS, *TENANTS, ""]),
        delayed=st.booleans(),
        look=st.sampled_from([True, True, False]),
        often=st.booleans(),
    )
    def drain(self, partition: int, tenant: str, delayed: bool, look: bool, often: bool) -> None:
        if not often:
            return
        partition = self.queue.partition_of(tenant) if tenant else partition % self.partitions
        books = self.books[partition]
        states = {JobState.WAITING, JobState.DELAYED} if delayed else {JobState.WAITING}
        wanted = {job.id for job in books.jobs.values() if job.state in states and tenant in ("", job.tenant)}
        cursor, gone = "0", set[str]()
        while True:
            cursor, some = self.run(
                self.queue.drain(partition, cursor, tenant=tenant, delayed=delayed, look=look, limit=5)
            )
            assert look or gone.isdisjoint(some)
            gone.update(some)
            if cursor == "0":
                break
        assert gone == wanted
        saw("drain", ("looked" if look else "gone") if gone else "none")
        for job_id in () if look else gone:
            self.removed(books, books.jobs[job_id])

    @rule(
        partition=st.integers(0, 2),
        force=st.booleans(),
        calls=st.integers(1, 9),
        limit=st.sampled_from([2, 9]),
        pause=st.sampled_from([True, False, False, False]),
    )
    def obliterate(self, partition: int, force: bool, calls: int, limit: int, pause: bool) -> None:
        """A few calls of it, which need not come to an end, on a queue that is paused for it or is not."""
        partition %= self.partitions
        books = self.books[partition]
        if pause:
            self.run(self.queue.pause(partition))
            books.paused = True
        for _ in range(calls):
            word, gone = self.run(self.queue.obliterate(partition, force=force, limit=limit))
            saw("obliterate", word)
            active = books.ids(JobState.ACTIVE)
            assert (word is Obliterated.SERVING) is not books.paused
            assert (word is Obliterated.ACTIVE) is (books.paused and bool(active) and not force)
            if word in (Obliterated.SERVING, Obliterated.ACTIVE):
                assert gone == []
                return
            self.obliterated(partition, books, gone)
            if word is Obliterated.DONE:
                assert books.jobs == {}
                self.nothing_is_left(partition)
                break
        if pause:
            self.run(self.queue.resume(partition))
            books.paused = False
        self.agrees(partition)  # who is out of line now loses the place that the books still know

    def obliterated(self, partition: int, books: Books, gone: list[str]) -> None:
        assert len(gone) == len(set(gone))
        for job_id in gone:
            job = books.jobs[job_id]
            if job.claimed is not None:
                self.old = [*self.old[-20:], (partition, job.claimed)]
            books.release_slots(job)
            self.removed(books, job)

    def nothing_is_left(self, partition: int) -> None:
        tag = self.queue._key(partition, "")
        left = [key.decode().removeprefix(tag) for key in self.run(self.redis.keys(tag + "*"))]
        assert [name for name in left if not name.startswith(_STAYS)] == []
