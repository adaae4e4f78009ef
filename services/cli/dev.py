"""`outreach dev`: every service on embedded servers, data kept in a folder, until Ctrl-C."""

import asyncio
import signal
import sys
from pathlib import Path

from services.cli.stack import Stack, running

_COLOURS = {"gateway": 36, "dispatch": 35, "send": 32, "timeout": 33, "webhook": 34, "admin": 31}


async def dev(folder: Path, port: int, admin_port: int) -> None:
    """Run the stack and print each service's output under its name until a signal ends it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    # Services write to a pipe of ours, and cannot see who looks on.
    logs = {"LOG_JSON": "false", "LOG_COLOURS": str(sys.stdout.isatty()).lower()}
    async with running(folder, say, logs, public_port=port, admin_port=admin_port) as stack:
        _welcome(stack, folder)
        await stop.wait()


def say(service: str, line: str) -> None:
    """Print a line of a service's output under its name."""
    name = f"{service:>9} │ "
    if sys.stdout.isatty():
        name = f"\x1b[{_COLOURS.get(service.partition('-')[0], 37)}m{name}\x1b[0m"
    sys.stdout.write(f"{name}{line}\n")
    sys.stdout.flush()


def _welcome(stack: Stack, folder: Path) -> None:
    for line in (
        f"API and webhooks   {stack.public_url}  (OpenAPI page: {stack.public_url}/schema)",
        f"admin pages        {stack.admin_url}",
        *(f"{name} probes  http://127.0.0.1:{port}/ready" for name, port in stack.private_ports.items()),
        f"data               {folder}",
        f"DATABASE_URL={stack.environment['DATABASE_URL']}",
        f"REDIS_URL={stack.environment['REDIS_URL']}",
        "Next: outreach tenants create, outreach keys create (with the variables above set). Ctrl-C stops.",
    ):
        say("outreach", line)
