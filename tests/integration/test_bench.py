"""The engine's benchmark measures every row of its table; what the figures are is no matter of a test."""

import asyncio
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.__main__ import Beside, report
from benchmarks.pages import ROWS as LOOKING
from benchmarks.peer import Peer
from services.cli.bench.load import Load
from services.cli.bench.rows import ROWS, Result, Row, at_most, times_peer
from services.cli.bench.table import table
from shared.queue.types import Counts, Enqueued
from tests.integration.queue_state import bench

RATE = Row("rate", "a rate", "jobs/s", times_peer(2), peer="peers")
BYTES = Row("bytes", "a size", "B", at_most(10))
RESULTS = [Result(RATE, (40.0, 20.0, 60.0)), Result(BYTES, (12.0,))]


async def test_the_command_measures_every_row() -> None:
    command = (sys.executable, "-m", "services.cli", "bench", "queue", "--quick", "--json")
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    found = json.loads(output)
    assert [each["row"] for each in found] == [row.name for row in ROWS]
    assert [each["row"] for each in found if not math.isfinite(each["figure"])] == []
    figures = {each["row"]: each["figure"] for each in found}
    # What no busy machine can change: the rest are times and bytes.
    assert (figures["limits_over"], figures["limits_used"]) == (0, 100)
    assert figures["fairness"] <= 5


@pytest.mark.timeout(180)
async def test_what_looking_costs_is_measured_row_by_row(tmp_path: Path) -> None:
    found = tmp_path / "pages.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.pages", "--quick", "--json", str(found)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    rows = json.loads(found.read_text())
    assert [each["row"] for each in rows] == [row.name for row in LOOKING]
    assert [each["row"] for each in rows if not math.isfinite(each["figure"])] == []
    figures = {each["row"]: each["figure"] for each in rows}
    # What no busy machine can change: the rest are times.
    assert figures["overview_commands"] == 1


async def test_the_jobs_of_the_benchmark_are_as_large_as_it_says_and_end_completed(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        load = Load(b.queue, 2)
        jobs = load.make(3)
        assert [{len(each.payload) for each in jobs}, {len(each.id) for each in jobs}] == [{200}, {41}]
        assert [each.tenant for each in jobs] == ["tenant-000000", "tenant-000001", "tenant-000000"]
        assert await b.queue.enqueue(jobs) == [Enqueued.CREATED] * 3
        await load.work_off(2, 1)
        assert await b.queue.counts(0) == Counts(waiting=1, completed=2)


def test_a_row_is_judged_by_its_median_against_the_peer_or_its_bound() -> None:
    rows = report(RESULTS, _measured(Peer({"peers": 16.0})))["rows"]
    assert [(each["figure"], each["peer"], each["ratio"], each["met"]) for each in rows] == [
        (40.0, 16.0, 2.5, True),
        (12.0, None, None, False),
    ]
    rows = report(RESULTS, _measured(Peer({"peers": 25.0})))["rows"]
    assert [(each["ratio"], each["met"]) for each in rows] == [(1.6, False), (None, False)]


def test_without_a_peer_its_reason_is_told_and_what_needs_it_is_not_judged() -> None:
    found = report(RESULTS, _measured(Peer(None, "no peer: node is not on the path")))
    assert (found["no_peer"], found["peer"]) == ("no peer: node is not on the path", {})
    assert [each["met"] for each in found["rows"]] == [None, False]


def test_the_table_has_a_line_for_each_row() -> None:
    within = replace(RESULTS[1], figures=(9.0,))
    assert table([RESULTS[0], RESULTS[1], within], {"peers": 16.0}).splitlines() == [
        "row     ours  (lowest to highest)  unit    peer  ratio  target      met",
        "a rate  40    (20 to 60)           jobs/s  16    2.5 ×  ≥ 2 × peer  met",
        "a size  12                         B                    ≤ 10        NOT MET",
        "a size  9                          B                    ≤ 10        met",
    ]
    assert table(RESULTS[:1], {}).splitlines()[1].endswith("no peer")


def _measured(peer: Peer) -> Beside:
    beside = Beside(1)
    beside.add(peer)
    return beside
