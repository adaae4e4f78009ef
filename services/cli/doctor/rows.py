"""Stuck rows: those that dispatch's sweeper should have set right, and did not."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from services.cli.doctor.findings import Answer, fault, ok
from services.cli.doctor.patient import Patient
from shared.jobs import SENDS, TIMEOUTS, WEBHOOKS, JobState, job_id
from shared.store import diagnosis, queue_rows
from shared.store.diagnosis import Stuck

LATE = timedelta(minutes=2)
"""How much later than its bound a row may be set right, before the sweeper counts as stuck itself."""
MOST = 500
"""Of so many lanes, or tenants, the oldest row is looked at."""

_QUEUE = {"send": SENDS.name, "timeout": TIMEOUTS.name, "webhook": WEBHOOKS.name}
_NOBODY_S = (None, JobState.COMPLETED, JobState.FAILED)  # nobody works on such a job any more

Bound = Callable[[Patient], timedelta]


def submission(patient: Patient) -> timedelta:
    """How long after its `submitting` a send has surely ended."""
    return patient.settings.send.provider_timeout + patient.settings.engine.lease


def by_row(kind: str, status: str, bound: Bound) -> Callable[[Patient], Awaitable[Answer]]:
    """A check of rows that their age alone makes stuck."""

    async def check(patient: Patient) -> Answer:
        return _judge(kind, status, await _old(patient, kind, status, bound(patient)))

    return check


def by_job(kind: str, status: str, bound: Bound) -> Callable[[Patient], Awaitable[Answer]]:
    """A check of old rows whose job nobody works on; others wait in line, which is not to be stuck."""

    async def check(patient: Patient) -> Answer:
        old = await _old(patient, kind, status, bound(patient))
        return _judge(kind, status, await _left_alone(patient, kind, old))

    return check


async def _old(patient: Patient, kind: str, status: str, age: timedelta) -> list[Stuck]:
    return await patient.database.run(lambda tx: diagnosis.stuck(tx, kind, status, age + LATE, MOST))


async def _left_alone(patient: Patient, kind: str, rows: Sequence[Stuck]) -> list[Stuck]:
    registered = await patient.database.run(queue_rows.partitions)
    alone: list[Stuck] = []
    for queue in patient.queues(registered):
        if queue.name != _QUEUE[kind]:
            continue
        at: dict[int, list[Stuck]] = defaultdict(list)
        for row in rows:
            at[queue.partition_of(str(row.tenant_id))].append(row)
        for partition, here in at.items():
            seen = await queue.look_up(partition, [job_id(kind, row.id, row.g) for row in here])
            alone += [row for row, job in zip(here, seen, strict=True) if job.state in _NOBODY_S]
    return sorted(alone, key=lambda row: row.age, reverse=True)


def _judge(kind: str, status: str, rows: Sequence[Stuck]) -> Answer:
    name = "delivery" if kind == "webhook" else kind
    if not rows:
        return ok(f"No {name} is stuck {status}.")
    oldest = rows[0]
    others = f", and {len(rows) - 1} more where one was looked for" if len(rows) > 1 else ""
    return fault(
        f"The {name} {oldest.id} of tenant {oldest.tenant_id} is {status} for {_minutes(oldest.age)} and"
        f" nobody works on it{others}. Dispatch sets such rows right: see that it runs, and look at its log."
    )


def _minutes(age: timedelta) -> str:
    return f"{age.total_seconds() / 60:,.0f} minutes"
