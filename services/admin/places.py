"""Places in long lists, as addresses of pages carry them: ids and times; nonsense is none."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from shared.store.ids import parsed

Part = UUID | datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST = (datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND


def written(place: Sequence[Part] | None) -> str | None:
    """A place as text; None for none."""
    if place is None:
        return None
    return "~".join(
        part.hex if isinstance(part, UUID) else str((part - _EPOCH) // _MICROSECOND) for part in place
    )


def read(text: str, *kinds: type[Part]) -> list[Part] | None:
    """The place that was written; None: it is none, and a list begins at its first."""
    parts = text.split("~")
    if len(parts) != len(kinds):
        return None
    found = [parsed(part) if kind is UUID else _time(part) for part, kind in zip(parts, kinds, strict=True)]
    return [part for part in found if part is not None] if None not in found else None


def _time(part: str) -> datetime | None:
    if not (part.isascii() and part.isdecimal() and len(part) < 18):
        return None
    return _EPOCH + min(int(part), _LAST) * _MICROSECOND
