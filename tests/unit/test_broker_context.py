"""What a handler reports of its job, until it is written down."""

from typing import Any, cast

import pytest

from shared.broker.context import Untold
from shared.errors import OutOfRange
from shared.queue.reporting import LONGEST_LINE, MOST_LINES, LogLine
from tests.unit.test_broker_endings import CLAIMED_MS, context

NOW = CLAIMED_MS + 3_000


def test_who_reports_nothing_has_nothing_to_tell() -> None:
    assert context().untold is None


def test_the_last_progress_and_every_line_are_told() -> None:
    job = context()
    job.log("begun")
    job.progress(0.5)
    job.log("half")
    job.progress({"done": 7, "of": 9})
    assert job.untold is not None
    assert (job.untold.progress, [*job.untold.lines]) == (
        b'{"done":7,"of":9}',
        [LogLine(NOW, "begun"), LogLine(NOW, "half")],
    )


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan"), "half", [1], {"of": object()}, {"x": "y" * 1000}])
def test_a_progress_that_is_none_is_refused_and_changes_nothing(wrong: Any) -> None:
    job = context()
    with pytest.raises(OutOfRange, match="from 0 to 1"):
        job.progress(wrong)
    assert job.untold is None


def test_what_is_logged_is_text_and_no_longer_than_what_is_kept() -> None:
    job, wrong = context(), cast(str, ValueError("no"))
    job.log(wrong)
    job.log("x" * 1_000_000)
    assert job.untold is not None
    assert [line.text for line in job.untold.lines] == ["no", "x" * LONGEST_LINE]


def test_more_lines_than_are_kept_are_not_kept_here_either() -> None:
    job = context()
    for n in range(MOST_LINES + 9):
        job.log(str(n))
    assert job.untold is not None
    assert [line.text for line in job.untold.lines] == [str(n) for n in range(9, MOST_LINES + 9)]


def test_what_could_not_be_written_is_told_again_before_what_is_newer() -> None:
    job = context()
    job.log("old")
    job.progress(0.1)
    old, job.untold = job.untold, None
    assert old is not None
    job.tell_again(old)
    assert job.untold == old
    job.untold = Untold(b"0.2")
    job.log("new")
    job.tell_again(old)
    assert job.untold is not None
    assert (job.untold.progress, [line.text for line in job.untold.lines]) == (b"0.2", ["old", "new"])
