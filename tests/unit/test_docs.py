"""What the documents say, compared with what there is."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from services.admin.settings import AdminSettings
from services.dispatch.settings import DispatcherSettings
from services.gateway.settings import GatewaySettings
from services.send.settings import SendWorkerSettings
from services.timeout.settings import TimeoutWorkerSettings
from services.webhook.settings import WebhookWorkerSettings

ROOT = Path(__file__).parents[2]
SERVICES: tuple[type[BaseSettings], ...] = (
    GatewaySettings,
    DispatcherSettings,
    SendWorkerSettings,
    TimeoutWorkerSettings,
    WebhookWorkerSettings,
    AdminSettings,
)


def variables(settings: type[BaseSettings]) -> dict[str, FieldInfo]:
    """Every environment variable a settings class reads."""
    found: dict[str, FieldInfo] = {}
    prefix = str(settings.model_config.get("env_prefix", ""))
    for name, field in settings.model_fields.items():
        part: Any = field.annotation
        if isinstance(part, type) and issubclass(part, BaseModel):
            found |= variables(part) if issubclass(part, BaseSettings) else {}
        else:
            alias = field.validation_alias
            found[alias if isinstance(alias, str) else f"{prefix}{name}".upper()] = field
    return found


def settings_table() -> str:
    """The table of docs/settings.md."""
    readers: dict[str, list[str]] = {}
    fields: dict[str, FieldInfo] = {}
    for settings in SERVICES:
        for name, field in variables(settings).items():
            readers.setdefault(name, []).append(settings.__module__.split(".")[1])
            fields[name] = field
    rows = [
        f"| `{name}` | {_default(fields[name])} | {', '.join(readers[name])} |" for name in sorted(fields)
    ]
    return "\n".join(["| variable | default | read by |", "|---|---|---|", *rows, ""])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    return "" if value is None else f"`{value}`"


def test_every_setting_is_documented() -> None:
    assert settings_table() in (ROOT / "docs" / "settings.md").read_text()


def test_the_readme_names_its_two_commands_in_order_near_its_top() -> None:
    top = "\n".join((ROOT / "README.md").read_text().splitlines()[:20])
    assert re.search(r"make demo.*\n.*make test", top)


def test_every_document_the_readme_links_exists() -> None:
    for name in re.findall(r"`(docs/[\w.-]+)`", (ROOT / "README.md").read_text()):
        assert (ROOT / name).is_file(), name
