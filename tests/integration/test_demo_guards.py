"""The demo's verdict can fail: without a guard in the services it names the figure that is wrong."""

import sys
from pathlib import Path

import pytest

from services.cli.demo.bounds import Verdict
from services.cli.demo.run import play, staged
from services.cli.demo.scenario import Scenario
from services.cli.demo.screen import Screen
from services.cli.stack import SERVICES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

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


async def verdict_without(guard: str, folder: Path) -> Verdict:
    commands = {service: (sys.executable, "-m", "tests.unguarded", guard, service) for service in SERVICES}
    scenario = Scenario(contacts=60, commands=commands, overrides=OVERRIDES.get(guard, {}))
    with Screen(True, folder) as screen:
        async with staged(scenario, folder, screen) as stage:
            return await play(stage, screen)


@pytest.mark.parametrize("guard", NAMED)
async def test_without_a_guard_the_verdict_is_false_and_names_what_it_guards(
    guard: str, reachable_path: Path
) -> None:
    verdict = await verdict_without(guard, reachable_path)

    named = {sentence.partition(":")[0] for sentence in verdict.broken}
    assert NAMED[guard] in named, verdict
    assert named & SAFETY <= {NAMED[guard]} | ALSO.get(guard, set()), verdict
