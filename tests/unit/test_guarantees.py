"""The guarantees as documented, compared with the tests and lines there are."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "guarantees.md").read_text()
TESTS = re.findall(r"`(test_\w+\.py)::(test_\w+)`", TEXT)
LINES = re.findall(r"`((?:shared|services)/[\w./]+)`: `([^`]+)`", TEXT)


@pytest.mark.parametrize(("file", "name"), sorted(set(TESTS)))
def test_each_test_named_as_a_guarantee_exists_and_is_never_skipped(file: str, name: str) -> None:
    (path,) = (ROOT / "tests").rglob(file)
    tree = ast.parse(path.read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    (found,) = [node for node in functions if node.name == name]
    assert not [mark for mark in found.decorator_list if "mark.skip" in ast.unparse(mark)]


@pytest.mark.parametrize(("file", "line"), LINES)
def test_each_line_named_as_a_guarantee_exists(file: str, line: str) -> None:
    assert line in (ROOT / file).read_text()


def test_every_promise_has_a_test_and_a_line() -> None:
    promises = TEXT.partition("## Promises")[2].partition("## Defaults")[0]
    rows = [row for row in promises.splitlines() if row.startswith("| ")][1:]
    assert rows
    for row in rows:
        assert re.search(r"::test_\w+`.*`(?:shared|services)/", row), row


def rows(text: str) -> list[str]:
    """The first cells of tables."""
    return [
        line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ") and "race |" not in line
    ]


def test_every_row_of_the_race_table_has_its_tests(shared_dir: Path) -> None:
    domain = (shared_dir / "reference" / "domain.md").read_text()
    table = domain.partition("## 6. Races")[2].partition("**Gaps")[0]
    races = TEXT.partition("## Races")[2]
    assert rows(races) == rows(table)
    for line in races.splitlines():
        assert not line.startswith("| ") or "race |" in line or "::test_" in line, line
