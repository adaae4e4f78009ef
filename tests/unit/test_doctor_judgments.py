"""What the doctor makes of facts that no server here can be brought to tell."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.cli.doctor.examine import CHECKS, Check, Need
from services.cli.doctor.findings import Answer, Finding, Verdict, status, summary
from services.cli.doctor.servers import judge_clocks, judge_memory, judge_persistence, judge_version
from shared.store.migrate import Standing, compare

WRITTEN = {"aof_enabled": 0, "aof_last_write_status": "ok", "rdb_last_bgsave_status": "ok"}


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (
            {"redis_version": "6.2.14"},
            Answer(Verdict.FAULT, "Redis is 6.2.14: 7.0 is the oldest that serves. Upgrade it."),
        ),
        ({"redis_version": "7.0.0"}, Answer(Verdict.OK, "Redis is 7.0.0.")),
        ({"redis_version": "10.1.0"}, Answer(Verdict.OK, "Redis is 10.1.0.")),
        (
            {"server_name": "valkey", "redis_version": "7.2.4", "valkey_version": "7.1.9"},
            Answer(Verdict.FAULT, "Valkey is 7.1.9: 7.2 is the oldest that serves. Upgrade it."),
        ),
        (
            {"server_name": "valkey", "redis_version": "7.2.4", "valkey_version": "8.0.1"},
            Answer(Verdict.OK, "Valkey is 8.0.1."),
        ),
    ],
)
def test_a_server_older_than_the_floor_is_a_fault(info: dict[str, Any], expected: Answer) -> None:
    assert judge_version(info) == expected


@pytest.mark.parametrize(
    ("info", "verdict", "said"),
    [
        ({"used_memory": 79, "maxmemory": 100}, Verdict.OK, "79% of its maxmemory"),
        ({"used_memory": 80, "maxmemory": 100}, Verdict.WARNING, "80% of its maxmemory"),
        ({"used_memory": 95, "maxmemory": 100}, Verdict.FAULT, "95% of its maxmemory"),
        (
            {"used_memory": 95, "maxmemory": 0, "total_system_memory": 100},
            Verdict.FAULT,
            "95% of the memory of its machine",
        ),
        ({"used_memory": 95, "maxmemory": 0}, Verdict.OK, "no maxmemory"),
    ],
)
def test_memory_that_runs_out_is_told_before_it_has(
    info: dict[str, int], verdict: Verdict, said: str
) -> None:
    answer = judge_memory(info)
    assert (answer.verdict, said in answer.sentence) == (verdict, True), answer


@pytest.mark.parametrize(
    ("state", "save", "verdict"),
    [
        ({}, "", Verdict.WARNING),
        ({}, None, Verdict.OK),
        ({}, "3600 1", Verdict.OK),
        ({"aof_enabled": 1}, "", Verdict.OK),
        ({"aof_enabled": 1, "aof_last_write_status": "err"}, "", Verdict.FAULT),
        ({"rdb_last_bgsave_status": "err"}, "3600 1", Verdict.FAULT),
    ],
)
def test_a_redis_that_keeps_nothing_is_worth_a_look_and_one_that_cannot_write_is_a_fault(
    state: dict[str, Any], save: str | None, verdict: Verdict
) -> None:
    assert judge_persistence({**WRITTEN, **state}, save).verdict is verdict


@pytest.mark.parametrize(
    ("redis", "postgres", "verdict"),
    [(0, 0, Verdict.OK), (1, -1, Verdict.OK), (1.1, -1, Verdict.WARNING), (-40, 21, Verdict.FAULT)],
)
def test_all_three_clocks_are_compared_with_each_other(
    redis: float, postgres: float, verdict: Verdict
) -> None:
    ahead = {
        "this machine": timedelta(0),
        "Redis": timedelta(seconds=redis),
        "Postgres": timedelta(seconds=postgres),
    }
    assert judge_clocks(ahead).verdict is verdict


@pytest.mark.parametrize(
    ("found", "standing"),
    [
        (set(), Standing.MISSING),
        ({"0001"}, Standing.OLDER),
        ({"0002"}, Standing.CURRENT),
        ({"0003"}, Standing.NEWER),
    ],
)
def test_a_schema_stands_to_this_release_by_its_revisions(found: set[str], standing: Standing) -> None:
    assert compare(found, {"0002"}, {"0001", "0002"}) is standing


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((), (0, "Nothing needs attention.")),
        ((Verdict.OK,), (0, "Nothing needs attention.")),
        ((Verdict.WARNING, Verdict.OK), (0, "1 warning.")),
        ((Verdict.FAULT, Verdict.WARNING, Verdict.WARNING), (1, "1 fault, 2 warnings.")),
        ((Verdict.FAULT, Verdict.FAULT, Verdict.UNCHECKED), (1, "2 faults, 1 unchecked.")),
    ],
)
def test_a_fault_fails_the_command_and_a_warning_does_not(
    verdicts: tuple[Verdict, ...], expected: tuple[int, str]
) -> None:
    findings = [Finding("check", verdict, "A sentence.") for verdict in verdicts]
    assert (status(findings), summary(findings)) == expected


def test_every_check_is_documented_in_order_with_what_it_needs() -> None:
    lines = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text().splitlines()
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line[:3] == "| `"]
    documented = {name: needs for name, needs, *_ in rows[len(Verdict) :]}
    assert documented == {check.name: needs_of(check) for check in CHECKS}
    assert list(documented) == [check.name for check in CHECKS]


def needs_of(check: Check) -> str:
    """As the document says it."""
    redis, postgres = Need.REDIS in check.needs, Need.POSTGRES in check.needs
    servers = "both" if redis and postgres else "Redis" if redis else "Postgres" if postgres else ""
    return ", ".join(filter(None, [servers, "secret key" if Need.SECRET_KEY in check.needs else ""]))
