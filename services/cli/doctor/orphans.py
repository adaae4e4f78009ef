"""Orphans: jobs in Redis whose row is gone or has moved on; a bounded sample of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from services.cli.doctor.findings import Answer, ok, warning
from services.cli.doctor.patient import Patient
from shared.jobs import SENDS, TIMEOUTS, JobState, parse_job_id
from shared.queue.queue import Queue
from shared.store import diagnosis, queue_rows

SAMPLE = 200
"""So many jobs of each queue are looked at, shared among its partitions."""
_PARTITIONS = 20
_STATES = (JobState.ACTIVE, JobState.DELAYED, JobState.WAITING)
_AT_WORK = {  # what a row says while a job of its generation has something to do
    "send": ("enqueued", "submitting"),
    "timeout": ("enqueued",),
    "webhook": ("received", "processing"),
}


@dataclass(frozen=True, slots=True)
class Pointer:
    """A job, the row that it names, and where it was seen."""

    queue: Queue
    partition: int
    state: JobState
    job_id: str
    tenant_id: UUID

    @property
    def row(self) -> tuple[UUID, UUID]:
        """Tenant and id of the row."""
        return self.tenant_id, parse_job_id(self.job_id)[1]


async def orphans(patient: Patient) -> Answer:
    """Jobs point at rows that wait for them.

    A row is written before its job settles, so a suspect gets a moment to move on too.
    """
    registered = await patient.database.run(queue_rows.partitions)
    sample = [pointer for queue in patient.queues(registered) for pointer in await _sample(queue)]
    suspects = await _without_row(patient, sample)
    if suspects:
        await patient.wait()
        suspects = await _without_row(patient, await _still_there(suspects))
    if not suspects:
        return ok(f"Every one of {len(sample)} jobs looked at has its row.")
    first = suspects[0]
    return warning(
        f"{len(suspects)} of {len(sample)} jobs looked at have no row that waits for them, as {first.job_id}"
        f" of tenant {first.tenant_id} ({first.queue.name}, {first.state.value}). They end as no-ops, as"
        " after a cancelled campaign. If nothing was cancelled: was an older database restored, or does"
        " another one write to this prefix?"
    )


async def _sample(queue: Queue) -> list[Pointer]:
    looked_at = min(queue.partitions, _PARTITIONS)
    each = SAMPLE // (looked_at * len(_STATES))
    return [
        pointer
        for partition in range(looked_at)
        for state in _STATES
        for pointer in await _page(queue, partition, state, each)
    ]


async def _page(queue: Queue, partition: int, state: JobState, most: int) -> list[Pointer]:
    _, page = await queue.page(partition, state, limit=most)
    pointers = []
    for seen in page[:most]:
        job = await queue.job(partition, seen.id)
        if job is None or job[0].state is None:
            continue  # it ended meanwhile
        try:
            tenant_id, _ = UUID(job[1].lane.partition("/")[0]), parse_job_id(seen.id)
        except ValueError:
            continue  # a plain Taskiq task: it has no row
        pointers.append(Pointer(queue, partition, job[0].state, seen.id, tenant_id))
    return pointers


async def _still_there(suspects: Sequence[Pointer]) -> list[Pointer]:
    there = []
    for each in suspects:
        (seen,) = await each.queue.look_up(each.partition, [each.job_id])
        if seen.state is each.state:
            there.append(each)
    return there


async def _without_row(patient: Patient, pointers: Sequence[Pointer]) -> list[Pointer]:
    alone: list[Pointer] = []
    for table, mine in (("scheduled_actions", True), ("deliveries", False)):
        here = [each for each in pointers if (each.queue.name in (SENDS.name, TIMEOUTS.name)) is mine]
        keys = [each.row for each in here]
        rows = await patient.database.run(partial(diagnosis.pointed_at, table=table, rows=keys))
        alone += [each for each in here if not _waits(each, rows)]
    return alone


def _waits(pointer: Pointer, rows: dict[UUID, tuple[str, int]]) -> bool:
    kind, row_id, g = parse_job_id(pointer.job_id)
    status, current = rows.get(row_id, ("", -1))
    return current == g and status in _AT_WORK.get(kind, ())
