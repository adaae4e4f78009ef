"""The receiver that `taskiq worker` and our own services run: jobs in, settlements out.

A task that is a coroutine function without dependencies, on a broker without worker middlewares, is called
directly; any other goes through Taskiq's own `run_task`, so that labels, dependencies, middlewares and
results work as its users expect.
"""

import asyncio
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import Any

import structlog
from taskiq import TaskiqResult
from taskiq.abc.middleware import TaskiqMiddleware
from taskiq.decor import AsyncTaskiqDecoratedTask
from taskiq.exceptions import NoResultError
from taskiq.message import TaskiqMessage
from taskiq.receiver import Receiver
from taskiq.receiver.params_parser import parse_params
from taskiq.result_backends.dummy import DummyResultBackend
from taskiq.utils import maybe_awaitable

from shared.broker.broker import JobBroker
from shared.broker.consumer import Consumer
from shared.broker.context import JobContext, current_job
from shared.broker.endings import Ended, raised, returned
from shared.broker.formatter import TYPED, parse
from shared.broker.presence import presence
from shared.errors import Unrecoverable
from shared.jobs import TaskiqJob
from shared.queue.types import Settlement, Verdict

log = structlog.get_logger()

Task = AsyncTaskiqDecoratedTask[Any, Any]

_HOOKS = ("pre_execute", "post_execute", "post_save", "on_error")
_FINAL = {Verdict.COMPLETED, Verdict.FAILED, Verdict.HELD, Verdict.SKIPPED}


class JobReceiver(Receiver):
    """Claims the jobs of its broker's queue and runs their tasks.

    `concurrency` is how many run at once: the queue's own unless given, as by `--receiver_arg
    concurrency=20`. Taskiq's `max_async_tasks`, whose default of 100 says nothing about this queue, is
    ignored, and so is its prefetch, since nothing is claimed without a free slot. `wait_tasks_timeout`, in
    seconds, is how long a shutdown waits for what runs: the job timeout unless given.
    """

    def __init__(
        self,
        broker: JobBroker,
        concurrency: int | str | None = None,
        max_async_tasks: int | None = None,
        max_async_tasks_jitter: int = 0,
        max_prefetch: int = 0,
        **taskiq: Any,
    ) -> None:
        self.concurrency = int(concurrency or broker.spec.concurrency)
        super().__init__(broker, max_async_tasks=self.concurrency, **taskiq)
        self._jobs = broker
        self._begun = 0
        self._finish = asyncio.Event()
        self._observed = False
        self._direct: dict[str, bool] = {}

    async def listen(self, finish_event: asyncio.Event) -> None:
        """Work until the event is set, then drain: see `Consumer`."""
        if self.run_startup and not await self._started(finish_event):
            return
        self._finish = finish_event
        self._observed = any(map(_watches_work, self.broker.middlewares))
        self.broker.add_middlewares(_Recorder())
        async with (
            presence(self._jobs.queue, self.concurrency, self._jobs.metrics),
            self._jobs.consuming() as queue,
            Consumer(self._jobs, queue, self.work, self.concurrency, self._grace()),
        ):
            await finish_event.wait()
        if self.on_exit is not None:
            self.on_exit(self)

    async def _started(self, finish_event: asyncio.Event) -> bool:
        """Start the broker, which may wait for servers; False: the end came first."""
        starting = asyncio.create_task(self.broker.startup())
        ending = asyncio.create_task(finish_event.wait())
        try:
            await asyncio.wait([starting, ending], return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending.cancel()
            if not starting.done():
                starting.cancel()
                await asyncio.wait([starting])
        return not starting.cancelled() and starting.result() is None

    async def work(self, context: JobContext) -> Settlement:
        """Run a claimed job's task; raises what it raises.

        Raises Unrecoverable when the payload does not parse, or nobody here knows the task.
        """
        self._begun += 1
        if self._begun == self.max_tasks_to_execute:
            self._finish.set()
        body = parse(context.job.payload)
        name = body.task_name if isinstance(body, TaskiqJob) else body.kind
        task = self.broker.find_task(name)
        if task is None:
            raise Unrecoverable(f"No task is named {name}: import it in this worker, then retry.")
        direct = self._is_direct(task)
        if direct and not isinstance(body, TaskiqJob):
            return returned(context, await task.original_func(body))
        message = self._jobs.job_formatter.load(context.job, body)
        if not direct:
            return await self._through_taskiq(context, task, message)
        if self.validate_params:
            parse_params(self.task_signatures[name], self.task_hints[name], message)
        return returned(context, await task.original_func(*message.args, **message.kwargs))

    def _is_direct(self, task: Task) -> bool:
        known = self._direct.get(task.task_name)
        if known is None:
            if task.task_name not in self.known_tasks:
                self._prepare_task(task.task_name, task.original_func)
            known = self._direct[task.task_name] = (
                not self._observed
                and not self._stores(task)
                and iscoroutinefunction(task.original_func)
                and self.dependency_graphs[task.task_name].is_empty()
            )
        return known

    def _stores(self, task: Task) -> bool:
        # A typed job's result is its row; only plain tasks have callers that wait.
        return task.task_name not in TYPED and not isinstance(self.broker.result_backend, DummyResultBackend)

    async def _through_taskiq(self, context: JobContext, task: Task, message: TaskiqMessage) -> Settlement:
        for middleware in self.broker.middlewares:
            message = await maybe_awaitable(middleware.pre_execute(message))
        result = await self.run_task(task.original_func, message)
        # Not the result's error: a middleware that means to retry puts another in its place.
        if isinstance(context.error, asyncio.CancelledError):
            raise context.error
        if context.error is not None:
            settlement = raised(context, context.error, self._jobs.spec)
        else:
            settlement = returned(context, result.return_value)
        for middleware in reversed(self.broker.middlewares):
            await maybe_awaitable(middleware.post_execute(message, result))
        if settlement.verdict in _FINAL and self._stores(task):
            await self._store(message, result)
        return settlement

    async def _store(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:
        """Keep a result for who waits for it; before the job is settled, or a crash between would lose it."""
        if isinstance(result.error, NoResultError):
            return
        if isinstance(result.return_value, Ended):
            result.return_value = None
        try:
            await self.broker.result_backend.set_result(message.task_id, result)
            for middleware in reversed(self.broker.middlewares):
                await maybe_awaitable(middleware.post_save(message, result))
        except Exception:  # whatever a backend of any make raises: the work is done and must not run again
            log.exception("result.not_stored", job_id=message.task_id)

    def _grace(self) -> timedelta:
        if self.wait_tasks_timeout is None:
            return self._jobs.spec.job_timeout
        return timedelta(seconds=self.wait_tasks_timeout)


class _Recorder(TaskiqMiddleware):
    """Notes what a handler raised, before another middleware changes the result."""

    def on_error(self, message: TaskiqMessage, result: TaskiqResult[Any], exception: BaseException) -> None:
        current_job().error = exception


def _watches_work(middleware: TaskiqMiddleware) -> bool:
    return any(getattr(type(middleware), hook) is not getattr(TaskiqMiddleware, hook) for hook in _HOOKS)


__all__ = ["JobReceiver"]
