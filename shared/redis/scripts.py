"""Scripts: Lua files whose header is their signature, called by name with arguments by name.

A script is `shared/<room>/lua/<name>.lua`. A line `-- @include <room>/<part>` in it stands for the function
in `shared/<room>/lua/parts/<part>.lua`, which includes nothing itself. The header's KEYS and ARGV sections
list `<slot>  <name>  <type or unit>  <meaning>`; a last slot `5+` is for all that follow.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

_INCLUDE = re.compile(r"^-- @include (\w+)/(\w+)$", re.MULTILINE)
_SLOT = re.compile(r"^  \d+ +(\w+)", re.MULTILINE)  # a last slot `5+` has no name to bind
_SECTION = re.compile(r"^(KEYS|ARGV)\n((?:  .*\n)+)", re.MULTILINE)

Argument = str | bytes | int | float


@dataclass(frozen=True, slots=True)
class Script:
    """A script ready to run, and the names of its slots."""

    body: str
    sha: str
    keys: tuple[str, ...]
    argv: tuple[str, ...]


@cache
def load(room: str, name: str) -> Script:
    """Read a script of a room, its parts put in."""
    source = files(f"shared.{room}").joinpath("lua", f"{name}.lua").read_text()
    sections = {title: tuple(_SLOT.findall(lines)) for title, lines in _SECTION.findall(source)}
    body = _INCLUDE.sub(lambda found: part(*found.groups()), source)
    sha = hashlib.sha1(body.encode(), usedforsecurity=False).hexdigest()
    return Script(body, sha, sections.get("KEYS", ()), sections.get("ARGV", ()))


def part(room: str, name: str) -> str:
    """The function that an include stands for."""
    return files(f"shared.{room}").joinpath("lua", "parts", f"{name}.lua").read_text()


async def run(
    redis: Redis,
    script: Script,
    keys: Mapping[str, str],
    argv: Mapping[str, Argument],
    rest: Sequence[Argument] = (),
) -> Any:
    """Call a script; `rest` follows its named arguments. A server that does not know the script is told."""
    named = [*(keys[name] for name in script.keys), *(argv[name] for name in script.argv)]
    execute: Callable[..., Awaitable[Any]] = redis.execute_command
    arguments = (len(script.keys), *named, *rest)
    try:
        return await execute("EVALSHA", script.sha, *arguments)
    except NoScriptError:
        return await execute("EVAL", script.body, *arguments)
