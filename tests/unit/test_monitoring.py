"""Rules, dashboard and runbook, compared with each other and with the metrics there are."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from math import isnan
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import Counter, Gauge, Histogram
from typer.testing import CliRunner

from services.cli.app import app
from services.dispatch.gauges import _REASONS
from services.gateway.problems import WORDS as REFUSED
from services.send.outcomes import ENDS
from shared.broker.books import OUTCOMES, Books
from shared.jobs import QUEUES, SENDS, JobState
from shared.metrics import Metrics
from shared.providers import PROVIDERS
from tests.servers import chosen_path, without

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "monitoring"
RULES = (FOLDER / "rules.yaml").read_text()
CASES = (FOLDER / "rules_test.yaml").read_text()
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())

ALERTS = re.findall(r"^ +- alert: (\w+)$", RULES, re.MULTILINE)
SUFFIXES = {Counter: ("_total",), Gauge: ("",), Histogram: ("_bucket", "_sum", "_count")}
WORDS = {
    "queue": set(QUEUES),
    "state": {*JobState, "received", "processing", "parked"},
    "outcome": {*OUTCOMES, *(outcome for outcome, _ in ENDS)},
    "status": {status for _, status in ENDS},
    "scope": {"tenant", "sender", "cost", "cap", "closed"},
    "server": {"redis", "postgres"},
    "reason": set(_REASONS),
    "kind": {"send", "timeout"},
    "provider": {"none", *PROVIDERS},
    "answer": {"stored", "again", *REFUSED},
}
"""What may stand behind a label in a query."""
VALUES = {
    "T": "2026-01-31T03:00:00Z",
    "ID": str(UUID(int=0)),
    "SENDER_ID": str(UUID(int=0)),
    "JOB": f"send:{UUID(int=0)}:0",
}
"""What somebody types where the runbook's commands say so."""


def exported() -> dict[str, set[str]]:
    """Every series of ours, and its labels."""
    found = {}
    for metric in vars(Metrics.create()).values():
        for suffix in SUFFIXES.get(type(metric), ()):
            labels = {*metric._labelnames, *({"le"} if suffix == "_bucket" else ())}
            found[f"{metric._name}{suffix}"] = labels
    return found


EXPORTED = exported()


def expressions() -> Iterator[tuple[str, str]]:
    """Every query of rules and dashboard, by where it is."""
    for name, folded, plain in re.findall(
        r"- alert: (\w+)\n +expr: (?:>-\n((?: {10,}.*\n)+)|(.*)\n)", RULES, re.MULTILINE
    ):
        yield name, folded or plain
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]


EXPRESSIONS = list(expressions())


def promtool(*arguments: str) -> str:
    """What promtool says of files in the folder. It is part of Debian's package prometheus."""
    binary = chosen_path("OUTREACH_TEST_PROMTOOL") or Path("/usr/bin/promtool")
    if not binary.is_file():
        without(f"no {binary}: install Debian's prometheus, or set OUTREACH_TEST_PROMTOOL")
    done = subprocess.run(
        [binary, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_finds_the_rules_well_formed() -> None:
    assert f"SUCCESS: {len(ALERTS)} rules found" in promtool("check", "rules", "rules.yaml")


def test_promtool_sees_each_alert_fire_and_not_fire() -> None:
    assert "SUCCESS" in promtool("test", "rules", "rules_test.yaml")


def test_each_alert_has_a_case_of_either_kind() -> None:
    named = re.findall(r"alertname: (\w+)\n +exp_alerts:( \[\])?", CASES)
    assert sorted((name, bool(none)) for name, none in named) == sorted(
        (name, none) for name in ALERTS for none in (False, True)
    )


def test_each_alert_leads_to_its_section_of_the_runbook() -> None:
    links = re.findall(r"- alert: (\w+)\n(?:.*\n)+? +runbook_url: docs/runbook\.md#(\w+)", RULES)
    assert links == [(name, name.lower()) for name in ALERTS]
    assert re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE) == ALERTS
    for name in ALERTS:
        section = RUNBOOK.partition(f"## {name}\n")[2].partition("\n## ")[0]
        assert [word for word in ("Means", "Look", "Do") if f"**{word}**" not in section] == [], name


def test_each_alert_says_how_urgent_it_is_and_what_is_the_matter() -> None:
    assert len(re.findall(r"labels: \{severity: (?:critical|warning|info)\}", RULES)) == len(ALERTS)
    assert len(re.findall(r"summary: \"", RULES)) == len(ALERTS)


@pytest.mark.parametrize(("where", "query"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_a_query_names_metrics_labels_and_words_there_are(where: str, query: str) -> None:
    selectors = re.findall(r"\b(outreach_\w+)(?:\{([^}]*)\})?", query)
    assert selectors, "it asks for nothing of ours"
    for name, matchers in selectors:
        assert name in EXPORTED, f"{where}: nothing exports {name}"
        for label, sign, value in re.findall(r"(\w+)(=~|!~|!=|=)\"([^\"]*)\"", matchers):
            assert label in EXPORTED[name], f"{where}: {name} has no label {label}"
            if not value.startswith("$"):
                words = set(value.split("|")) if "~" in sign else {value}
                assert words <= WORDS[label], f"{where}: {label} is never {words - WORDS[label]}"
    labels = set.intersection(*(EXPORTED[name] for name, _ in selectors))
    for by in re.findall(r"\b(?:by|on) \(([^)]*)\)", query):
        assert set(by.split(", ")) <= labels, f"{where}: not all have {by}"


def test_every_alert_and_panel_was_read() -> None:
    assert [where for where, _ in EXPRESSIONS][: len(ALERTS)] == ALERTS
    assert all(panel.get("targets") or panel["type"] == "row" for panel in DASHBOARD["panels"])


def test_a_worker_shows_every_outcome_before_the_first_job_or_no_increase_would_be_seen_in_it() -> None:
    metrics = Metrics()
    Books(SENDS.name, metrics)
    shown = {
        sample.labels["outcome"]: sample.value
        for metric in metrics.outcomes.collect()
        for sample in metric.samples
        if sample.name == "outreach_jobs_total"
    }
    assert shown == dict.fromkeys(OUTCOMES, 0)


def test_who_measures_nothing_says_of_nothing_that_there_is_none() -> None:
    gauges = [metric for metric in vars(Metrics()).values() if isinstance(metric, Gauge)]
    assert len(gauges) > 10
    for gauge in gauges:
        for metric in gauge.collect():
            assert [sample for sample in metric.samples if not isnan(sample.value)] == [], metric.name


def test_gauges_that_every_replica_of_dispatch_shows_are_never_added_up() -> None:
    gauges = {metric._name for metric in vars(Metrics()).values() if isinstance(metric, Gauge)}
    for where, query in EXPRESSIONS:
        for added in re.findall(r"\bsum(?: by \([^)]*\))? ?\(\s*(outreach_\w+)", query):
            assert added not in gauges, where


def test_the_runbook_lists_every_metric_and_no_other() -> None:
    table = RUNBOOK.partition("## What the metrics say")[2].partition("\n\nQueues and tables")[0]
    series = {name for name in EXPORTED if not name.endswith(("_bucket", "_sum", "_count"))}
    histograms = {name.removesuffix("_bucket") for name in EXPORTED if name.endswith("_bucket")}
    assert set(re.findall(r"`(outreach_\w+)`", table)) == series | histograms
    for name in re.findall(r"`(outreach_\w+)`", RUNBOOK):
        assert name in series | histograms, name
    for names, labels in re.findall(r"^\| (`outreach_[^|]*) \| ([^|]*)\|", table, re.MULTILINE):
        for name in re.findall(r"`(\w+)`", names):
            given = set(filter(None, labels.strip().split(", ")))
            assert given == EXPORTED.get(name, EXPORTED.get(f"{name}_sum")), name


def test_the_runbook_names_commands_that_are_typed_rightly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)  # so that none gets further than its settings
    monkeypatch.setenv("REDIS_URL", "nowhere")
    commands = {" ".join(words.split()) for words in re.findall(r"`outreach ([^`]+)`", RUNBOOK)}
    for command in sorted(commands - {"resume"}):  # "with the same options"
        typed = [VALUES.get(word, word) for word in shlex.split(command)]
        ended = CliRunner().invoke(app, typed)
        assert ended.exit_code == 1, f"{command}: {ended.output}"


def test_the_runbook_names_settings_there_are() -> None:
    settings = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE))
    assert set(re.findall(r"`\$?([A-Z]+_[A-Z_]+)`", RUNBOOK)) <= settings


def test_the_runbook_names_events_and_loops_there_are() -> None:
    sources = [path.read_text() for room in ("services", "shared") for path in (ROOT / room).rglob("*.py")]
    named = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", RUNBOOK))
    assert named and {name for name in named if not any(f'"{name}"' in text for text in sources)} == set()
