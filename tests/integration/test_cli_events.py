"""`outreach events watch`: what happens while somebody looks, and what becomes of the look."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.jobs import SENDS, WEBHOOKS, QueueSpec
from shared.queue.queue import Queue
from shared.queue.types import Settlement, Verdict
from shared.redis.client import connect
from shared.redis.embedded import EmbeddedValkey
from shared.settings import RedisSettings
from tests.commands import refused
from tests.integration.queue_state import job

PATIENCE = 20.0  # seconds, for what should take a second

pytestmark = pytest.mark.usefixtures("environment")


@asynccontextmanager
async def watching(*options: str) -> AsyncIterator[Process]:
    """The command, once it watches; it is gone at the end."""
    command = (sys.executable, "-m", "services.cli", "events", "watch", *options)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(PATIENCE):
            assert "Ctrl-C ends it" in await told(process)
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def told(process: Process) -> str:
    assert process.stderr is not None
    return (await process.stderr.readline()).decode()


async def line(process: Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode()


async def opened(redis: Redis, spec: QueueSpec) -> Queue:
    """A queue that the command finds too."""
    queue = Queue(redis, spec, prefix="outreach")
    await queue.begin_opening(0, 1)
    await queue.open(0, 1)
    return queue


async def cancelled(queue: Queue, *names: str) -> None:
    await queue.enqueue([job(name) for name in names])
    await queue.cancel(0, names)


@pytest.fixture
async def client(valkey_url: str) -> AsyncIterator[Redis]:
    async with connect(RedisSettings(url=valkey_url), role="test") as redis:  # type: ignore[arg-type]  # pydantic wraps it
        yield redis


async def test_what_happens_in_every_queue_is_told_a_line_a_job_and_what_completes_is_counted(
    client: Redis,
) -> None:
    sends, webhooks = await opened(client, SENDS), await opened(client, WEBHOOKS)
    await cancelled(sends, "before")
    async with watching("--json", "--count", "4") as process:
        await sends.enqueue([job(name) for name in ("one", "two", "three", "four")])
        jobs = (await sends.claim(0, 4)).jobs
        *good, bad = jobs
        ends = [Settlement(each, Verdict.COMPLETED) for each in good]
        await sends.settle(0, [*ends, Settlement(bad, Verdict.FAILED, reason="rejected: 550 \x1b[2J")])
        lines: list[dict[str, Any]] = [json.loads(await line(process)) for _ in range(2)]
        await cancelled(webhooks, "hook", "more", "too many")
        lines += [json.loads(await line(process)) for _ in range(2)]
        assert (await process.wait(), await line(process)) == (0, "")
    assert all(each.pop("at").endswith("+00:00") for each in lines)
    place = {"queue": "outreach:send", "partition": 0}
    gone = {"queue": "webhook:process", "partition": 0, "event": "cancelled", "jobs": 1, "reason": None}
    failed = {**place, "event": "failed", "jobs": 1, "job": bad.id, "reason": "rejected: 550 \x1b[2J"}
    completed = {**place, "event": "completed", "jobs": 3, "job": None, "reason": None}
    assert sorted(lines[:2], key=lambda each: each["event"]) == [completed, failed]
    assert lines[2:] == [{**gone, "job": "hook"}, {**gone, "job": "more"}]


async def test_one_queue_is_watched_as_text_that_no_terminal_obeys_until_ctrl_c_which_is_no_failure(
    client: Redis,
) -> None:
    sends, webhooks = await opened(client, SENDS), await opened(client, WEBHOOKS)
    async with watching("--queue", "outreach:send") as process:
        await cancelled(webhooks, "hook")
        await cancelled(sends, "one\x1b[2J")
        shown = await line(process)
        assert shown.split()[1:] == ["outreach:send", "cancelled", "one�[2J"]
        process.send_signal(signal.SIGINT)
        assert (await process.wait(), await line(process), await told(process)) == (0, "", "")


async def test_a_redis_that_went_away_is_said_and_when_it_is_back_events_are_told_again(
    client: Redis, valkey: EmbeddedValkey
) -> None:
    await cancelled(await opened(client, SENDS), "before")
    async with watching("--queue", "outreach:send") as process:
        await valkey.kill()
        assert "trying again" in await told(process)
        await valkey.start()
        assert await told(process) == "outreach: outreach:send: Redis is back.\n"
        await cancelled(await opened(client, SENDS), "after", "more")
        assert [(await line(process)).split()[-1] for _ in range(2)] == ["after", "more"]
        said = await told(process)
        assert said.endswith("/0: what happened meanwhile was dropped before it could be read.\n")
        process.terminate()
        assert (await process.wait(), await told(process)) == (0, "")


async def test_whoever_reads_too_slowly_is_told_how_much_was_dropped_and_whoever_goes_away_ends_it(
    client: Redis,
) -> None:
    sends = await opened(client, SENDS)
    async with watching("--queue", "outreach:send") as process:
        process.send_signal(signal.SIGSTOP)
        for n in range(2_500):
            await cancelled(sends, f"job-{n}")
        kept: int = await client.xlen(sends._key(0, "events"))
        process.send_signal(signal.SIGCONT)
        assert (await line(process)).split()[-1] == f"job-{2_500 - kept}"
        shown = [(await line(process)).split()[-1] for _ in range(kept - 1)]
        assert shown[-1] == "job-2499"
        assert f"/0: what {2_500 - kept} calls of scripts did was dropped" in await told(process)
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]  # asyncio's own
        await cancelled(sends, "one")
        assert (await process.wait(), await told(process)) == (1, ""), "nobody reads any more"


def test_a_queue_there_is_not_is_refused() -> None:
    assert "there are webhook:process, outreach:send" in refused("events", "watch", "--queue", "send")
