"""What the model test draws from: jobs, configurations, and the queue's own settings."""

from dataclasses import dataclass
from datetime import timedelta

from hypothesis import strategies as st

from shared.jobs import QueueSpec
from shared.queue.types import NewJob, SubjectConfig, Verdict, Window
from tests.model.books import LANES, SUBJECTS

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
verdicts = st.sampled_from(VERDICTS)

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
