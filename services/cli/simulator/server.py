"""Wires the simulator and runs it until it is told to end."""

import asyncio
import json
import os
import signal
import sys

from aiohttp import web

from services.cli.simulator.config import Config
from services.cli.simulator.control import Control
from services.cli.simulator.hold import Hold
from services.cli.simulator.journal import Journal
from services.cli.simulator.listener import Listener
from services.cli.simulator.provider import Provider
from services.cli.simulator.webhooks import Outbox


async def serve(config: Config) -> None:
    """Serve until SIGTERM or SIGINT; a line on stdout says where."""
    journal, hold = Journal(config.log), Hold()
    outbox = Outbox(config, journal)
    provider = Provider(config, journal, outbox, hold)
    listener = Listener(config.port, web.Server(provider, access_log=None), provider)
    runner = web.AppRunner(Control(config.control_token, provider, outbox, hold).app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    listener.start()
    ready = {"port": listener.port, "control_port": runner.addresses[0][1], "pid": os.getpid()}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    try:
        await _until_told_to_end(outbox)
    finally:
        listener.close()
        await runner.cleanup()
        journal.close()


async def _until_told_to_end(outbox: Outbox) -> None:
    posting = asyncio.create_task(outbox.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, posting.cancel)
    try:
        await posting
    except asyncio.CancelledError:
        return
