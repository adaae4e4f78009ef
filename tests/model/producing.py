"""Rules: what producers do."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from shared.jobs import JobState
from shared.queue.types import Enqueued, NewJob
from tests.model.books import Books, Job
from tests.model.coverage import saw
from tests.model.drafts import TTL, Draft, drafts
from tests.model.ground import Ground


class Producing(Ground):
    """Jobs come."""

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
