"""How many worker processes a queue is worth: one number, for autoscalers, pages, commands and alerts."""

import math
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Load:
    """What a queue has to do, and how fast a worker does it.

    runnable  jobs that could start now; not those that are delayed, or that a limit or a pause holds back
    active    jobs that run
    waited    how long the longest waiting of the runnable ones has waited
    seconds   that one job takes a slot
    slots     jobs that one worker runs at once
    rate      the most jobs a second that the limits of the runnable ones let start; None: no limit
    """

    runnable: int
    active: int
    waited: timedelta
    seconds: float
    slots: int
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between `least` and `most` workers; enough to do what is runnable within `drain`.

    One more where a runnable job has waited for longer than `patience`.
    """

    least: int
    most: int
    drain: timedelta
    patience: timedelta


def desired_workers(load: Load, bounds: Bounds, pin: int | None = None) -> int:
    """How many workers there should be; an operator's `pin` decides it, within the bounds.

    What runs is counted, or busy workers would be taken away; what limits hold back is not, or workers would
    be added that can do nothing. By Little's law `rate` × `seconds` slots are all that limits can keep busy.
    """
    if pin is not None:
        return max(bounds.least, min(pin, bounds.most))
    slots = load.runnable * load.seconds / bounds.drain.total_seconds()
    if load.runnable and load.waited > bounds.patience:
        slots = max(slots, load.slots)
    wanted = _up((load.active + slots) / load.slots)
    if load.rate is not None:
        wanted = min(wanted, _up(max(load.active, load.rate * load.seconds) / load.slots))
    return max(bounds.least, min(wanted, bounds.most))


def _up(value: float) -> int:
    return math.ceil(round(value, 9))  # 3.0000000000000004 workers are three
