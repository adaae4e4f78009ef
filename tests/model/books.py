"""The dict model: what the engine should hold, as plain Python, and what must be true of its answers."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shared.jobs import JobState
from shared.queue.reporting import MOST_LINES, Report, Reported
from shared.queue.types import ClaimedJob, SubjectConfig, Window
from tests.model.windows import Charged, Log

NEWEST_VERSION = 1
DAY_MS = 86_400_000
TENANTS = ("a", "b", "c")
NOTHING = Reported()
LANES = ("a/email/s1", "a/email/s2", "a/sms/s3", "b/email/s4", "c")


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
    cancelled: bool = False
    told: Reported = NOTHING

    def tell(self, report: Report) -> None:
        """Its holder reports."""
        progress = json.loads(report.progress) if report.progress else self.told.progress
        self.told = Reported(progress, (*self.told.lines, *report.lines)[-MOST_LINES:])

    @property
    def tenant(self) -> str:
        return self.lane.partition("/")[0]


def subjects_of(lane: str) -> list[str]:
    parts = lane.split("/")
    return [parts[0], "/".join(parts[:2]), lane] if len(parts) == 3 else [lane]


SUBJECTS = tuple(sorted({subject for lane in LANES for subject in subjects_of(lane)}))


class Books:
    """The model of one partition."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.entries: dict[tuple[str, int], list[str]] = defaultdict(list)
        self.completed: list[str] = []
        self.failed: list[str] = []
        self.remembered: dict[str, tuple[bytes, int]] = {}
        self.configs: dict[str, SubjectConfig] = {}
        self.logs: dict[tuple[str, int], Log] = {}
        self.under: dict[str, tuple[Window, ...] | None] = {}
        self.holding: dict[str, set[str]] = defaultdict(set)
        self.outside: dict[str, dict[str, int]] = defaultdict(dict)
        self.tags: dict[str, float] = {}
        self.vtime = 0.0
        self.paused = False
        self.epoch = 0
        self.opening = False
        self.open = False
        self.last = 0

    # --- where jobs are

    def ids(self, state: JobState) -> list[str]:
        return [job.id for job in self.jobs.values() if job.state is state]

    def line(self, lane: str, entries: dict[tuple[str, int], list[str]] | None = None) -> list[str]:
        """Who waits in a lane, in order: a job's first entry counts, all others are stale."""
        found = self.entries if entries is None else entries
        return [
            job_id
            for priority in range(4)
            for job_id in dict.fromkeys(found[lane, priority])
            if self.is_at(job_id, lane, priority)
        ]

    def is_at(self, job_id: str, lane: str, priority: int) -> bool:
        job = self.jobs.get(job_id)
        return job is not None and (job.state, job.lane, job.priority) == (JobState.WAITING, lane, priority)

    def waits(self, job: Job, *, head: bool = False) -> None:
        job.state, job.claimed = JobState.WAITING, None
        entries = self.entries[job.lane, job.priority]
        entries.insert(0, job.id) if head else entries.append(job.id)

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

    def windows(self, subject: str) -> tuple[Window, ...] | None:
        """A subject's own, else its channel's."""
        own, parts = self.config(subject).windows, subject.split("/")
        return self.config(f"*/{parts[1]}").windows if own is None and len(parts) > 1 else own

    def configure(self, config: SubjectConfig, now: int) -> None:
        self.configs[config.subject] = config
        channel = config.subject.removeprefix("*")
        for subject in SUBJECTS:
            if subject == config.subject or (channel != config.subject and channel in subject):
                self.limit(subject, now)

    def limit(self, subject: str, now: int) -> None:
        windows = self.windows(subject)
        wanted = {int(each.length.total_seconds() * 1000): each.limit for each in windows or ()}
        for (name, length), log in list(self.logs.items()):
            if name == subject and windows is None:
                del self.logs[name, length]
            elif name == subject:
                # The engine drops it with the next charge, which it would not know of.
                log.dormant = length not in wanted
        for length, most in wanted.items():
            log = self.logs.setdefault((subject, length), Log(length, most))
            log.limit = most
            log.limits.append((now, most))

    def wake(self, lane: str) -> None:
        """What is charged or given back now, the windows that are not in force will not know."""
        for subject in subjects_of(lane):
            for name, length in [key for key, log in self.logs.items() if log.dormant]:
                if name == subject:
                    del self.logs[name, length]

    def logs_of(self, *subjects: str) -> Iterator[Log]:
        for subject in subjects:
            yield from (log for (name, _), log in self.logs.items() if name == subject and not log.dormant)

    def fold_old(self, subject: str, now: int) -> None:
        """What was charged under other windows, or a 64th of the shortest ago, is recent no more."""
        logs, under = list(self.logs_of(subject)), self.windows(subject)
        shortest = min((log.length for log in logs), default=0)
        old = any(log.recent and now - log.recent[0] >= shortest / 64 for log in logs)
        for log in logs if old or self.under.get(subject) != under else ():
            log.fold(now)
        self.under[subject] = under

    def charge(self, job: Job, claimed: ClaimedJob, now: int) -> None:
        self.wake(job.lane)
        for subject in subjects_of(job.lane):
            self.fold_old(subject, now)
            for log in self.logs_of(subject):
                log.charge(now, job.cost)
                log.charges.append(Charged(now, job.cost, claimed))
        for subject in subjects_of(job.lane):
            if self.config(subject).cap is not None:
                self.holding[subject].add(job.id)

    def free(self, subject: str, now: int) -> float:
        """Free slots under a cap."""
        cap = self.config(subject).cap
        others = [each for each in self.outside[subject].values() if each > now]
        return float("inf") if cap is None else cap - len(self.holding[subject]) - len(others)

    def release_slots(self, job: Job) -> None:
        for subject in subjects_of(job.lane):
            self.holding[subject].discard(job.id)

    def refund(self, job: Job, claimed: ClaimedJob, now: int) -> None:
        self.wake(job.lane)
        for log in self.logs_of(*subjects_of(job.lane)):
            log.give_back(claimed, now)

    def attempts(self) -> list[tuple[int, str, int]]:
        """What Postgres would seed: time, subject and cost of what was not given back."""
        found: dict[tuple[str, int], tuple[int, str, int]] = {}
        for (subject, _), log in self.logs.items():
            for each in log.charges:
                key = (subject, id(each.claimed))
                kept = min(each.kept, found[key][2]) if key in found else each.kept
                found[key] = (each.at, subject, kept)
        return sorted(each for each in found.values() if each[2])

    def reseed(self, attempts: Iterable[tuple[int, str, int]], now: int) -> None:
        self.logs = {key: log for key, log in self.logs.items() if not log.dormant}
        for log in self.logs.values():
            log.forget()
        for at, subject, cost in attempts:
            for (name, length), log in self.logs.items():
                if name == subject and at + length > now:
                    log.count(at, at, cost)

    # --- what must be true

    def over_limit(self, now: int) -> list[str]:
        return [f"{subject}: {each}" for (subject, _), log in self.logs.items() for each in log.over(now)]

    def over_cap(self, taken: Iterable[Job], now: int) -> list[str]:
        return [
            f"{subject}: more at once than its cap"
            for job in taken
            for subject in subjects_of(job.lane)
            if self.free(subject, now) < 0
        ]

    def may_start(self, job: Job, now: int) -> bool:
        """Whether nothing at all keeps a waiting job from starting."""
        for subject in subjects_of(job.lane):
            config = self.config(subject)
            if config.paused or config.closed_until_ms > now or self.free(subject, now) < 1:
                return False
        return all(log.used(now) + job.cost <= log.limit for log in self.logs_of(*subjects_of(job.lane)))
