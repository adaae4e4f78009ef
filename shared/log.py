"""Logging: events with ids, one line each, to stderr. Never a payload, an address or a token.

Every room logs through `structlog.get_logger()`; a process calls `configure` once, before it serves. What
libraries say through the standard library's logging takes the same shape.
"""

import logging
import sys

import structlog
from structlog.typing import Processor

from shared.errors import SettingsError
from shared.settings import LogSettings

# Taskiq's receiver logs what a task raised, and its parser the arguments: our receiver says the first, with
# ids, and nobody says the second.
_SILENT = ("taskiq.receiver",)
_QUIET = ("taskiq", "aiohttp.access", "asyncio", "alembic", "httpx", "httpcore")


def configure(service: str, settings: LogSettings) -> None:
    """Send every event to stderr with the service's name: JSON lines, or text where a person looks on."""
    level = logging.getLevelNamesMapping().get(settings.level.upper())
    if level is None:
        raise SettingsError(f"LOG_LEVEL is {settings.level!r}: use DEBUG, INFO, WARNING or ERROR.")
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(service),
    ]
    renderer = _renderer(settings)
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    _route_standard_logging(level, shared, renderer)


def _renderer(settings: LogSettings) -> list[Processor]:
    if settings.json_lines and not sys.stderr.isatty():
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    colours = sys.stderr.isatty() if settings.colours is None else settings.colours
    return [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)]


def _named(service: str) -> Processor:
    def name(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event.setdefault("service", service)
        return event

    return name


def _route_standard_logging(level: int, shared: list[Processor], renderer: list[Processor]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.captureWarnings(True)


__all__ = ["configure"]
