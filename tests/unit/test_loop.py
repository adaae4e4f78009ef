"""Loops outlive the servers they need."""

import asyncio
from datetime import timedelta

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from shared import loop
from shared.errors import StoreUnavailable
from shared.loop import Backoff, Loop, pause

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_FIRST_PAUSE", timedelta(milliseconds=1))


class Script:
    """A step that does what it is told, round by round, and says when it is through."""

    def __init__(self, *rounds: bool | Exception) -> None:
        self.rounds = list(rounds)
        self.steps = 0
        self.begun = asyncio.Event()
        self.through = asyncio.Event()

    async def step(self) -> bool:
        self.steps += 1
        self.begun.set()
        outcome = self.rounds.pop(0)
        if not self.rounds:
            self.through.set()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def run(script: Script, every: timedelta = HOUR) -> list[str]:
    with capture_logs() as logs:
        async with Loop("test", script.step, every):
            await script.through.wait()
    return [entry["event"] for entry in logs]


async def test_a_step_with_more_to_do_is_followed_at_once_by_the_next() -> None:
    script = Script(True, True, False)
    assert await run(script) == []
    assert script.steps == 3


async def test_an_absence_is_logged_once_and_so_is_the_return() -> None:
    script = Script(
        RedisConnectionError("gone"), OSError("gone"), StoreUnavailable(), TimeoutError(), True, False
    )
    assert await run(script) == ["server.away", "server.back"]


async def test_an_unforeseen_error_is_logged_each_time_and_the_loop_goes_on() -> None:
    script = Script(ValueError("bug"), ValueError("bug"), False)
    assert await run(script) == ["loop.failed", "loop.failed"]


async def test_wake_takes_the_next_step_now() -> None:
    script = Script(False, False)
    async with Loop("test", script.step, HOUR) as looping:
        await script.begun.wait()
        looping.wake()
        await script.through.wait()
    assert script.steps == 2


async def test_leaving_lets_the_step_end_and_cancelling_the_exit_cancels_it() -> None:
    entered, may_end, ended = asyncio.Event(), asyncio.Event(), []

    async def step() -> None:
        entered.set()
        try:
            await may_end.wait()
            ended.append("whole")
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    polite = Loop("test", step, HOUR)
    await polite.__aenter__()
    await entered.wait()
    leaving = asyncio.create_task(polite.__aexit__(None, None, None))
    await asyncio.sleep(0)
    may_end.set()
    await leaving

    entered.clear()
    may_end.clear()
    hasty = Loop("test", step, HOUR)
    await hasty.__aenter__()
    await entered.wait()
    leaving = asyncio.create_task(hasty.__aexit__(None, None, None))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving

    assert ended == ["whole", "cancelled"]


async def test_a_cancelled_loop_stops_also_when_its_step_meets_an_absence_on_the_way_out() -> None:
    entered = asyncio.Event()

    async def step() -> None:
        try:
            entered.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError("gone") from None

    async with Loop("test", step, HOUR) as looping:
        await entered.wait()
        entered.clear()
        looping.cancel()
    assert not entered.is_set()


async def test_leaving_does_not_wait_out_a_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_FIRST_PAUSE", HOUR)
    script = Script(OSError("gone"), False)
    async with Loop("test", script.step, HOUR):
        await script.begun.wait()
    assert script.steps == 1


def test_pauses_double_with_jitter_up_to_the_longest_and_begin_again_after_a_reset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "_LONGEST_PAUSE", timedelta(milliseconds=4))
    backoff = Backoff()

    for ceiling in (1, 2, 4, 4):
        length = backoff.next() / timedelta(milliseconds=1)
        assert ceiling / 2 <= length <= ceiling
    backoff.reset()
    assert backoff.next() <= timedelta(milliseconds=1)


async def test_a_pause_ends_with_its_event_or_its_time() -> None:
    event = asyncio.Event()
    await pause(event, timedelta(milliseconds=1))
    event.set()
    await pause(event, HOUR)
