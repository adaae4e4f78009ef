"""BullMQ, measured in the same run as the engine where Node is present.

`python -m benchmarks.peer` measures it alone, on a server of its own, and prints the numbers.
"""

import asyncio
import json
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from shared.redis.embedded import EmbeddedValkey

FOLDER = Path(__file__).parent / "peer"
OLDEST_NODE = 20
JOBS = 20_000
INSTALL_TIMEOUT = timedelta(minutes=5)
RUN_TIMEOUT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Peer:
    """What was measured, by row of peer.mjs with the unit in its name; or None, and why there is no peer."""

    numbers: dict[str, float] | None
    reason: str = ""


class NoPeer(Exception):
    """BullMQ cannot be measured here."""


async def measure(port: int, jobs: int = JOBS) -> Peer:
    """Measure BullMQ on the server at a local port, with so many jobs a row; install it first if need be.

    The server must be the benchmark's own: the rows leave jobs behind.
    """
    try:
        node, npm = await _node(), _tool("npm")
        if not _is_installed():
            await _run(INSTALL_TIMEOUT, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        output = await _run(RUN_TIMEOUT, node, "peer.mjs", str(port), str(jobs))
    except NoPeer as error:
        return Peer(None, f"no peer: {error}")
    return Peer(json.loads(output))


async def _node() -> str:
    node = _tool("node")
    version = await _run(timedelta(seconds=20), node, "--version")
    major = re.match(r"v(\d+)\.", version)
    if major is None or int(major[1]) < OLDEST_NODE:
        raise NoPeer(f"Node is {version.strip()}, BullMQ is measured on {OLDEST_NODE} or newer")
    return node


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise NoPeer(f"{name} is not on the path")
    return path


def _is_installed() -> bool:
    """Whether what npm installed is no older than the lock."""
    installed = FOLDER / "node_modules" / ".package-lock.json"
    return installed.exists() and installed.stat().st_mtime >= (FOLDER / "package-lock.json").stat().st_mtime


async def _run(timeout: timedelta, *command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=FOLDER, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    name = " ".join([Path(command[0]).name, *command[1:2]])
    try:
        output, errors = await asyncio.wait_for(process.communicate(), timeout.total_seconds())
    except TimeoutError as error:
        raise NoPeer(f"{name} took longer than {timeout}") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        said = errors.decode(errors="replace").strip()[-500:]
        raise NoPeer(f"{name} ended with {process.returncode}: {said}")
    return output.decode()


async def _alone(jobs: int) -> Peer:
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedValkey(Path(folder)) as server:
            return await measure(server.port, jobs)


if __name__ == "__main__":
    peer = asyncio.run(_alone(int(sys.argv[1]) if len(sys.argv) > 1 else JOBS))
    print(peer.reason or json.dumps(peer.numbers, indent=2))
