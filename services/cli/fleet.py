"""Child processes: the services of `outreach dev` and `demo`, kept running as an orchestrator would."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from shared.loop import Backoff, pause

log = structlog.get_logger()

Say = Callable[[str, str], None]
"""Takes a service's name and one line of its output."""

_STOP = timedelta(seconds=40)


@dataclass
class Replica:
    """One place in the fleet; `process` changes when it is started again after its end."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    process: asyncio.subprocess.Process | None = None
    keeper: asyncio.Task[None] | None = None


@dataclass
class Fleet:
    """Starts replicas, starts them again when they end by themselves, and stops them all in order."""

    say: Say
    replicas: list[Replica] = field(default_factory=list)
    pids: set[int] = field(default_factory=set)
    exits: dict[int, int] = field(default_factory=dict)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, name: str, command: tuple[str, ...], environment: Mapping[str, str]) -> Replica:
        """Start one replica of a service; its output is said line by line under its name."""
        replica = Replica(name, command, environment)
        self.replicas.append(replica)
        await self._spawn(replica)
        replica.keeper = asyncio.create_task(self._keep(replica))
        return replica

    def pids_of(self, name: str) -> list[int]:
        """The process ids of a service's replicas that run now."""
        return [
            replica.process.pid
            for replica in self.replicas
            if replica.name.partition("-")[0] == name and replica.process is not None and _runs(replica)
        ]

    async def kill(self, pid: int) -> None:
        """End a process of ours as a crash would; it is gone when this returns.

        Raises ValueError for a pid that is not a running replica's: another process is not ours to end.
        """
        process = self._process(pid)
        process.kill()
        await process.wait()

    def freeze(self, pid: int) -> None:
        """Stop a process of ours where it stands, until it is thawed or killed. Raises as `kill`."""
        self._process(pid).send_signal(signal.SIGSTOP)

    def thaw(self, pid: int) -> None:
        """Let a frozen process go on. Raises as `kill`."""
        self._process(pid).send_signal(signal.SIGCONT)

    def _process(self, pid: int) -> asyncio.subprocess.Process:
        for replica in self.replicas:
            if replica.process is not None and replica.process.pid == pid and _runs(replica):
                return replica.process
        raise ValueError(f"{pid} is not a running process of this fleet")

    async def stop(self) -> None:
        """SIGTERM to all, the last started first; who does not end in time is killed."""
        self._stop.set()
        for replica in reversed(self.replicas):
            if _runs(replica) and replica.process is not None:
                replica.process.terminate()
        await asyncio.gather(*(self._ended(replica) for replica in self.replicas))

    async def _ended(self, replica: Replica) -> None:
        if replica.process is None or replica.keeper is None:
            return
        try:
            async with asyncio.timeout(_STOP.total_seconds()):
                await replica.process.wait()
        except TimeoutError:
            log.error("service.stuck", service=replica.name, pid=replica.process.pid)
            replica.process.kill()
        await replica.keeper

    async def _spawn(self, replica: Replica) -> None:
        replica.process = await asyncio.create_subprocess_exec(
            *replica.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": os.defpath, "PYTHONUNBUFFERED": "1", **replica.environment},
            limit=1024 * 1024,
            start_new_session=True,  # Ctrl-C is for us: we stop the services in order
        )
        self.pids.add(replica.process.pid)

    async def _keep(self, replica: Replica) -> None:
        """Pass the output on, and start the service again when it ends and we did not end it."""
        backoff = Backoff()
        while True:
            process = replica.process
            if process is None or process.stdout is None:
                return
            async for line in process.stdout:
                self.say(replica.name, line.decode(errors="replace").rstrip())
            self.exits[process.pid] = await process.wait()
            if self._stop.is_set():
                return
            log.warning("service.ended", service=replica.name, pid=process.pid, status=process.returncode)
            await pause(self._stop, backoff.next())
            if self._stop.is_set():
                return
            await self._spawn(replica)


def _runs(replica: Replica) -> bool:
    return replica.process is not None and replica.process.returncode is None
