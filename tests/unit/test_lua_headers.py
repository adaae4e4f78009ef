"""Every script's header is its signature: it lists exactly the slots, keys and parts that the body uses."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from shared.redis.scripts import load, part

ROOMS = ("queue", "limits", "idempotency", "redis")
BUDGET = 60
"""Lines of code in a file, its header and its includes apart."""


def lua(room: str, *folder: str) -> list[Path]:
    root = Path(str(files(f"shared.{room}")), "lua", *folder)
    return sorted(root.glob("*.lua"))


SCRIPTS = [(room, path.stem) for room in ROOMS for path in lua(room)]
PARTS = [(room, path.stem) for room in ROOMS for path in lua(room, "parts")]


def source(room: str, name: str) -> str:
    return Path(str(files(f"shared.{room}")), "lua", f"{name}.lua").read_text()


def header(text: str) -> dict[str, list[str]]:
    """Its sections, by title; the first lines under `SUMMARY`."""
    found: dict[str, list[str]] = {"SUMMARY": []}
    title = "SUMMARY"
    for line in text.partition("]]")[0].splitlines()[1:]:
        if re.fullmatch(r"KEYS|ARGV|RETURNS|DERIVED", line):
            title = line
            found[title] = []
        elif line.strip():
            found[title].append(line.strip())
    return found


def slots(lines: list[str]) -> tuple[set[int], bool]:
    """The numbered slots, and whether there is one for all that follow."""
    numbers = [re.match(r"(\d+)(\+?) ", line + " ") for line in lines]
    named = {int(found[1]) for found in numbers if found and not found[2]}
    return named, any(found and found[2] for found in numbers)


def code(text: str) -> str:
    """Without comments."""
    return re.sub(r"--\[\[.*?\]\]|--[^\n]*", "", text, flags=re.DOTALL)


@pytest.mark.parametrize(("room", "name"), SCRIPTS)
def test_a_header_says_what_the_script_does_and_returns(room: str, name: str) -> None:
    sections = header(source(room, name))
    assert sections["SUMMARY"][0].startswith(f"{name}: ")
    assert sections["RETURNS"]


@pytest.mark.parametrize(("room", "name"), SCRIPTS)
def test_a_header_lists_every_slot_the_body_uses(room: str, name: str) -> None:
    sections, body = header(source(room, name)), code(load(room, name).body)
    for table in ("KEYS", "ARGV"):
        listed, rest = slots(sections.get(table, []))
        used = {int(number) for number in re.findall(rf"{table}\[(\d+)\]", body)}
        assert listed == used, f"{table} of {name}"
        assert rest == bool(re.search(rf"{table}\[[a-z]|\({table}[,)]|#{table}\b", body)), (
            f"{table} of {name}"
        )


@pytest.mark.parametrize(("room", "name"), SCRIPTS)
def test_a_header_lists_every_key_the_body_derives(room: str, name: str) -> None:
    listed = set(" ".join(header(source(room, name)).get("DERIVED", [])).split())
    assert listed == set(re.findall(r"\bK\.(\w+)", code(load(room, name).body))) - {"meta"}


@pytest.mark.parametrize(("room", "name"), SCRIPTS)
def test_a_script_calls_a_function_of_every_part_it_includes(room: str, name: str) -> None:
    whole = code(load(room, name).body)
    for include in re.findall(r"^-- @include (\w+)/(\w+)$", source(room, name), re.MULTILINE):
        defined = re.findall(r"^local (?:function )?(\w+)", part(*include), re.MULTILINE)
        assert any(len(re.findall(rf"\b{each}\b", whole)) > 1 for each in defined), (
            f"{name} includes {include}"
        )


@pytest.mark.parametrize(("room", "name"), PARTS)
def test_a_part_includes_nothing_and_is_included(room: str, name: str) -> None:
    assert "@include" not in part(room, name)
    assert any(f"-- @include {room}/{name}\n" in source(*script) for script in SCRIPTS)


@pytest.mark.parametrize(("room", "name"), SCRIPTS)
def test_a_script_that_uses_functions_of_the_language_as_locals_includes_them_first(
    room: str, name: str
) -> None:
    prelude = part("redis", "locals")
    names = {
        each for line in re.findall(r"^local (.+) =", prelude, re.MULTILINE) for each in line.split(", ")
    }
    before, _, after = load(room, name).body.rpartition(prelude)
    used = names.intersection(re.findall(r"(?<![.\w])(\w+)\b", re.sub(r"'[^'\n]*'", "", code(after))))
    assert (before != "" and not code(before).strip()) is bool(used), used


@pytest.mark.parametrize("path", [path for room in ROOMS for path in lua(room) + lua(room, "parts")], ids=str)
def test_a_file_fits_on_a_page(path: Path) -> None:
    lines = [line for line in code(path.read_text()).splitlines() if line.strip()]
    assert len(lines) <= BUDGET


@pytest.mark.parametrize(
    "path",
    [path for room in ROOMS for folder in ((), ("parts",)) for path in lua(room, *folder)],
    ids=lambda path: path.stem,
)
def test_no_call_reads_or_drops_as_much_as_there_is(path: Path) -> None:
    whole = {
        "KEYS",
        "SMEMBERS",
        "HGETALL",
        "HKEYS",
        "HVALS",
        "SORT",
        "LREM",
        "ZRANGEBYSCORE",
        "ZREMRANGEBYSCORE",
    }
    few = {
        ("HGETALL", "K.refused"),  # a field a scope
        ("LREM", "K.completed"),  # no longer than what is kept
        ("ZREMRANGEBYSCORE", "K.slots"),  # no more than ran at once
    }
    for command, key, rest in re.findall(r"\bcall\('(\w+)', ([\w.]+)(.*)", path.read_text()):
        assert command not in whole or (command, key) in few
        assert "'BYSCORE'" not in rest or "'LIMIT'" in rest
        assert not (command.endswith("RANGE") and re.search(r", -1\b", rest))
