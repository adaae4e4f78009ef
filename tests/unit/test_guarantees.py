"""The guarantees as documented, compared with the tests and lines there are."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import pytest_runtest_makereport
from tests.guarantees import LINES, ROOT, TESTS, TEXT, rows

SECTIONS = ("Promises", "Defaults", "Users' pains with other queues")
LEFT_OUT = re.compile(r"\b(skip|skipif|xfail|importorskip|slow|e2e|browser)\b")
"""Marks of what is not run, or may fail."""


def marks(tree: ast.Module, name: str) -> Iterator[str]:
    """What may mark a test: its decorators, with what they name of the module, and the module's own mark."""
    (found,) = (node for node in tree.body if getattr(node, "name", "") == name)
    assert isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef)
    assigned = {
        ast.unparse(node.targets[0]): ast.unparse(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
    }
    yield assigned.get("pytestmark", "")
    for decorator in found.decorator_list:
        yield ast.unparse(decorator)
        yield from (assigned.get(part.id, "") for part in ast.walk(decorator) if isinstance(part, ast.Name))


@pytest.mark.parametrize(("file", "name"), sorted(TESTS))
def test_each_test_named_as_a_guarantee_exists_and_is_not_left_out(file: str, name: str) -> None:
    (path,) = (ROOT / "tests").rglob(file)
    assert not [mark for mark in marks(ast.parse(path.read_text()), name) if LEFT_OUT.search(mark)]


@pytest.mark.parametrize(
    "source",
    [
        "@pytest.mark.skip\ndef test_it(): ...",
        "@pytest.mark.skipif(True, reason='')\ndef test_it(): ...",
        "only = pytest.mark.skipif(True, reason='')\n@only\ndef test_it(): ...",
        "@pytest.mark.slow\nasync def test_it(): ...",
        "pytestmark = [pytest.mark.e2e]\ndef test_it(): ...",
        "@pytest.mark.parametrize('n', [pytest.param(1, marks=pytest.mark.xfail)])\ndef test_it(n): ...",
    ],
)
def test_a_test_that_is_left_out_is_seen(source: str) -> None:
    assert [mark for mark in marks(ast.parse(source), "test_it") if LEFT_OUT.search(mark)]


@pytest.mark.parametrize(("file", "outcome"), [(min(TESTS)[0], "failed"), ("test_other.py", "skipped")])
def test_a_guarantees_test_that_is_skipped_while_it_runs_fails(file: str, outcome: str) -> None:
    name = min(TESTS)[1]
    item = SimpleNamespace(path=ROOT / "tests" / file, originalname=name, name=f"{name}[1]")
    hook = pytest_runtest_makereport(item)  # type: ignore[arg-type]  # as much of an item as it looks at
    next(hook)
    with pytest.raises(StopIteration) as stopped:
        hook.send(SimpleNamespace(skipped=True, outcome="skipped", longrepr="why"))  # type: ignore[arg-type]
    assert stopped.value.value.outcome == outcome


def test_what_make_test_leaves_out_is_what_a_guarantee_may_not_be_marked_as() -> None:
    (expression,) = re.findall(r'-m "([^"]+)"', (ROOT / "Makefile").read_text())
    assert all(LEFT_OUT.fullmatch(word) for word in expression.split() if word not in ("not", "and"))


@pytest.mark.parametrize(("file", "line"), LINES)
def test_each_line_named_as_a_guarantee_exists_once(file: str, line: str) -> None:
    assert (ROOT / file).read_text().count(line) == 1


@pytest.mark.parametrize("section", SECTIONS)
def test_every_row_names_a_test(section: str) -> None:
    assert rows(section)
    for row in rows(section):
        assert re.search(r"`test_\w+\.py::test_\w+`", row), row


def test_every_promise_names_a_line() -> None:
    for row in rows("Promises"):
        assert any(f"`{file}`: `{line}`" in row for file, line in LINES), row


def test_every_promise_of_the_readme_is_here() -> None:
    promised = (
        (ROOT / "README.md").read_text().partition("## What is promised\n")[2].partition("Not promised")[0]
    )
    names = re.findall(r"^- \*\*(.+?)\.?\*\*", promised, re.MULTILINE)
    assert len(names) == len(re.findall(r"^- ", promised, re.MULTILINE))
    for name in names:
        assert any(row.startswith(f"| {name}: ") for row in rows("Promises")), name


def test_every_pain_is_here_or_said_to_be_of_no_concern() -> None:
    first = [row.split("|")[1] for row in rows(SECTIONS[2])]
    numbers = {
        int(number)
        for cell in first
        for number in re.findall(r"^ (\d+)|, (\d+)", cell)
        for number in number
        if number
    }
    assert numbers | {20, 22} == set(range(1, 28))


def first_cells(text: str) -> list[str]:
    """The first cells of tables of races."""
    lines = text.splitlines()
    return [line.split(" | ")[0] for line in lines if line.startswith("| ") and "race |" not in line]


def test_every_row_of_the_race_table_has_its_tests(shared_dir: Path) -> None:
    domain = (shared_dir / "reference" / "domain.md").read_text()
    table = domain.partition("## 6. Races")[2].partition("**Gaps")[0]
    races = TEXT.partition("## Races")[2]
    assert first_cells(races) == first_cells(table)
    for line in races.splitlines():
        assert not line.startswith("| ") or "race |" in line or "::test_" in line, line
