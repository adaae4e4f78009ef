"""docs/guarantees.md, read: what is promised, by which tests and lines."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "guarantees.md").read_text()
TESTS = frozenset(re.findall(r"`(test_\w+\.py)::(test_\w+)`", TEXT))
LINES: list[tuple[str, str]] = re.findall(r"`((?:shared|services)/[\w./]+)`: `([^`]+)`", TEXT)


def rows(title: str) -> list[str]:
    """The rows of a section's table."""
    section = TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| ")][1:]
