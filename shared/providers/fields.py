"""Fields: what strangers send, made fit to be stored and compared.

Postgres stores neither NUL nor lone surrogates nor numbers that are no numbers, and indexes no long text; one
such field must not fail the batch of events it came in.
"""

import json
import math
import re
from hashlib import blake2b
from typing import Any
from uuid import UUID

MAX_ID = 255
MAX_ADDRESS = 320
MAX_TEXT = 2000

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_MAX_DEPTH = 16


def text(value: object, limit: int = MAX_TEXT) -> str | None:
    """The string without what Postgres refuses, cut at `limit` characters; None for anything else."""
    if not isinstance(value, str) or not value:
        return None
    if not value.isascii() or "\0" in value:
        value = _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    return value[:limit]


def identifier(value: object, limit: int = MAX_ID) -> str | None:
    """The string, or None where it is none or too long: half an id would match the wrong row."""
    found = text(value, limit + 1)
    return found if found is not None and len(found) <= limit else None


def action(value: object) -> UUID | None:
    """Our action id as it came back; None for what is not one."""
    if not isinstance(value, str):
        return None
    try:
        return UUID(value)
    except ValueError:
        return None


def storable(value: object, depth: int = _MAX_DEPTH) -> Any:
    """Parsed JSON as Postgres can store it: what is nested deeper than `depth` becomes null."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict | list) and depth == 0:
        return None
    if isinstance(value, dict):
        return {storable(key): storable(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item, depth - 1) for item in value]
    return value


def natural_key(*parts: object) -> bytes:
    """16 bytes that name an event by what it says: texts, whole numbers, true, false and null.

    Order and spelling of the parts are for ever: events stored under one spelling are not recognised under
    another. A part of another type says nothing.
    """
    spelled = json.dumps([part if isinstance(part, str | int) else None for part in parts])
    return blake2b(spelled.encode(), digest_size=16).digest()
