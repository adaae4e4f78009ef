"""Words: how figures, times and long texts are written."""

import re
from datetime import UTC, datetime, timedelta

_MOST = 200
# From the beginning of a word on, or a megabyte without a space would be looked at from each of its letters.
_MAIL = re.compile(r"(?<![^\s\"'<>@:,;])([^\s\"'<>@:,;])[^\s\"'<>@:,;]*(?:@|%40)[^\s\"'<>,;]+", re.IGNORECASE)
_PHONE = re.compile(r"(?:\+|%2B)\d(?:[ ()./-]{0,2}\d){5,14}", re.IGNORECASE)
_LINK = re.compile(r"(https?:\\?/\\?/)[^\s\"'<>]+", re.IGNORECASE)
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def duration(length: timedelta) -> str:
    """A length of time in at most two units: `850 ms`, `12 s`, `3 min 20 s`, `2 d 4 h`."""
    seconds = max(length.total_seconds(), 0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    words: list[str] = []
    left = int(seconds)
    for size, unit in (*_UNITS, (1, "s")):
        count, left = divmod(left, size)
        if count or words:
            words.append(f"{count} {unit}" if count else "")
        if len(words) == 2:
            break
    return " ".join(filter(None, words))


def many(count: int, name: str, names: str = "") -> str:
    """A count of things: `1 job`, `1,200 jobs`."""
    return f"{count:,} {name if count == 1 else names or name + 's'}"


def shortened(text: str, most: int = _MOST) -> str:
    """A text no longer than so many characters, with how many are left out."""
    if len(text) <= most:
        return text
    return f"{text[:most]}… ({many(len(text) - most, 'character')} more)"


def moment(at: datetime) -> str:
    """A time, in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def moment_ms(at: int) -> str:
    """As `moment`, of a time in ms."""
    return moment(datetime.fromtimestamp(at / 1000, UTC))


def beside(at: int, now: int) -> str:
    """A time in ms and how far it is from another: `2026-01-31 03:00:00 UTC, in 12 s`."""
    far = duration(timedelta(milliseconds=abs(at - now)))
    return f"{moment_ms(at)}, {f'in {far}' if at > now else f'{far} ago'}"


def masked(text: str) -> str:
    """A text without mail addresses, phone numbers, and links, which may hold anything: `a…@…`, `+…`, `https://…`."""
    return _PHONE.sub("+…", _MAIL.sub(r"\1…@…", _LINK.sub(r"\1…", text)))
