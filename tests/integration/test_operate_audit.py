"""Every act of a person is in the audit: the desk's acts are walked, so that a new one cannot be without."""

import inspect
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.jobs import SENDS, TIMEOUTS, JobState
from shared.operate import Desk
from shared.operate.reading import Reading
from shared.store import closures, pauses
from shared.store.closures import Closure
from shared.store.database import Database
from shared.store.operating import Which
from shared.store.pauses import Pause
from tests.dispatching import Replica, dispatching
from tests.journeys import World, graph, send, to
from tests.operating import desk, entries, fail

HELLO = graph(hello=send(to("done")))
LATER = datetime(2100, 1, 1, tzinfo=UTC)
READS = {
    *(name for name in vars(Reading) if not name.startswith("_")),
    *("tenant_named", "drainable", "jobs_in"),
}
"""What only looks."""

COUNTS_ON = {"processed"}
"""What counts on in the entry of an act that goes on."""


def acts() -> set[str]:
    """The desk's public methods that do something."""
    methods = inspect.getmembers(Desk, inspect.iscoroutinefunction)
    return {name for name, _ in methods if not name.startswith("_")} - READS - COUNTS_ON


async def walk(world: World, dispatch: Replica) -> dict[str, Callable[[Desk], Awaitable[object]]]:
    """How each is done, on rows that let it."""
    name = str(world.tenant_id)
    first, second, third, fourth, fifth, sixth, last = await world.actions(kind="send")
    for waits in (first, third, sixth):
        await world.set_action(waits["id"], due_at=LATER)
    await dispatch.send_round()
    await fail(world, first)
    posted = await world.post()
    await world.run("update deliveries set state = 'failed' where tenant_id = :t")
    key = await desk(world, dispatch).create_key(name, "first")
    closed = Closure(world.tenant_id, "email", world.senders["email"], "unauthorized", None)
    await world.database.run(lambda tx: closures.close(tx, [closed]))
    await world.database.run(lambda tx: pauses.add(tx, Pause(TIMEOUTS.name, None), ""))
    await dispatch.configuration.refresh()
    return {
        "create_tenant": lambda at: at.create_tenant("new"),
        "create_key": lambda at: at.create_key(name, "another"),
        "rotate_key": lambda at: at.rotate_key(name, key.id),
        "revoke_key": lambda at: at.revoke_key(name, key.id),
        "pause": lambda at: at.pause(None, name),
        "resume": lambda at: at.resume(None, name),
        "weigh": lambda at: at.weigh(name, 2),
        "limit": lambda at: at.limit(name, "email", None, {"minute": 5}),
        "reopen": lambda at: at.reopen(name, world.senders["email"]),
        "retry": lambda at: at.retry(f"send:{first['id']}:0"),
        "retry_failed": lambda at: at.retry_failed(Which(world.tenant_id)),
        "promote": lambda at: at.promote(f"send:{third['id']}:0"),
        "remove": lambda at: at.remove(f"send:{second['id']}:0"),
        "cancel": lambda at: at.cancel(f"send:{fourth['id']}:0"),
        "reprioritise": lambda at: at.reprioritise(f"send:{fifth['id']}:0", 0),
        "reschedule": lambda at: at.reschedule(f"send:{sixth['id']}:0", datetime.now(UTC)),
        "replay": lambda at: at.replay(posted.id),
        "replay_all": lambda at: at.replay_all("failed", None),
        "restore_guard": lambda at: at.restore_guard(datetime.now(UTC)),
        "clean": lambda at: at.clean(TIMEOUTS.name, JobState.COMPLETED, timedelta(0)),
        "begin_processing": lambda at: at.begin_processing(TIMEOUTS.name, 1),
        "obliterate": lambda at: at.obliterate(TIMEOUTS.name, 0),
        "pause_enrollment": lambda at: at.pause_enrollment(world.tenant_id, last["enrollment_id"]),
        "resume_enrollment": lambda at: at.resume_enrollment(world.tenant_id, last["enrollment_id"]),
        "cancel_enrollment": lambda at: at.cancel_enrollment(world.tenant_id, last["enrollment_id"]),
        "pause_campaign": lambda at: at.pause_campaign(world.tenant_id, world.campaign_id),
        "resume_campaign": lambda at: at.resume_campaign(world.tenant_id, world.campaign_id),
        "cancel_campaign": lambda at: at.cancel_campaign(world.tenant_id, world.campaign_id),
        "drain": lambda at: at.drain(SENDS.name, name),
    }


async def test_every_act_at_the_desk_is_noted_in_the_audit_with_who_did_it(
    database: Database, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=7)
    await world.enrol()
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        how = await walk(world, dispatch)
        assert acts() == set(how), "say how it is done, and see that it is noted"
        for name, act in how.items():
            before = await entries(database)
            await act(desk(world, dispatch))
            assert len(await entries(database)) == len(before) + 1, name
    rows: list[Any] = await world.run("select distinct actor, via from audit")
    assert [dict(row) for row in rows] == [{"actor": "ana", "via": "page"}]
