"""What a Taskiq user expects works on the engine."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from redis.asyncio import Redis
from taskiq import (
    Context,
    SimpleRetryMiddleware,
    TaskiqDepends,
    TaskiqMessage,
    TaskiqMiddleware,
    TaskiqResult,
)
from taskiq.exceptions import SendTaskError

from shared.broker import JobBroker, JobContext, ResultBackend, current_job
from shared.errors import InvalidJob, JobConflict, JobIdRequired, QueueError, Unrecoverable
from shared.jobs import JobState, SendJob
from tests.brokers import PATIENCE, ended, redis_settings, seen, sending, until, working

TENANT = UUID(int=1)
SEND = SendJob(
    tenant_id=TENANT,
    scheduled_action_id=TENANT,
    campaign_id=TENANT,
    contact_id=TENANT,
    node_id="first",
    channel="email",
    sender_id=TENANT,
)


class Witness(TaskiqMiddleware):
    """Notes which hooks ran, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.hooks: list[str] = []

    def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        message.labels["trace"] = "t-1"
        self.hooks.append("pre_send")
        return message

    def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        self.hooks.append(f"pre_execute {message.labels['trace']}")
        return message

    async def post_execute(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:
        self.hooks.append("post_execute")

    def post_save(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:
        self.hooks.append("post_save")

    def on_error(self, message: TaskiqMessage, result: TaskiqResult[Any], exception: BaseException) -> None:
        self.hooks.append(f"on_error {type(exception).__name__}")


def results(broker: JobBroker, url: str) -> ResultBackend:
    backend = ResultBackend(redis_settings(url))
    broker.with_result_backend(backend)
    return backend


def unit() -> str:
    return "apples"


async def test_a_task_with_dependencies_a_middleware_and_a_waiting_caller(valkey_url: str) -> None:
    witness = Witness()
    async with sending(valkey_url) as broker:
        broker.add_middlewares(witness)
        results(broker, valkey_url)

        @broker.task("tests:add", colour="red")
        async def add(
            a: int,
            b: int,
            of: Annotated[str, TaskiqDepends(unit)],
            context: Annotated[Context, TaskiqDepends()],
            job: Annotated[JobContext, TaskiqDepends(current_job)],
        ) -> list[Any]:
            return [a + b, of, context.message.labels, job.id == context.message.task_id, job.attempt]

        async with working(broker):
            task = await add.kicker().with_labels(size=5).kiq(1, b=2)
            result = await task.wait_result(check_interval=0.01, timeout=PATIENCE)

    assert result.return_value == [3, "apples", {"colour": "red", "size": 5, "trace": "t-1"}, True, 1]
    assert witness.hooks == ["pre_send", "pre_execute t-1", "post_execute", "post_save"]


async def test_a_sync_task_runs_in_a_thread_and_knows_its_job(valkey_url: str) -> None:
    async with sending(valkey_url) as broker:
        results(broker, valkey_url)

        @broker.task("tests:sync")
        def sync(word: str) -> str:
            return f"{word} {current_job().attempt}"

        async with working(broker):
            task = await sync.kiq("attempt")
            assert (await task.wait_result(0.01, PATIENCE)).return_value == "attempt 1"


async def test_a_result_has_a_key_and_an_end_of_its_own(valkey_url: str, redis: Redis) -> None:
    async with sending(valkey_url) as broker:
        results(broker, valkey_url)

        @broker.task("tests:one")
        async def one() -> int:
            return 1

        async with working(broker):
            task = await one.kiq()
            await task.wait_result(0.01, PATIENCE)

    key = f"outreach:result:{task.task_id}"
    assert (await redis.get(key) or b"").startswith(b"{")
    assert 0 < await redis.pttl(key) <= 3_600_000


async def test_who_waits_hears_of_the_last_attempt_not_of_one_that_is_tried_again(valkey_url: str) -> None:
    attempts = []
    async with sending(valkey_url) as broker:
        results(broker, valkey_url)

        @broker.task("tests:flaky")
        async def flaky() -> str:
            attempts.append(current_job().attempt)
            if len(attempts) < 3:
                raise ValueError("not yet")
            return "third time lucky"

        async with working(broker):
            task = await flaky.kiq()
            result = await task.wait_result(0.01, PATIENCE)

    assert (result.return_value, result.is_err, attempts) == ("third time lucky", False, [1, 2, 3])


async def test_who_waits_hears_of_a_failure(valkey_url: str) -> None:
    async with sending(valkey_url) as broker:
        results(broker, valkey_url)

        @broker.task("tests:hopeless")
        async def hopeless() -> None:
            raise Unrecoverable("no such row")

        async with working(broker):
            result = await (await hopeless.kiq()).wait_result(0.01, PATIENCE)

    assert result.is_err
    assert str(result.error) == "no such row"


async def test_a_result_that_cannot_be_kept_does_not_run_the_task_again(valkey_url: str) -> None:
    runs = []
    async with sending(valkey_url) as broker:
        results(broker, valkey_url)

        @broker.task("tests:unprintable")
        async def unprintable() -> object:
            runs.append(1)
            return object()

        async with working(broker):
            task = await unprintable.kiq()
            assert (await ended(broker, task.task_id)).state is JobState.COMPLETED
    assert runs == [1]


async def test_a_retry_middleware_leaves_the_counting_to_the_engine(valkey_url: str) -> None:
    attempts = []
    async with sending(valkey_url) as broker:
        broker.add_middlewares(SimpleRetryMiddleware(default_retry_count=10))

        @broker.task("tests:failing", retry_on_error=True)
        async def failing() -> None:
            attempts.append(current_job().attempt)
            raise ValueError("no")

        async with working(broker):
            task = await failing.kiq()
            assert (await ended(broker, task.task_id)).state is JobState.FAILED
    assert attempts == [1, 2, 3]


async def test_requeue_runs_the_job_again_without_using_an_attempt(valkey_url: str) -> None:
    attempts = []
    async with sending(valkey_url) as broker:

        @broker.task("tests:again")
        async def again(context: Annotated[Context, TaskiqDepends()]) -> None:
            attempts.append(current_job().attempt)
            if len(attempts) < 5:
                await context.requeue()

        async with working(broker):
            task = await again.kiq()
            assert (await ended(broker, task.task_id)).state is JobState.COMPLETED
    assert attempts == [1] * 5


async def test_reject_fails_the_job_where_it_can_be_seen(valkey_url: str) -> None:
    async with sending(valkey_url) as broker:

        @broker.task("tests:reject")
        async def reject(context: Annotated[Context, TaskiqDepends()]) -> None:
            context.reject()

        async with working(broker):
            found = await ended(broker, (await reject.kiq()).task_id)
    assert (found.state, found.reason, found.attempt) == (
        JobState.FAILED,
        "TaskRejectedError: Task was rejected",
        1,
    )


async def test_a_typed_task_gets_its_model_with_and_without_dependencies(valkey_url: str) -> None:
    got: list[Any] = []
    async with sending(valkey_url, ids="required") as plain, sending(valkey_url, ids="required") as rich:

        @plain.task("send")
        async def direct(job: SendJob) -> None:
            got.append(("direct", job, current_job().generation))

        @rich.task("send")
        async def through_taskiq(job: SendJob, of: Annotated[str, TaskiqDepends(unit)]) -> None:
            got.append((of, job, current_job().generation))

        for broker, task, generation in ((plain, direct, 3), (rich, through_taskiq, 4)):
            job_id = f"send:{TENANT}:{generation}"
            async with working(broker):
                await task.kicker().with_task_id(job_id).kiq(SEND)
                assert (await ended(broker, job_id)).state is JobState.COMPLETED

    assert got == [("direct", SEND, 3), ("apples", SEND, 4)]


async def test_without_an_id_nothing_is_sent_unless_ids_are_random(valkey_url: str, redis: Redis) -> None:
    async with sending(valkey_url, ids="required") as broker:

        @broker.task("tests:strict")
        async def strict() -> None: ...

        with pytest.raises(JobIdRequired):
            await strict.kiq()
        assert await redis.keys("*") == []
        await strict.kicker().with_task_id("mine").kiq()
        assert (await seen(broker, "mine")).state is JobState.WAITING


async def test_a_known_id_is_sent_once_and_with_other_arguments_refused(valkey_url: str) -> None:
    async with sending(valkey_url) as broker:

        @broker.task("tests:once")
        async def once(n: int) -> None: ...

        await once.kicker().with_task_id("mine").kiq(1)
        await once.kicker().with_task_id("mine").with_labels(trace="x").kiq(1)
        with pytest.raises(SendTaskError) as refusal:
            await once.kicker().with_task_id("mine").kiq(2)
        counts = await broker.queue.counts(0)

    assert isinstance(refusal.value.__cause__, JobConflict)
    assert counts.waiting == 1


@pytest.mark.parametrize("labels", [{"cost": -1}, {"priority": -1}, {"delay": 10.0**9}, {"lane": "a/b"}])
async def test_labels_out_of_bounds_are_refused_and_nothing_is_written(
    valkey_url: str, redis: Redis, labels: dict[str, Any]
) -> None:
    async with sending(valkey_url) as broker:

        @broker.task("tests:odd")
        async def odd() -> None: ...

        with pytest.raises(SendTaskError) as refusal:
            await odd.kicker().with_labels(**labels).kiq()

    assert isinstance(refusal.value.__cause__, InvalidJob)
    assert await redis.keys("*") == []


async def test_a_broker_under_taskiqs_own_receiver_says_which_one_it_needs(valkey_url: str) -> None:
    async with sending(valkey_url) as broker:
        with pytest.raises(QueueError, match="--receiver shared"):
            broker.listen()


MODULE = """
import asyncio
from pathlib import Path
from shared.broker import JobBroker, ResultBackend, current_job
from shared.jobs import QueueSpec
from shared.settings import EngineSettings, RedisSettings

redis = RedisSettings()
broker = JobBroker(redis, EngineSettings(), QueueSpec("tests:cli", concurrency=3, priority=0), ids="random")
broker.with_result_backend(ResultBackend(redis))
running = 0

@broker.task("cli:count")
async def count() -> int:
    global running
    running += 1
    try:
        await asyncio.sleep(0.2)
        return running
    finally:
        running -= 1

@broker.task("cli:slow")
async def slow(mark: str) -> None:
    Path(mark).write_text("begun")
    await asyncio.sleep(1)
    Path(mark).write_text("whole")
"""


async def test_the_taskiq_command_runs_it_with_the_queues_concurrency_and_ends_in_order(
    valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cli_tasks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("REDIS_URL", valkey_url)
    import cli_tasks  # type: ignore[import-not-found]  # written above

    mark = tmp_path / "mark"
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "taskiq", "worker", "cli_tasks:broker"),
        *("--workers", "1", "--receiver", "shared.broker:JobReceiver"),
        cwd=tmp_path,
        env={"REDIS_URL": valkey_url, "PYTHONPATH": str(tmp_path)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        counts = [await cli_tasks.count.kiq() for _ in range(9)]
        at_once = [(await each.wait_result(0.02, PATIENCE)).return_value for each in counts]
        slow = await cli_tasks.slow.kiq(str(mark))

        async def begun() -> bool:
            return mark.exists()

        await until(begun)
        worker.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(worker.wait(), PATIENCE)
        found = await seen(cli_tasks.broker, slow.task_id)
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()
        await cli_tasks.broker.shutdown()

    assert max(at_once) == 3
    assert (code, mark.read_text(), found.state) == (0, "whole", JobState.COMPLETED)
