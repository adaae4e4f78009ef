"""Rendering: templates that escape whatever they are given, and fail on a name they are not given."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from services.admin import words
from services.admin.charts import HEIGHT, WIDTH

PLACES = (
    ("/", "Overview"),
    ("/tenants", "Tenants"),
    ("/campaigns", "Campaigns"),
    ("/deliveries", "Deliveries"),
    ("/unknown", "Unknown sends"),
    ("/audit", "Audit"),
)
"""The pages that every page leads to."""

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that pages load; its address changes with it, so it may be kept for ever."""

    body: bytes
    media_type: str
    version: str


def assets() -> dict[str, Asset]:
    """Every file of the pages, by name."""
    found = {}
    for each in files("services.admin").joinpath("assets").iterdir():
        media_type = _TYPES.get(each.name.rpartition(".")[2])
        if media_type is not None:
            body = each.read_bytes()
            found[each.name] = Asset(body, media_type, hashlib.sha256(body).hexdigest()[:16])
    return found


class Pages:
    """Makes pages of templates."""

    def __init__(self, files: dict[str, Asset]) -> None:
        self._environment = Environment(
            loader=PackageLoader("services.admin"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "duration": words.duration,
            "many": words.many,
            "moment": words.moment,
            "moment_ms": words.moment_ms,
            "shortened": words.shortened,
        }
        self._environment.globals |= {
            "asset": {name: f"/assets/{name}?v={asset.version}" for name, asset in files.items()},
            "places": PLACES,
            "said": "",
            "chart_width": WIDTH,
            "chart_height": HEIGHT,
        }

    def page(self, template: str, /, **given: object) -> str:
        """The page of a template."""
        return self._environment.get_template(f"{template}.html").render(**given)

    def problem(self, status: int, message: str) -> bytes:
        """The page that says why there is no other."""
        return self.page("problem", session=None, status=status, message=message).encode()
