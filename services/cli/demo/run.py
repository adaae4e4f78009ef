"""A run of the demo, from empty folders to the verdict."""

import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
from pydantic import SecretStr
from redis.asyncio import Redis

from services.cli.demo.books import Run
from services.cli.demo.bounds import Verdict, judge
from services.cli.demo.faults import Script
from services.cli.demo.founding import Founded, Founder
from services.cli.demo.observe import EVERY, Observer
from services.cli.demo.polling import until
from services.cli.demo.scenario import Scenario
from services.cli.demo.screen import Screen
from services.cli.demo.simulated import Simulator, simulating
from services.cli.stack import Stack, running
from shared.child import free_port
from shared.errors import SettingsError
from shared.jobs import SENDS
from shared.redis.client import connect
from shared.settings import DatabaseSettings, RedisSettings
from shared.store import books
from shared.store.database import Database

_READY = timedelta(seconds=60)
_IDLE = timedelta(seconds=10)  # so long the script may still find something to strike when all is done
_INTERRUPTED = 130


@dataclass(frozen=True)
class Stage:
    """Everything that runs, and who looks on; nobody is enrolled yet."""

    scenario: Scenario
    stack: Stack
    simulator: Simulator
    founder: Founder
    founded: list[Founded]
    database: Database
    redis: Redis
    observer: Observer


async def demo(contacts: int, as_json: bool, folder: Path | None) -> int:
    """Run it and show the verdict; the exit status: 0 only if every bound holds, 130 when interrupted before.

    With a terminal the services stay up afterwards until Ctrl-C. Data and logs are kept in `folder`, or in a
    temporary one that goes at the end.
    """
    status = _INTERRUPTED
    with (
        suppress(asyncio.CancelledError),
        _interruptible(),
        _place(folder) as place,
        Screen(as_json, place) as screen,
        ExitStack() as afterwards,
    ):
        async with staged(Scenario(contacts), place, screen) as stage:
            screen.tell(f"watch it live: {stage.stack.admin_url}")
            if folder is None:  # where only root could reach it, root's Postgres has one elsewhere
                afterwards.callback(shutil.rmtree, stage.stack.postgres.folder, ignore_errors=True)
            verdict = await play(stage, screen)
            status = 0 if verdict.ok else 1
            screen.conclude(verdict)
            if screen.interactive:
                screen.look_at(stage.stack, stage.founded, place)
                await asyncio.Event().wait()
    return status


@asynccontextmanager
async def staged(scenario: Scenario, folder: Path, screen: Screen) -> AsyncIterator[Stage]:
    """Start everything, and stop it in order."""
    provider_port = free_port()
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(
            running(
                folder,
                screen.say,
                scenario.settings,
                replicas={"send": scenario.send_workers},
                commands=scenario.commands,
            )
        )
        database = Database(DatabaseSettings(url=SecretStr(services.environment["DATABASE_URL"])))
        stack.push_async_callback(database.close)
        redis_settings = RedisSettings(url=SecretStr(services.environment["REDIS_URL"]))
        redis = connect(redis_settings, role="demo")
        stack.push_async_callback(redis.aclose)
        await _ready(services)
        founder = Founder(database, services.public_url, f"http://127.0.0.1:{provider_port}")
        founded = await founder.found(scenario)
        accounts = [each.account for each in founded]
        simulator = await stack.enter_async_context(simulating(scenario, accounts, provider_port, folder))
        observer = Observer(database, redis, redis_settings.prefix, partitions=1)
        yield Stage(scenario, services, simulator, founder, founded, database, redis, observer)


async def play(stage: Stage, screen: Screen) -> Verdict:
    """Enrol everybody, let the faults happen, wait until all is done or the deadline passed, and judge."""
    script = Script(
        stage.stack.fleet, stage.simulator, stage.observer, stage.database, stage.redis, screen.tell
    )
    pace = stage.scenario.pace
    screen.tell(
        f"a limit's minute lasts {pace.window.seconds} s here, and a campaign's days {pace.wait.seconds} s"
    )
    await stage.founder.enrol(stage.founded)
    screen.tell(f"enrolled {stage.scenario.contacts} contacts of {len(stage.founded)} tenants")
    faults = asyncio.create_task(script.play(stage.founded[-1].id, stage.scenario.flush_waiting))
    try:
        async with asyncio.timeout(stage.scenario.deadline.total_seconds()):
            await _until_done(stage, faults, screen)
            await stage.simulator.finish()
            await _until_done(stage, faults, screen)
    except TimeoutError:
        screen.tell("gave up: the run is judged as it stands")
    finally:
        faults.cancel()
        await asyncio.wait({faults})
    kept = await stage.database.run(books.read)
    run = _run(stage, script, screen.seconds)
    return judge(run, kept, stage.simulator.witness())


async def _until_done(stage: Stage, faults: asyncio.Task[None], screen: Screen) -> None:
    """Look on until everybody left, no row is undone and the script is over, or idle for long."""
    idle_since: float | None = None
    while True:
        glance = await stage.observer.glance()
        screen.show(glance, stage.observer.refusals)
        if faults.done():
            faults.result()
        if glance.exited == stage.scenario.contacts and not glance.undone:
            idle_since = idle_since or time.monotonic()
            if faults.done() or time.monotonic() - idle_since > _IDLE.total_seconds():
                return
        else:
            idle_since = None
        await asyncio.sleep(EVERY.total_seconds())


def _run(stage: Stage, script: Script, seconds: float) -> Run:
    scenario = stage.scenario
    return Run(
        contacts=scenario.contacts,
        accounts={each.account.api_key: each.id for each in stage.founded},
        windows=scenario.windows,
        grace=scenario.pace.grace,
        send_concurrency=SENDS.concurrency,
        kills=script.kills,
        send_kills=script.send_kills,
        flushes=script.flushes,
        processes=len(stage.stack.fleet.pids),
        refusals=stage.observer.refusals,
        seconds=seconds,
        pause=script.pause,
    )


async def _ready(stack: Stack) -> None:
    """Wait until every service says that it is ready. Raises SettingsError when one never does."""
    async with httpx.AsyncClient(trust_env=False) as client:
        for name, port in stack.private_ports.items():
            try:
                async with asyncio.timeout(_READY.total_seconds()):
                    await until(partial(_answers, client, port))
            except TimeoutError as error:
                raise SettingsError(f"{name} did not get ready: what the services log says why.") from error


async def _answers(client: httpx.AsyncClient, port: int) -> bool:
    try:
        answer = await client.get(f"http://127.0.0.1:{port}/ready", timeout=5)
    except httpx.TransportError:
        return False
    return answer.status_code == 200


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let the first SIGINT or SIGTERM cancel the calling task; further ones do not disturb its clean-up."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None  # it is a coroutine's
    signalled = False

    def interrupt() -> None:
        nonlocal signalled
        if not signalled:
            task.cancel()
        signalled = True

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


@contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    """The folder that was asked for, or a temporary one.

    Raises SettingsError where others' files are, an earlier run's among them.
    """
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise SettingsError(f"{folder} holds other files: give the demo a folder of its own.")
        yield folder.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="outreach-demo-", ignore_cleanup_errors=True) as temporary:
        place = Path(temporary)
        place.chmod(0o711)  # root's Postgres runs as another account, which passes through
        yield place
