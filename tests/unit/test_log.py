"""One shape for every line, and nothing in it that must not be."""

import json
import subprocess
import sys

import pytest

from shared import log
from shared.errors import SettingsError
from shared.settings import LogSettings

PROGRAM = """
import logging, warnings
import structlog
from shared import log
from shared.settings import LogSettings

log.configure("send", LogSettings(level="INFO"))
structlog.get_logger().debug("too.quiet")
structlog.get_logger().info("job.settled", job_id="send:1:1", outcome="completed")
structlog.contextvars.bind_contextvars(request_id="r-1")
logging.getLogger("library").warning("odd %s", "thing")
logging.getLogger("taskiq").info("too quiet")
logging.getLogger("taskiq.receiver.params_parser").error("Can't parse ann@example.com")
warnings.warn("old", DeprecationWarning)
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger().exception("loop.failed")
"""


def test_every_line_is_json_with_the_services_name_whoever_writes_it() -> None:
    # In a process of its own: logging is configured once, for good.
    run = subprocess.run(
        [sys.executable, "-W", "always", "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = [json.loads(line) for line in run.stderr.splitlines()]

    assert run.stdout == ""
    assert all(line["service"] == "send" and line["timestamp"].endswith("Z") for line in lines)
    settled, odd, old, failed = lines
    assert (settled["event"], settled["job_id"], settled["level"]) == ("job.settled", "send:1:1", "info")
    assert (odd["event"], odd["logger"], odd["request_id"]) == ("odd thing", "library", "r-1")
    assert "DeprecationWarning: old" in old["event"]
    assert "ZeroDivisionError" in failed["exception"]


@pytest.mark.parametrize(("colours", "coloured"), [({}, False), ({"LOG_COLOURS": "true"}, True)])
def test_text_in_a_pipe_is_coloured_only_if_asked(colours: dict[str, str], coloured: bool) -> None:
    program = PROGRAM.replace('LogSettings(level="INFO")', "LogSettings()")
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"LOG_JSON": "false", **colours},
    )
    assert "job.settled" in run.stderr
    assert ("\x1b" in run.stderr) is coloured


def test_a_level_that_does_not_exist_is_named() -> None:
    with pytest.raises(SettingsError, match="LOUD"):
        log.configure("send", LogSettings(level="LOUD"))
