"""Segments: how many SMS a text takes, which is what carriers limit and bill.

GSM-7 (3GPP TS 23.038 §6.2.1) carries 160 septets in one message and 153 in each part of a longer one; a text
with any character outside it travels as UCS-2, 70 and 67 units. A character of the extension table takes two
septets, one beyond the Basic Multilingual Plane two units, and no part ends inside such a pair.
"""

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")


def segments(text: str) -> int:
    """How many segments the text takes; an empty text counts as one."""
    characters = set(text)
    pairs = characters & _EXTENSION
    if characters <= _BASIC | _EXTENSION:
        single, part = 160, 153
    else:
        single, part = 70, 67
        pairs = {character for character in characters if character > "\uffff"}
    if len(text) + sum(map(text.count, pairs)) <= single:
        return 1
    return _parts(text, pairs, part)


def _parts(text: str, pairs: set[str], room: int) -> int:
    parts, left = 1, room
    for character in text:
        width = 2 if character in pairs else 1
        if width > left:
            parts, left = parts + 1, room
        left -= width
    return parts
