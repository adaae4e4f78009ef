import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.providers.segments import segments

GSM = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCÄÖÑÜ§¿abcäöñüà"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 1),
        ("a", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        (GSM, 1),
        ("é" * 160, 1),
        ("ç" * 70, 1),  # lower-case c with cedilla is not in GSM-7
        ("ç" * 71, 2),
        ("a" * 70 + "ç", 2),
        ("ж" * 134, 2),
        ("ж" * 135, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 158 + "€", 1),
        ("a" * 159 + "€", 2),
        ("€" * 153, 3),  # a part takes 76 pairs: its last septet stays empty
        ("a" * 152 + "€" + "a" * 151, 2),
        ("a" * 152 + "€" + "a" * 152, 3),  # the pair moves to the second part whole
        ("\f^{}\\[~]|€" * 8, 1),
        ("\f^{}\\[~]|€" * 8 + "a", 2),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("😀" * 66, 2),  # a part takes 33 pairs
        ("😀" * 67, 3),
        ("€" * 70 + "ж", 2),  # in UCS-2 the euro sign is one unit
        ("€" * 69 + "ж", 1),
        ("\ud800" * 70, 1),
    ],
)
def test_segments_of(text: str, expected: int) -> None:
    assert segments(text) == expected


@settings(deadline=None)
@given(st.text(max_size=400))
def test_segments_lie_between_what_the_units_need_and_what_gaps_can_waste(text: str) -> None:
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    assert 1 <= segments(text) <= max(1, -(-units // 66))
    assert segments(text) <= segments(text + "a") <= segments(text) + 1
