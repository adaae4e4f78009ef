"""Charts: a line of samples as the points of an SVG polyline."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 300, 48
_SLOTS = 300  # samples from edge to edge: a young chart begins on the right


@dataclass(frozen=True, slots=True)
class Chart:
    """A line. `words` tells it to who does not see it."""

    points: str
    area: str
    top: float
    words: str


def chart(values: Sequence[float], what: str, unit: str) -> Chart:
    """The line of samples, the latest at the right edge, its highest at the top."""
    top = max(values, default=0)
    latest = values[-1] if values else 0
    step = WIDTH / (_SLOTS - 1)
    first = WIDTH - step * (len(values) - 1)
    spots = [
        f"{first + step * n:.1f},{HEIGHT - 1 - (HEIGHT - 3) * (value / top if top else 0):.1f}"
        for n, value in enumerate(values)
    ]
    points = " ".join(spots)
    area = f"{first:.1f},{HEIGHT} {points} {WIDTH},{HEIGHT}" if spots else ""
    return Chart(points, area, top, f"{what}: {latest:.3g} {unit} now, {top:.3g} {unit} at most")
