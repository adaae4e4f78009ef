"""`outreach process`: the jobs of a paused queue, by hand: what a worker does, one at a time, looked at."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict

import typer

from services.cli.shell import NOTHING, as_text, at_desk, printable, run
from services.send.app import build as build_send
from services.send.settings import SendWorkerSettings
from services.timeout.app import build as build_timeout
from services.timeout.settings import TimeoutWorkerSettings
from services.webhook.app import build as build_webhook
from services.webhook.settings import WebhookWorkerSettings
from shared.broker import Worker
from shared.broker.by_hand import ByHand, Done
from shared.jobs import SENDS, TIMEOUTS, WEBHOOKS
from shared.operate import Desk
from shared.operate.standing import known_queue
from shared.process import App

_WORKERS: Mapping[str, Callable[[], App]] = {
    SENDS.name: lambda: build_send(SendWorkerSettings(), through_pause=True),
    TIMEOUTS.name: lambda: build_timeout(TimeoutWorkerSettings(), through_pause=True),
    WEBHOOKS.name: lambda: build_webhook(WebhookWorkerSettings()),  # its handler looks at no pause
}


def process(queue: str, once: int, as_json: bool) -> None:
    """Process at most so many jobs of a paused queue, and print a line of each."""
    done = run(at_desk(lambda desk: _process(desk, queue, once, as_json)))
    typer.echo(f"{done} jobs were processed.", err=True)
    if not done:
        typer.echo("No job in line may start. What came due since the pause waits for the resume.", err=True)
        raise typer.Exit(NOTHING)


async def _process(desk: Desk, queue: str, once: int, as_json: bool) -> int:
    known_queue(queue)
    app = _WORKERS[queue]()
    worker = next(part for part in app.parts if isinstance(part, Worker))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(worker.broker.shutdown)
        # A Redis that is away is said: what is entered below waits for it.
        await worker.broker.queue.is_open(0)
        entry = await desk.begin_processing(queue, once)
        for part in app.parts:
            if part is not worker:
                await stack.enter_async_context(part)

        async def tell(done: Done) -> None:
            await desk.processed(entry)
            typer.echo(as_text(asdict(done)) if as_json else _line(done))

        by_hand = ByHand(worker.broker)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, by_hand.enough)
        return await by_hand.work(once, tell)


def _line(done: Done) -> str:
    took = f"{done.seconds:.1f} s"
    return printable(f"{done.id}  {done.outcome:10} {took:>7}  {done.reason}".rstrip())
