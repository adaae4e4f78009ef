"""What a service imports, compared with what its extra installs."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
BY_NAME = {"httptools"}
"""Loaded by uvicorn, which is told its name."""


def modules() -> dict[str, Path]:
    found = {}
    for path in (path for room in ("services", "shared") for path in (ROOT / room).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


OURS = modules()


def imported(module: str) -> Iterator[str]:
    """What a module's text imports, at whatever place, and the packages it lies in."""
    yield from (module[:at] for at, sign in enumerate(module) if sign == ".")
    for node in ast.walk(ast.parse(OURS[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)


def reached(*starts: str) -> set[str]:
    """The distributions that modules import, by way of each other."""
    seen, waiting, others = set[str](), list(starts), set[str]()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for name in imported(module):
            if name in OURS:
                waiting.append(name)
            elif (top := name.partition(".")[0]) not in {*sys.stdlib_module_names, "services", "shared"}:
                others.add(top)
    names = packages_distributions()
    return {names[top][0].lower().replace("_", "-") for top in others}


def named(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", each)[0].lower() for each in requirements}


@pytest.mark.parametrize("service", ["gateway", "dispatch", "send", "timeout", "webhook", "admin"])
def test_a_services_extra_is_what_it_imports_beyond_the_dependencies(service: str) -> None:
    needed = reached(*(module for module in OURS if module.startswith(f"services.{service}.")))
    base = named(PROJECT["dependencies"])
    assert needed - base == named(EXTRAS[service]) - BY_NAME


def test_the_command_lines_extra_is_what_it_imports_beyond_the_dependencies() -> None:
    needed = reached("services.cli.__main__")
    assert needed - named(PROJECT["dependencies"]) - named(EXTRAS["embedded"]) == named(EXTRAS["cli"])
