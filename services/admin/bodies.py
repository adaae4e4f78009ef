"""Stored webhook bodies as a person reads them: JSON in lines, a form by its fields, all else as it came."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from shared.errors import UnknownProvider
from shared.providers import PROVIDERS
from shared.providers.base import ProviderEvent
from shared.store.database import Row

MOST = 20_000
"""Characters of a body that are shown."""

_FIELDS = 100
_FORM = "application/x-www-form-urlencoded"
_LINES = json.JSONEncoder(ensure_ascii=False, indent=2)

Fields = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Body:
    """The beginning of a body: the fields of a form, or text, None where a viewer must not see it.

    `kind` is `JSON`, `form` or `text`; `whole`: nothing is left out.
    """

    kind: str
    fields: Fields
    text: str | None
    whole: bool


def read(body: bytes, headers: Mapping[str, str], shown: Callable[[str], str], may_all: bool) -> Body:
    """A body by what it is; `shown` masks contacts. What cannot be read is for those who `may_all`."""
    lines = _json(body)
    if lines is not None:
        # Masked before it is cut, or half an address could stand at its end.
        return Body("JSON", [], shown(lines)[:MOST], len(lines) <= MOST)
    if headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
        found = fields(body.decode(errors="replace"))
        return Body("form", found[:_FIELDS], None, len(found) <= _FIELDS)
    text = body[: 4 * MOST].decode(errors="replace")
    return Body("text", [], text[:MOST] if may_all else None, len(text) <= MOST and len(body) <= 4 * MOST)


def fields(text: str) -> Fields:
    """The fields of a form or a query."""
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=10_000)
    except ValueError:
        return []


def _json(body: bytes) -> str | None:
    """The beginning of a body that is JSON, in lines; one string more than is shown, so that none is cut."""
    try:
        value = json.loads(body)
        text = ""
        for piece in _LINES.iterencode(value):
            text += piece[: 2 * MOST]
            if len(text) > MOST:
                break
    except (ValueError, RecursionError):
        return None
    return text.encode(errors="backslashreplace").decode()


async def held(delivery: Row[Any]) -> list[ProviderEvent]:
    """The events that a stored body holds, in its order, as its worker reads them."""
    try:
        provider = PROVIDERS[delivery.provider]
    except UnknownProvider:
        return []
    query = dict(parse_qsl(delivery.query))
    # A megabyte of events takes a moment: others' pages go on meanwhile.
    return await asyncio.to_thread(provider.normalize, delivery.body, delivery.headers, query)
