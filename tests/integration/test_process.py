"""The process shell: probes, order, signals."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from shared.errors import NotMeasured
from shared.metrics import Metrics
from shared.process import App, Part, Shell
from shared.settings import PrivateSettings
from tests.brokers import PATIENCE, until

PRIVATE = PrivateSettings(port=0)


class Step:
    """A part that notes when it starts and stops."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self._name = name
        self._notes = notes

    async def __aenter__(self) -> None:
        self._notes.append(f"start {self._name}")

    async def __aexit__(self, *_: object) -> None:
        self._notes.append(f"stop {self._name}")


class Stuck(Step):
    """A part that does not stop."""

    async def __aexit__(self, *_: object) -> None:
        await asyncio.Event().wait()


def app(*parts: Part, ready: bool = True) -> App:
    async def hello() -> object:
        return {"hello": "inside"}

    return App("tests", parts, Metrics.create(), lambda: ready, {"hello": hello})


@asynccontextmanager
async def serving(app: App, private: PrivateSettings = PRIVATE) -> AsyncIterator[Shell]:
    """A started shell, stopped in order at the end."""
    shell = Shell(app, private)
    task = asyncio.create_task(shell.serve())
    await shell.started.wait()
    yield shell
    shell.stopping.set()
    async with asyncio.timeout(PATIENCE):
        await task


async def get(shell: Shell, path: str, authorization: str | None = None) -> httpx.Response:
    assert shell.port.address is not None
    host, port = shell.port.address
    headers = {"Authorization": authorization.encode()} if authorization is not None else {}
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://{host}:{port}{path}", headers=headers)


async def test_parts_start_in_order_and_stop_in_reverse() -> None:
    notes: list[str] = []
    async with serving(app(Step("pool", notes), Step("worker", notes))):
        notes.append("serve")
    assert notes == ["start pool", "start worker", "serve", "stop worker", "stop pool"]


async def test_a_part_that_does_not_stop_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.process._MARGIN", timedelta(0))
    notes: list[str] = []
    private = PRIVATE.model_copy(update={"shutdown_grace": timedelta(milliseconds=10)})
    with capture_logs() as logs:
        async with serving(app(Step("pool", notes), Stuck("worker", notes)), private):
            pass
    assert notes == ["start pool", "start worker", "stop pool"]
    assert [entry["part"] for entry in logs if entry["event"] == "part.stuck"] == ["Stuck"]


async def test_the_private_port_answers_probes_metrics_and_internal_pages() -> None:
    async with serving(app()) as shell:
        assert (await get(shell, "/live")).status_code == 200
        assert (await get(shell, "/ready")).status_code == 200
        metrics = await get(shell, "/metrics")
        assert "outreach_sends_unknown NaN" in metrics.text
        assert "process_cpu_seconds_total" in metrics.text
        assert (await get(shell, "/internal")).json() == {
            "service": "tests",
            "ready": True,
            "pages": ["hello"],
        }
        assert (await get(shell, "/internal/hello")).json() == {"hello": "inside"}
        assert (await get(shell, "/internal/bye")).status_code == 404


async def test_a_guarded_page_opens_for_the_token_alone() -> None:
    async def count() -> object:
        if not counts:
            raise NotMeasured
        return {"desiredWorkers": counts.pop()}

    counts = [3]
    guarded = App("tests", (), Metrics.create(), lambda: True, {}, {"scaling/a:b": count})
    private = PrivateSettings(port=0, token=SecretStr("a token of length"))
    async with serving(guarded, private) as shell:
        path = "/internal/scaling/a:b"
        assert (await get(shell, "/internal")).json()["pages"] == ["scaling/a:b"]
        for given in (None, "a token of length", "Bearer", "Bearer a token of lengt", "Bearer é"):
            refused = await get(shell, path, given)
            assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer"), given
            assert "PRIVATE_TOKEN" in refused.text
        right = "Bearer a token of length"
        assert (await get(shell, "/internal/scaling/other", right)).status_code == 404
        assert (await get(shell, path, right)).json() == {"desiredWorkers": 3}
        away = await get(shell, "/internal/scaling/a%3Ab", right)
        assert (away.status_code, "not measured lately" in away.text) == (503, True)
    async with serving(guarded) as shell:
        closed = await get(shell, path, right)
        assert (closed.status_code, "set PRIVATE_TOKEN" in closed.text) == (404, True)


async def test_an_app_that_is_not_ready_lives() -> None:
    async with serving(app(ready=False)) as shell:
        assert (await get(shell, "/ready")).status_code == 503
        assert (await get(shell, "/live")).status_code == 200


async def test_a_draining_process_lives_and_is_not_ready() -> None:
    may_stop = asyncio.Event()

    class Slow(Step):
        async def __aexit__(self, *_: object) -> None:
            await may_stop.wait()

    async with serving(app(Slow("worker", []))) as shell:
        shell.stopping.set()
        await asyncio.sleep(0)
        assert (await get(shell, "/ready")).status_code == 503
        assert (await get(shell, "/live")).status_code == 200
        may_stop.set()


async def test_the_first_process_to_bind_the_port_serves_and_the_others_say_that_they_do_not() -> None:
    async with serving(app()) as first:
        assert first.port.address is not None
        taken = PRIVATE.model_copy(update={"port": first.port.address[1]})
        with capture_logs() as logs:
            async with serving(app(ready=False), taken) as second:
                assert second.port.address is None
                assert (await get(first, "/ready")).status_code == 200
    assert [entry["port"] for entry in logs if entry["event"] == "private_port.taken"] == [taken.port]


SERVICE = """
import asyncio, sys
from types import SimpleNamespace
from shared.errors import PartitionMismatch, SettingsError
from shared.metrics import Metrics
from shared.process import App, run
from shared.settings import LogSettings, PrivateSettings

class Part:
    async def __aenter__(self):
        if "refuse" in sys.argv:
            raise PartitionMismatch
        print("starting", flush=True)
        if "wait" in sys.argv:
            await asyncio.Event().wait()
    async def __aexit__(self, *_):
        print("stopping", flush=True)
        if "stuck" in sys.argv:
            await asyncio.Event().wait()
        print("stopped", flush=True)

def read():
    if "senseless" in sys.argv:
        raise SettingsError("PORT: it must be a number")
    return SimpleNamespace(private=PrivateSettings(port=0), log=LogSettings())

run(lambda settings: App("tests", [Part()], Metrics.create(), lambda: True), read)
"""


@asynccontextmanager
async def service(tmp_path: Path, *how: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The service above in a process of its own."""
    script = tmp_path / "service.py"
    script.write_text(SERVICE)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script), *how),
        env={"LOG_LEVEL": "INFO"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode().strip()


async def logged(process: asyncio.subprocess.Process, event: str) -> None:
    """Read the log up to an event."""
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        while f'"event": "{event}"' not in (found := (await process.stderr.readline()).decode()):
            assert found, f"the log ends without {event}"


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    out, log = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode is not None
    return process.returncode, out.decode() + log.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_process_in_order_and_it_exits_0(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with service(tmp_path) as process:
        await logged(process, "process.started")
        process.send_signal(number)
        code, told = await ended(process)
    assert code == 0
    assert told.startswith("starting\nstopping\nstopped\n")
    assert '"event": "process.stopped"' in told


async def test_a_signal_while_a_part_still_starts_exits_0(tmp_path: Path) -> None:
    async with service(tmp_path, "wait") as process:
        assert await line(process) == "starting"
        process.send_signal(signal.SIGTERM)
        code, _ = await ended(process)
    assert code == 0


async def test_a_second_signal_cuts_the_shutdown_short_and_exits_1(tmp_path: Path) -> None:
    async with service(tmp_path, "stuck") as process:
        await logged(process, "process.started")
        process.send_signal(signal.SIGTERM)
        assert [await line(process), await line(process)] == ["starting", "stopping"]
        process.send_signal(signal.SIGTERM)
        code, told = await ended(process)
    assert code == 1
    assert '"event": "process.cut_short"' in told


async def test_a_process_that_must_not_start_says_why_and_exits_1(tmp_path: Path) -> None:
    async with service(tmp_path, "refuse") as process:
        code, told = await ended(process)
    assert code == 1
    assert '"error": "PartitionMismatch"' in told
    assert "Traceback" not in told


async def test_senseless_settings_are_one_line_that_names_them(tmp_path: Path) -> None:
    async with service(tmp_path, "senseless") as process:
        assert await ended(process) == (1, "outreach: PORT: it must be a number\n")


TASKIQ_SERVICE = """
import asyncio, os
from types import SimpleNamespace
from datetime import timedelta
from shared.broker import JobBroker, Worker
from shared.jobs import QueueSpec
from shared.process import App, under_taskiq
from shared.settings import EngineSettings, LogSettings, PrivateSettings, RedisSettings

class Pool:
    async def __aenter__(self):
        print("pool open", flush=True)
        if "WAIT" in os.environ:
            await asyncio.Event().wait()
    async def __aexit__(self, *_):
        print("pool closed", flush=True)

def broker():
    settings = SimpleNamespace(private=PrivateSettings(), log=LogSettings())
    jobs = JobBroker(RedisSettings(), EngineSettings(), QueueSpec("tests:app", concurrency=2, priority=0))
    worker = Worker(jobs, timedelta(seconds=5))
    ready = lambda: worker.ready(timedelta(seconds=15))
    return under_taskiq(App("tests", [Pool(), worker], jobs.metrics, ready), settings)
"""


@asynccontextmanager
async def taskiq_command(
    folder: Path, children: int, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`taskiq worker` with the service above, and so many children."""
    (folder / "service_app.py").write_text(TASKIQ_SERVICE)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "taskiq", "worker", "service_app:broker"),
        *("--workers", str(children), "--receiver", "shared.broker:JobReceiver"),
        cwd=folder,
        env={"PYTHONPATH": str(folder), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its children outlive a killed parent
        await process.wait()


async def test_the_taskiq_command_runs_an_apps_parts_around_its_receivers(
    valkey_url: str, tmp_path: Path, unused_tcp_port: int
) -> None:
    async def ready() -> bool:
        try:
            async with httpx.AsyncClient() as client:
                found = await client.get(f"http://127.0.0.1:{unused_tcp_port}/ready")
        except httpx.TransportError:
            return False
        return found.status_code == 200

    environment = {"REDIS_URL": valkey_url, "PRIVATE_PORT": str(unused_tcp_port)}
    async with taskiq_command(tmp_path, 2, **environment) as process:
        await logged(process, "private_port.taken")
        await until(ready)
        process.send_signal(signal.SIGTERM)
        code, told = await ended(process)
    assert code == 0
    assert told.count("pool open") == told.count("pool closed") == 2


async def test_the_taskiq_command_can_be_stopped_while_a_part_still_starts(tmp_path: Path) -> None:
    async with taskiq_command(tmp_path, 1, PRIVATE_PORT="0", WAIT="1") as process:
        assert await line(process) == "pool open"
        process.send_signal(signal.SIGTERM)
        code, told = await ended(process)
    assert (code, "Traceback" in told) == (0, False)
