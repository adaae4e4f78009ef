"""Runs claimed jobs: each within its timeout, and each with an end."""

import asyncio
from collections.abc import Awaitable, Callable

from shared.broker.books import Books
from shared.broker.context import JobContext, enter
from shared.broker.endings import raised, released
from shared.broker.held import Held, Stop
from shared.jobs import QueueSpec
from shared.queue.types import Settlement, Verdict

Work = Callable[[JobContext], Awaitable[Settlement]]


class Runner:
    """Runs the jobs of a queue by what their `work` is."""

    def __init__(self, spec: QueueSpec, books: Books, work: Work) -> None:
        self._spec = spec
        self._books = books
        self._work = work

    async def run(self, held: Held) -> Settlement | None:
        """Work on a job, in the task that it is held with; how it ends. None: it is not ours to end."""
        context = held.context
        enter(context)
        limit = context.job.timeout_ms / 1000 or self._spec.job_timeout.total_seconds()
        timer = asyncio.get_running_loop().call_later(limit, held.stop, Stop.TIMEOUT)
        try:
            return await self._work(context)
        except asyncio.CancelledError as error:
            return self._stopped(held, error)
        except Exception as error:  # whatever a handler raises is a way for its job to end
            self._books.raised(context, error)
            return raised(context, error, self._spec)
        finally:
            timer.cancel()
            self._books.handled(context)

    def _stopped(self, held: Held, error: asyncio.CancelledError) -> Settlement | None:
        """The end of a job whose handler was cancelled."""
        match held.stopped:
            case Stop.LEASE_LOST:
                return None
            case Stop.SHUTDOWN:
                # What has passed the point of no return is not run again before its lease has lapsed.
                return None if held.context.committed else released(held.context)
            case Stop.CANCELLED:
                return Settlement(held.context.job, Verdict.CANCELLED, reason="cancelled")
            case Stop.TIMEOUT:
                late = TimeoutError("the job ran longer than its timeout")
                self._books.raised(held.context, late)
                return raised(held.context, late, self._spec)
            case None:  # the handler's own doing
                return raised(held.context, error, self._spec)
