"""The demo's verdict can fail: without a guard in the services it names the figure that is wrong.

What a guard is for is a race, which a run may not meet; then another may.
"""

import asyncio
import sys
from pathlib import Path

import pytest

from services.cli.demo.run import play, staged
from services.cli.demo.scenario import Scenario
from services.cli.demo.screen import Screen
from services.cli.stack import SERVICES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(700)]

RUNS = 3

SAFETY = {"duplicate_messages", "lost", "early_timeouts", "limit_violations", "webhooks.duplicates"}
NAMED = {
    "compare_and_set": "duplicate_messages",
    "watermark": "early_timeouts",
    "windows": "limit_violations",
    "natural_key": "webhooks.duplicates",
    "generation": "duplicate_messages",
}
# A send so late also arrives outside the window that it was charged in.
ALSO = {"generation": {"limit_violations"}}
OVERRIDES = {
    # The sweeper does not find first what the queue hears of late.
    "watermark": {"DISPATCH_RECEIVED_STALE": "PT12S"},
    # Slow sends leave room for others.
    "generation": {"QUEUE_CONCURRENCY": "8"},
}


async def named_without(guard: str, folder: Path) -> set[str]:
    """The figures that the verdict of a run without a guard calls wrong, those of safety."""
    commands = {service: (sys.executable, "-m", "tests.unguarded", guard, service) for service in SERVICES}
    scenario = Scenario(contacts=60, commands=commands, overrides=OVERRIDES.get(guard, {}))
    with Screen(True, folder) as screen:
        async with staged(scenario, folder, screen) as stage:
            verdict = await play(stage, screen)
    return SAFETY & {sentence.partition(":")[0] for sentence in verdict.broken}


@pytest.mark.parametrize("guard", NAMED)
def test_without_a_guard_the_verdict_is_false_and_names_what_it_guards(
    guard: str, reachable_path: Path
) -> None:
    named: set[str] = set()
    folders = [reachable_path / str(run) for run in range(RUNS)]
    while folders and NAMED[guard] not in named:
        folder = folders.pop()
        folder.mkdir(mode=0o755)
        named = asyncio.run(named_without(guard, folder))

    assert named - ALSO.get(guard, set()) == {NAMED[guard]}
