"""How many workers a queue is worth, by what it has to do."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.scaling import Bounds, Load, desired_workers

IDLE = Load(runnable=0, active=0, waited=timedelta(0), seconds=0.5, slots=3)
BOUNDS = Bounds(least=1, most=20, drain=timedelta(minutes=1), patience=timedelta(seconds=30))
LONG = timedelta(seconds=31)


@pytest.mark.parametrize(
    ("why", "load", "wanted"),
    [
        ("nothing to do", IDLE, 1),
        ("3,600 jobs of half a second in a minute: thirty slots", replace(IDLE, runnable=3_600), 10),
        ("one job more needs another worker", replace(IDLE, runnable=3_601), 11),
        ("what runs counts", replace(IDLE, active=7), 3),
        ("what runs and what could", replace(IDLE, runnable=3_600, active=3), 11),
        ("a million jobs are worth no more than allowed", replace(IDLE, runnable=1_000_000), 20),
        ("a job that waited for long is worth a worker", replace(IDLE, runnable=1, active=3, waited=LONG), 2),
        ("one that did not is not", replace(IDLE, runnable=1, active=2, waited=timedelta(seconds=30)), 1),
        ("long ago, but nothing is runnable", replace(IDLE, active=3, waited=LONG), 1),
        ("limits keep twelve slots busy", replace(IDLE, runnable=100_000, rate=24.0), 4),
        ("limits that do not bind", replace(IDLE, runnable=3_600, rate=1_000.0), 10),
        ("limits let nothing start, but twelve run", replace(IDLE, active=12, rate=0.0), 4),
        ("nine tenths of a slot's work", replace(IDLE, runnable=108), 1),
        (
            "no worker more for an error of arithmetic",
            replace(IDLE, seconds=0.07, runnable=100_000, rate=100.0, slots=1),
            7,
        ),
    ],
)
def test_workers_are_what_the_work_is_worth(why: str, load: Load, wanted: int) -> None:
    assert desired_workers(load, BOUNDS) == wanted, why


@pytest.mark.parametrize(("pin", "wanted"), [(0, 1), (1, 1), (7, 7), (20, 20), (99, 20)])
def test_a_pin_decides_within_the_bounds(pin: int, wanted: int) -> None:
    assert desired_workers(replace(IDLE, runnable=2_000, rate=0.1), BOUNDS, pin) == wanted


def test_a_queue_may_be_worth_no_worker_at_all() -> None:
    bounds = replace(BOUNDS, least=0)
    assert [desired_workers(IDLE, bounds), desired_workers(replace(IDLE, runnable=1), bounds)] == [0, 1]
    assert desired_workers(replace(IDLE, runnable=9), bounds, 0) == 0


def test_the_least_holds_also_where_limits_allow_less() -> None:
    assert desired_workers(replace(IDLE, runnable=9, rate=0.0), replace(BOUNDS, least=2)) == 2
