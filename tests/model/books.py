"""The dict model: what the engine should hold, as plain Python, and what must be true of its answers."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from shared.jobs import JobState
from shared.queue.types import ClaimedJob, SubjectConfig

NEWEST_VERSION = 1
DAY_MS = 86_400_000


@dataclass
class Job:
    """A job that the engine should know."""

    id: str
    lane: str
    priority: int
    payload: bytes
    cost: int
    version: int
    expires_ms: int | None
    state: JobState
    due_ms: int = 0
    attempt: int = 0
    stalls: int = 0
    claimed: ClaimedJob | None = None
    epoch: int = 0
    lease_ms: int = 0
    ended_ms: int = 0
    reason: str = ""
    newer_since: int = 0

    @property
    def tenant(self) -> str:
        return self.lane.partition("/")[0]


@dataclass
class Charged:
    """A charge in one window; `kept` is what was not given back."""

    at: int
    kept: int


@dataclass
class Log:
    """One window of one subject: every charge, and what the oldest-first rule of refunds leaves."""

    limit: int
    charges: list[Charged] = field(default_factory=list)
    counted: list[Charged] = field(default_factory=list)
    highest: list[tuple[int, int]] = field(default_factory=list)

    def give_back(self, at: int, cost: int) -> None:
        charge = next(each for each in self.charges if each.at == at and each.kept >= cost)
        charge.kept -= cost
        left = cost
        for each in self.counted:
            back = min(left, each.kept)
            each.kept, left = each.kept - back, left - back


def subjects_of(lane: str) -> list[str]:
    parts = lane.split("/")
    return [parts[0], "/".join(parts[:2]), lane] if len(parts) == 3 else [lane]


class Books:
    """The model of one partition."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.lines: dict[tuple[str, int], list[str]] = defaultdict(list)
        self.completed: list[str] = []
        self.failed: list[str] = []
        self.remembered: dict[str, tuple[bytes, int]] = {}
        self.configs: dict[str, SubjectConfig] = {}
        self.logs: dict[tuple[str, int], Log] = {}
        self.holding: dict[str, set[str]] = defaultdict(set)
        self.loose: set[str] = set()
        self.paused = False
        self.epoch = 0
        self.opening = False
        self.open = False
        self.last = 0

    # --- where jobs are

    def ids(self, state: JobState) -> list[str]:
        return [job.id for job in self.jobs.values() if job.state is state]

    def line(self, lane: str) -> list[str]:
        return [job_id for priority in range(4) for job_id in self.lines[lane, priority]]

    def waits(self, job: Job, *, head: bool = False) -> None:
        job.state, job.claimed = JobState.WAITING, None
        line = self.lines[job.lane, job.priority]
        line.insert(0, job.id) if head else line.append(job.id)

    def leaves_line(self, job: Job) -> None:
        self.lines[job.lane, job.priority].remove(job.id)

    def forget(self, job_id: str) -> None:
        del self.jobs[job_id]

    def finish(self, job: Job, state: JobState, now: int, reason: str, ttl: int) -> None:
        job.state, job.ended_ms, job.reason, job.claimed = state, now, reason, None
        kept = self.completed if state is JobState.COMPLETED else self.failed
        kept.append(job.id)
        self.remembered[job.id] = (job.payload, now // ttl)
        if state is JobState.FAILED:
            # The engine drops the longest failed; of one ms, by id.
            kept.sort(key=lambda each: (self.jobs[each].ended_ms, each.encode()))

    def trim(self, keep_completed: int, keep_failed: int) -> None:
        for kept, keep in ((self.completed, keep_completed), (self.failed, keep_failed)):
            while len(kept) > keep:
                self.forget(kept.pop(0))

    def recalled(self, job_id: str, now: int, ttl: int) -> bytes | None:
        if job_id in self.jobs:
            return self.jobs[job_id].payload
        known = self.remembered.get(job_id)
        return known[0] if known is not None and now // ttl - known[1] <= 1 else None

    def promote(self, now: int, most: int) -> None:
        due = sorted(
            (job.due_ms, job.id.encode(), job.id)
            for job in self.jobs.values()
            if job.state is JobState.DELAYED and job.due_ms <= now
        )
        for _, _, job_id in due[:most]:
            self.waits(self.jobs[job_id])

    # --- limits

    def config(self, subject: str) -> SubjectConfig:
        return self.configs.get(subject, SubjectConfig(subject))

    def configure(self, config: SubjectConfig, now: int) -> None:
        self.configs[config.subject] = config
        wanted = {int(w.length.total_seconds() * 1000): w.limit for w in config.windows or ()}
        for subject, length in [key for key in self.logs if key[0] == config.subject]:
            if length not in wanted:
                del self.logs[subject, length]
        for length, limit in wanted.items():
            log = self.logs.setdefault((config.subject, length), Log(limit))
            log.limit = limit
            log.highest.append((now, limit))

    def logs_of(self, lane: str) -> Iterator[tuple[str, int, Log]]:
        for subject in subjects_of(lane):
            for (name, length), log in self.logs.items():
                if name == subject:
                    yield name, length, log

    def charge(self, job: Job, now: int) -> None:
        for _, _, log in self.logs_of(job.lane):
            log.charges.append(Charged(now, job.cost))
            log.counted.append(Charged(now, job.cost))
        for subject in subjects_of(job.lane):
            if self.config(subject).cap is not None:
                self.holding[subject].add(job.id)

    def release_slots(self, job: Job) -> None:
        for subject in subjects_of(job.lane):
            self.holding[subject].discard(job.id)

    def refund(self, job: Job, claimed_ms: int, now: int) -> None:
        for _, length, log in self.logs_of(job.lane):
            if length > now - claimed_ms and any(
                each.at == claimed_ms and each.kept >= job.cost for each in log.charges
            ):
                log.give_back(claimed_ms, job.cost)

    def attempts(self) -> list[tuple[int, str, int]]:
        """What Postgres would seed: time, subject and cost of what was not given back, each subject once."""
        longest: dict[str, tuple[int, Log]] = {}
        for (subject, length), log in self.logs.items():
            if subject not in longest or length > longest[subject][0]:
                longest[subject] = (length, log)
        return sorted(
            (each.at, subject, each.kept)
            for subject, (_, log) in longest.items()
            for each in log.charges
            if each.kept
        )

    def reseed(self) -> None:
        for log in self.logs.values():
            log.counted = [Charged(each.at, each.kept) for each in log.charges if each.kept]

    # --- what must be true

    def over_limit(self, now: int) -> list[str]:
        found = []
        for (subject, length), log in self.logs.items():
            before = [limit for at, limit in log.highest if at <= now - length][-1:]
            bound = max(before + [limit for at, limit in log.highest if at > now - length])
            used = sum(each.kept for each in log.charges if each.at > now - length)
            if used > bound:
                found.append(f"{subject}: {used} in {length} ms, over {bound}")
        return found

    def over_cap(self, taken: Iterable[Job]) -> list[str]:
        return [
            f"{subject}: {len(self.holding[subject])} at once, over {cap}"
            for job in taken
            for subject in subjects_of(job.lane)
            if (cap := self.config(subject).cap) is not None and len(self.holding[subject]) > cap
        ]

    def may_start(self, job: Job, now: int) -> bool:
        """Whether nothing at all keeps a waiting job from starting."""
        for subject in subjects_of(job.lane):
            config = self.config(subject)
            if config.paused or config.closed_until_ms > now:
                return False
            if config.cap is not None and len(self.holding[subject]) >= config.cap:
                return False
        for _, length, log in self.logs_of(job.lane):
            # A bin may be counted for a 64th longer than its charges.
            since = now - length - length // 64 - 1
            if sum(each.kept for each in log.counted if each.at > since) + job.cost > log.limit:
                return False
        return True


COVERAGE: Counter[tuple[str, str]] = Counter()
"""Transition and outcome, counted over a whole run."""

STEP = ("step", "compared")
