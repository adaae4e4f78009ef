"""report: what workers tell of their jobs, kept with the job and gone with it."""

from datetime import timedelta

from shared.jobs import JobState
from shared.queue.reporting import LONGEST_LINE, MOST_LINES, LogLine, Report, Reported
from shared.queue.types import Settlement, Verdict
from tests.integration.queue_state import SPEC, T0, Bench, bench, changed, job, replace

KEEPS = replace(SPEC, keep_completed=9, keep_failed=9)


def line(n: int) -> LogLine:
    return LogLine(T0 + n, f"line {n}")


async def test_what_a_worker_tells_of_its_jobs_is_read_while_they_run_and_changes_nothing_else(
    valkey_url: str,
) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("told"), job("silent")])
        told, silent = (await b.queue.claim(0, 2)).jobs
        before = await b.state()
        assert await b.queue.report(0, [Report(told, b"0.25", [line(1)])]) == []
        assert await b.queue.report(0, [Report(told, b"", [line(2)]), Report(silent, b'{"done":3}')]) == []
        assert await b.queue.reported(0, "told") == Reported(0.25, (line(1), line(2)))
        assert await b.queue.reported(0, "silent") == Reported({"done": 3})
        assert await b.queue.reported(0, "nobody") == Reported()
        assert set(changed(before, await b.state())) == {"reports"}


async def test_of_a_log_the_last_lines_are_kept_and_of_a_line_its_beginning(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one")])
        (one,) = (await b.queue.claim(0, 1)).jobs
        for first in range(0, 300, 30):
            await b.queue.report(0, [Report(one, b"", [line(first + n) for n in range(30)])])
        kept = tuple(line(n) for n in range(300 - MOST_LINES, 300))
        assert await b.queue.reported(0, "one") == Reported(None, kept)
        await b.queue.report(0, [Report(one, b"", [LogLine(T0, "ä" * LONGEST_LINE)] * (MOST_LINES + 5))])
        cut = LogLine(T0, "ä" * (LONGEST_LINE // 2))
        assert await b.queue.reported(0, "one") == Reported(None, (cut,) * MOST_LINES)


async def test_who_lost_a_job_tells_nothing_of_it_any_more(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("lost"), job("ended")])
        lost, ended = (await b.queue.claim(0, 2)).jobs
        await b.queue.settle(0, [Settlement(ended, Verdict.COMPLETED)])
        b.clock.forward(seconds=31)
        await b.queue.reap(0)
        (again,) = (await b.queue.claim(0, 2)).jobs
        await b.queue.report(0, [Report(again, b"0.5")])
        before = await b.state()
        stale = [Report(each, b"0.9", [line(1)]) for each in (lost, ended)]
        assert await b.queue.report(0, stale) == ["lost", "ended"]
        await b.queue.begin_opening(0, 2)
        assert await b.queue.report(0, [Report(again, b"0.9")]) == ["lost"]
        assert await b.state() == before | {"meta": (await b.state())["meta"]}


async def reported_and_ended(b: Bench, verdict: Verdict) -> None:
    await b.queue.enqueue([job("one")])
    (one,) = (await b.queue.claim(0, 1)).jobs
    await b.queue.report(0, [Report(one, b"1", [line(1)])])
    await b.queue.settle(0, [Settlement(one, verdict, at_ms=T0)])


async def test_what_was_told_stays_while_the_job_is_kept_and_goes_when_it_goes(valkey_url: str) -> None:
    told = Reported(1, (line(1),))
    async with bench(valkey_url, KEEPS) as b:
        await reported_and_ended(b, Verdict.FAILED)
        assert await b.queue.reported(0, "one") == told
        await b.queue.retry(0, ["one"])
        (one,) = (await b.queue.claim(0, 1)).jobs
        await b.queue.report(0, [Report(one, b"0", [line(2)])])
        assert await b.queue.reported(0, "one") == Reported(0, (line(1), line(2)))
        await b.queue.settle(0, [Settlement(one, Verdict.COMPLETED)])
        assert await b.queue.clean(0, JobState.COMPLETED, timedelta(0)) == ["one"]
        assert await b.queue.reported(0, "one") == Reported()
        assert "reports" not in await b.state()


async def test_a_job_that_is_removed_and_comes_again_begins_with_nothing_told(valkey_url: str) -> None:
    async with bench(valkey_url, KEEPS) as b:
        await reported_and_ended(b, Verdict.DEFERRED)
        await b.queue.remove(0, ["one"])
        await b.queue.enqueue([job("one")])
        assert await b.queue.reported(0, "one") == Reported()
        assert "reports" not in await b.state()
