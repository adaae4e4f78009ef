"""The simulator as the demo drives it: a process of its own, told and asked over its control port."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from services.cli.demo import witness
from services.cli.demo.scenario import BEHAVIOURS, FAULTS, Scenario
from services.cli.demo.witness import Witness
from services.cli.simulator.config import Account, Config
from shared.errors import SettingsError

_START = timedelta(seconds=20)
_STOP = timedelta(seconds=10)
_FINISH = timedelta(seconds=30)


@dataclass(frozen=True)
class Simulator:
    """A running simulator."""

    control: httpx.AsyncClient
    log: Path

    async def do(self, order: str, **options: Any) -> dict[str, Any]:
        """Give an order; the counts as they are afterwards."""
        answer = await self.control.post("/control", json={"do": order, **options})
        answer.raise_for_status()
        return dict(answer.json())

    async def held(self) -> dict[str, Any] | None:
        """The request that is held, if one is."""
        answer = await self.control.get("/control/held")
        answer.raise_for_status()
        held = answer.json()
        return dict(held) if held["held"] else None

    async def finish(self) -> None:
        """Let nobody reply any more, and wait until all replies are posted."""
        await self.do("finish", seconds=_FINISH.total_seconds())

    def witness(self) -> Witness:
        """What it wrote down."""
        with self.log.open() as lines:
            return witness.read(lines)


@asynccontextmanager
async def simulating(
    scenario: Scenario, accounts: list[Account], port: int, folder: Path
) -> AsyncIterator[Simulator]:
    """Run the simulator on a port, its files in a folder.

    Raises SettingsError when it does not start.
    """
    token, log = secrets.token_urlsafe(16), folder / "provider.jsonl"
    path = folder / "provider.json"
    path.touch(mode=0o600)  # it holds the keys that webhooks are signed with
    path.write_text(_config(scenario, accounts, port, log, token).model_dump_json())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli.simulator", str(path)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={"PATH": os.defpath},
        start_new_session=True,  # Ctrl-C is for us: we stop it after the services
    )
    try:
        url = f"http://127.0.0.1:{(await _ready(process))['control_port']}"
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(
            base_url=url, headers=headers, timeout=_FINISH.total_seconds() + 10, trust_env=False
        ) as control:
            yield Simulator(control, log)
    finally:
        await _end(process)


def _config(scenario: Scenario, accounts: list[Account], port: int, log: Path, token: str) -> Config:
    return Config(
        port=port,
        log=log,
        seed=scenario.seed,
        control_token=token,
        accounts=accounts,
        weights=dict(BEHAVIOURS),
        recipients=dict(scenario.settled),
        faults=dict(FAULTS),
        timing=scenario.pace.timing,
    )


async def _ready(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None  # it is a pipe
    async with asyncio.timeout(_START.total_seconds()):
        line = await process.stdout.readline()
    if not line:
        raise SettingsError("The demo's simulator did not start: what it said is above.")
    return dict(json.loads(line))


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP.total_seconds()):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
