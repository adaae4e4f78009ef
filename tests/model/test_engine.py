"""The engine against the dict model, with one partition and with three."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.coverage import COVERAGE, STEP
from tests.model.machine import EngineMachine

_STEPS_AN_EXAMPLE = 100


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.timeout(1800)
def test_random_transitions_leave_the_engine_as_the_model_says(valkey_url: str, partitions: int) -> None:
    check(valkey_url, partitions, int(os.environ.get("OUTREACH_MODEL_STEPS", "10000")) // 2)  # noqa: TID251  a test's own knob


def check(url: str, partitions: int, steps: int, *, shrink: bool = True) -> None:
    """Run at least so many steps; an AssertionError shows the shortest history that diverges."""
    machine = type("Machine", (EngineMachine,), {"url": url, "partitions": partitions})
    end = COVERAGE[STEP] + steps
    while COVERAGE[STEP] < end:
        # An example may end early: what counts are the steps that were taken.
        run_state_machine_as_test(machine, settings=_settings(end - COVERAGE[STEP], shrink))


def _settings(steps: int, shrink: bool) -> settings:
    return settings(
        max_examples=-(-steps // _STEPS_AN_EXAMPLE),
        stateful_step_count=_STEPS_AN_EXAMPLE,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
