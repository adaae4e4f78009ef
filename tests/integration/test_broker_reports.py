"""Progress and logs of jobs, as workers write them down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import pytest
from redis.exceptions import ReadOnlyError
from taskiq import TaskiqDepends

from shared.broker import JobBroker, JobContext, current_job
from shared.broker.held import Held
from shared.broker.reports import Reports
from shared.child import free_port
from shared.errors import Unrecoverable
from shared.jobs import JobState
from shared.queue.queue import Queue
from shared.queue.reporting import Reported
from shared.redis.client import connect
from tests.brokers import PATIENCE, SPEC, ended, redis_settings, sending, until, working
from tests.integration.queue_state import bench, job


async def told(broker: JobBroker, job_id: str) -> tuple[object, list[str]]:
    found = await broker.queue.reported(0, job_id)
    return found.progress, [line.text for line in found.lines]


async def test_what_a_running_handler_reports_is_seen_before_it_ends(valkey_url: str) -> None:
    may_end = asyncio.Event()
    async with sending(valkey_url) as broker:

        @broker.task("tests:report", timeout=PATIENCE * 2)
        async def report() -> None:
            current_job().log("begun")
            current_job().progress(0.5)
            await may_end.wait()
            current_job().progress({"done": 9})
            current_job().log("ended")

        await report.kicker().with_task_id("job").kiq()
        async with working(broker):

            async def seen_while_it_runs() -> bool:
                return await told(broker, "job") == (0.5, ["begun"])

            await until(seen_while_it_runs)
            may_end.set()
            assert (await ended(broker, "job")).state is JobState.COMPLETED
            assert await told(broker, "job") == ({"done": 9}, ["begun", "ended"])


async def test_what_a_handler_reports_last_is_kept_when_it_fails_and_with_its_next_attempt(
    valkey_url: str,
) -> None:
    async with sending(valkey_url) as broker:

        @broker.task("tests:report")
        async def report(context: Annotated[JobContext, TaskiqDepends(current_job)]) -> None:
            context.log(f"attempt {context.attempt}")
            raise Unrecoverable("no") if context.attempt == 2 else RuntimeError("again")

        await report.kicker().with_task_id("job").kiq()
        async with working(broker):
            assert (await ended(broker, "job")).state is JobState.FAILED
            assert await told(broker, "job") == (None, ["attempt 1", "attempt 2"])


@asynccontextmanager
async def reporting(url: str) -> AsyncIterator[tuple[Reports, JobContext, set[Held], Queue]]:
    """A job under our lease, and who writes its reports down."""
    async with bench(url, SPEC) as b, connect(redis_settings(url), role="reports") as client:
        queue = Queue(client, SPEC, prefix="test", clock=b.clock)
        await queue.enqueue([job("job")])
        context = JobContext((await queue.claim(0, 1)).jobs[0], 0.0)
        held = {Held(context, 0)}
        yield Reports(queue, held), context, held, queue


@pytest.mark.parametrize("runs", [True, False])
async def test_what_redis_did_not_take_is_written_when_it_takes_writes_again(
    valkey_url: str, runs: bool
) -> None:
    async with reporting(valkey_url) as (reports, context, held, queue):
        context.log("first")
        if not runs:
            reports.ended(held.pop())
        await queue._redis.replicaof("127.0.0.1", free_port())
        with pytest.raises(ReadOnlyError):
            await (reports.write_running() if runs else reports.write_ended(0))
        context.log("second")
        await queue._redis.replicaof("NO", "ONE")
        await (reports.write_running() if runs else reports.write_ended(0))
        assert [line.text for line in (await queue.reported(0, "job")).lines] == ["first", "second"]
        assert context.untold is None


async def test_a_worker_that_lost_its_job_tells_nothing_of_it(valkey_url: str) -> None:
    async with reporting(valkey_url) as (reports, context, _, queue):
        await queue.begin_opening(0, 2)
        context.log("late")
        await reports.write_running()
        assert context.untold is None
        assert await queue.reported(0, "job") == Reported()
