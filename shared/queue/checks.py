"""What a job must be like to be let in; checked before anything is sent."""

from datetime import timedelta
from functools import lru_cache

from shared.errors import InvalidJob, JobIdRequired, PayloadTooLarge
from shared.jobs import MAX_PAYLOAD_BYTES
from shared.queue.types import NewJob

PRIORITIES = 4
LONGEST_DELAY = timedelta(days=400)
LONGEST_TIMEOUT = timedelta(days=30)
LONGEST_ID = 512
LONGEST_LANE = 255
MAX_COST = 0xFFFF
MAX_ATTEMPTS = 0xFF
LAST_MS = 1 << 47

_LATER = slice(NewJob._fields.index("priority"), None)
_DEFAULTS = NewJob("", "", b"")[_LATER]  # within all bounds, and what most jobs have


def check(job: NewJob) -> None:
    """Let the job pass.

    Raises:
        JobIdRequired: it has no id.
        PayloadTooLarge: its payload or its annotations are over 1 MiB.
        InvalidJob: another field is out of bounds; the message names it.
    """
    if not job.id:
        raise JobIdRequired
    if max(len(job.payload), len(job.annotations)) > MAX_PAYLOAD_BYTES:
        raise PayloadTooLarge
    if not job.id.isascii() or len(job.id) > LONGEST_ID or job[_LATER] != _DEFAULTS:
        _check_bounds(job)
    check_lane(job.lane)


def _check_bounds(job: NewJob) -> None:
    for name, value, low, high in (
        ("id's length", len(job.id.encode()), 1, LONGEST_ID),
        ("priority", job.priority or 0, 0, PRIORITIES - 1),
        ("cost", job.cost, 0, MAX_COST),
        ("version", job.version, 1, 0xFF),
        ("max_attempts", 1 if job.max_attempts is None else job.max_attempts, 1, MAX_ATTEMPTS),
        ("delay", job.delay, timedelta(0), LONGEST_DELAY),
        ("timeout", job.timeout or timedelta(0), timedelta(0), LONGEST_TIMEOUT),
        ("expires_at_ms", job.expires_at_ms or 0, 0, LAST_MS),
    ):
        if not low <= value <= high:  # type: ignore[operator]  # each row's three are of one type
            raise InvalidJob(f"The job's {name} is {value}: it must be between {low} and {high}.")


def check_bounds(name: str, value: int, highest: int) -> None:
    """Let a number from 0 to the highest pass.

    Raises:
        InvalidJob: it is out of bounds.
    """
    if not 0 <= value <= highest:
        raise InvalidJob(f"The job's {name} is {value}: it must be between 0 and {highest}.")


@lru_cache(maxsize=4096)  # lanes come again and again; an error is not kept
def check_lane(lane: str) -> None:
    """Let the lane pass.

    Raises:
        InvalidJob: it is neither `tenant` nor `tenant/channel/sender`.
    """
    parts = lane.split("/")
    if len(parts) not in (1, 3) or not all(parts) or parts[0] == "*" or len(lane.encode()) > LONGEST_LANE:
        raise InvalidJob(
            f"A lane is tenant or tenant/channel/sender, at most {LONGEST_LANE} bytes: not {lane!r}."
        )
