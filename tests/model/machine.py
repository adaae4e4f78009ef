"""The engine against the dict model: random transitions on a real server, compared after every step."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from shared.jobs import JobState
from shared.queue import reporting
from shared.queue.types import Verdict
from tests.model.books import DAY_MS
from tests.model.coverage import COVERAGE, STEP, saw
from tests.model.drafts import IDS, LIMITS, PREFILL, rarely
from tests.model.stories import Stories


class EngineMachine(Stories):
    """Every rule, and what is compared after each step."""

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
                    assert each.cancelling is (job.cancelled and job.state is JobState.ACTIVE), each.id

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
    def what_was_told_of_jobs_is_kept_as_long_as_they_are(self) -> None:
        for partition, books in enumerate(self.books):
            kept: Any = self.run(self.redis.hgetall(self.queue._key(partition, "reports")))  # type: ignore[arg-type]  # redis-py's union
            found = {job_id.decode(): reporting._unpacked(raw) for job_id, raw in kept.items()}
            told = {job.id: job.told for job in books.jobs.values() if job.id in found or any(job.told)}
            assert found == told

    @invariant()
    def leases_agree(self) -> None:
        for partition, books in enumerate(self.books):
            held = self.run(self.redis.zrange(self.queue._key(partition, "active"), 0, -1, withscores=True))
            assert {job_id.decode(): int(score) for job_id, score in held} == {
                job.id: job.lease_ms for job in books.jobs.values() if job.state is JobState.ACTIVE
            }
