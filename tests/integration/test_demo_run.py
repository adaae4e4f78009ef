"""The demo as a shell runs it: `outreach demo --json`, without a terminal."""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Any

import pytest

CONTACTS = 36
SHAPE = {
    "ok": bool,
    "contacts": int,
    "exited": int,
    "exits": dict.fromkeys(("opened", "no_open", "clicked", "bounced", "failed"), int),
    "sends": dict.fromkeys(("accepted", "skipped", "failed", "unconfirmed"), int),
    "duplicate_messages": int,
    "lost": int,
    "early_timeouts": int,
    "limit_violations": int,
    "refusals": int,
    "peak_use": float,
    "webhooks": dict.fromkeys(("posts", "events", "duplicates", "late_in_grace"), int),
    "faults": dict.fromkeys(("429", "5xx", "cut_before", "cut_after"), int),
    "kills": int,
    "flushes": int,
    "processes": int,
    "seconds": float,
}


def shape(value: Any) -> Any:
    return {name: shape(part) for name, part in value.items()} if isinstance(value, dict) else type(value)


@pytest.mark.timeout(300)
async def test_a_run_under_faults_ends_ok_by_itself_and_its_stdout_is_one_json_object(
    reachable_path: Path,
) -> None:
    folder = reachable_path / "demo"
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "demo"),
        *("--contacts", str(CONTACTS), "--json", "--folder", str(folder)),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        stdout, stderr = await demo.communicate()
    finally:
        if demo.returncode is None:  # the test was cut short: SIGTERM lets it stop what it started
            demo.terminate()
            await demo.wait()

    lines = stdout.decode().splitlines()
    assert (demo.returncode, len(lines)) == (0, 1), stderr.decode()
    verdict = json.loads(lines[0])
    assert shape(verdict) == SHAPE
    assert (verdict["ok"], verdict["contacts"], verdict["exited"]) == (True, CONTACTS, CONTACTS)
    assert sum(verdict["exits"].values()) == CONTACTS
    assert (folder / "services.log").read_text().count('"event": "process.stopped"') == 7


async def test_a_folder_that_holds_something_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "demo", "--folder", str(tmp_path)),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    stdout, stderr = await demo.communicate()
    sentence = f"outreach: {tmp_path} holds other files: give the demo a folder of its own.\n"
    assert (demo.returncode, stdout, stderr.decode()) == (1, b"", sentence)
