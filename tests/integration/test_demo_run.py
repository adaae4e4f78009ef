"""The demo as a shell runs it: `outreach demo --json`, without a terminal."""

import asyncio
import json
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Any

import httpx
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


async def told(stderr: asyncio.StreamReader | None) -> str:
    """The address of the admin pages, once the demo prints it."""
    assert stderr is not None
    async for line in stderr:
        found = re.search(rb"watch it live: (\S+)", line)
        if found is not None:
            return found[1].decode()
    raise AssertionError("the demo ended, and told no address")


async def seen_live(address: str) -> list[str]:
    """The queues whose jobs the overview has seen end, when it has of all three."""
    card = re.compile(r"/queues/([^\"]+)\".*?<dt>completed</dt><dd>([1-9][\d,]*)</dd>", re.DOTALL)
    async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=10) as client:
        while True:
            page = (await client.get("/")).raise_for_status().text
            ended = [card.search(each) for each in page.split("<section")]
            if sum(found is not None for found in ended) == 3:
                return [found[1] for found in ended if found is not None]
            await asyncio.sleep(0.5)


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
        address = await told(demo.stderr)
        (stdout, stderr), live = await asyncio.gather(demo.communicate(), seen_live(address))
    finally:
        if demo.returncode is None:  # the test was cut short: SIGTERM lets it stop what it started
            demo.terminate()
            await demo.wait()

    assert live == ["webhook%3Aprocess", "outreach%3Asend", "outreach%3Atimeout"]
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
