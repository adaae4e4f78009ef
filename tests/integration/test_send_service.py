"""The send service as it runs: many sends at once, in sets, over the real broker and real HTTP."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from services.send.worker import Sender
from shared.jobs import JobState, SendJob, job_id
from shared.queue.types import NewJob, Seen
from shared.store import closures
from shared.store.closures import Closure, Verdict
from shared.store.database import AsyncConnection, Database
from shared.store.ids import uuid7
from tests.journeys import World, graph, send, sms, to
from tests.sending import Scene, after, scene, stall, status

HELLO = graph(hello=send(to("done"), to("again", "failed")), again=send(to("done")))


@contextmanager
def every_statement() -> Iterator[list[str]]:
    """The statements that run meanwhile, on whatever pool of connections."""
    ran: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        ran.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield ran
    event.remove(Engine, "before_cursor_execute", note)


async def worked(it: Scene, **settings: Any) -> None:
    """Let a worker do what there is to do."""
    async with it.worker(**settings):
        await it.settled()


async def limit(world: World, most: int) -> None:
    await world.run(
        'insert into rate_limits (tenant_id, id, channel, kind, "limit")'
        " select :t, gen_random_uuid(), 'email', kind, :most from unnest(array['minute','hour','day']) kind",
        most=most,
    )


async def test_a_send_takes_no_more_than_one_statement_on_average(
    database: Database, database_url: str, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=200)
    await limit(world, 1000)
    async with scene(world, database_url, valkey_url) as it:
        with every_statement() as ran:
            await it.dispatched()
            # A busy machine's pauses must not send one back.
            await worked(
                it, concurrency=50, provider_timeout=timedelta(seconds=10), charge_slack=timedelta(seconds=10)
            )
    assert [state[0] for state in await it.states()] == ["accepted"] * 200
    assert sorted(it.provider.actions) == sorted(str(row["id"]) for row in await world.actions())
    # What the test itself asks counts too, and makes it only harder.
    assert len(ran) <= 200


async def test_a_mail_names_its_process_its_action_and_its_node(
    database: Database, database_url: str, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, kind="transactional")
    async with scene(world, database_url, valkey_url) as it:
        await it.dispatched()
        await worked(it)
    (action,), (mail,), (headers,) = await world.actions(), it.provider.mails, it.provider.headers
    assert headers["User-Agent"].startswith("outreach/")
    assert headers["User-Agent"].endswith(f"({os.getpid()})")
    assert mail["custom_args"] == {"outreach_action": str(action["id"]), "outreach_node": "hello"}
    assert mail["personalizations"] == [{"to": [{"email": f"{world.contacts[0]}@example.org"}]}]
    assert "headers" not in mail  # only marketing mail can be unsubscribed


async def test_a_refused_account_stops_its_sender_until_it_is_reopened_and_then_all_go_out(
    database: Database, database_url: str, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=3)
    async with scene(world, database_url, valkey_url) as it:
        it.provider.answers.append(status(401))
        await it.dispatched(1)
        await worked(it)
        await world.enrol(world.contacts[1:])
        await it.dispatch.send_round()
        assert [state[:2] for state in await it.states()] == [("pending", 1), ("pending", 0), ("pending", 0)]
        async with database.begin() as tx:
            await closures.reopen(tx, world.tenant_id, world.senders["email"])
        await it.dispatch.configuration.refresh()
        await world.run("update scheduled_actions set due_at = now() where tenant_id = :t")
        await it.dispatch.send_round()
        await worked(it)
    assert [state[0] for state in await it.states()] == ["accepted"] * 3
    assert [row["tries"] for row in await world.actions()] == [0, 0, 0]


async def test_a_call_that_takes_too_long_is_unknown_and_the_log_of_its_job_says_so(
    database: Database, database_url: str, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with scene(world, database_url, valkey_url) as it:
        it.provider.answers.append(stall)
        await it.dispatched()
        await worked(it, provider_timeout=timedelta(milliseconds=200))
        (action,) = await world.actions()
        told = await it.dispatch.sends.reported(0, f"send:{action['id']}:0")
    assert [line.text for line in told.lines] == ["unknown: the send is unknown"]
    assert [state[:2] for state in await it.states()] == [("unknown", 0)]
    assert await it.attempts() == [(0, "unknown", False)]


async def test_a_send_whose_postgres_hangs_uses_no_attempt_and_goes_out_when_it_is_back(
    database: Database, database_url: str, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with scene(world, database_url, valkey_url) as it:
        await it.dispatched()
        (row,) = await world.actions()
        job = job_id("send", row["id"], 0)

        put_off: list[Seen] = []

        async def is_put_off() -> bool:
            put_off[:] = await it.dispatch.sends.look_up(0, [job])
            return put_off[0].state is JobState.DELAYED

        async with it.worker(lease=timedelta(seconds=2), provider_timeout=timedelta(milliseconds=500)):
            async with database.begin() as tx:
                await tx.execute(text("lock table scheduled_actions in access exclusive mode"))
                await it.until(is_put_off)
            await it.settled()
    assert put_off[0].attempt == 0
    assert await it.states() == [("accepted", 0, None)]


async def test_a_crash_after_the_claim_and_before_the_call_is_made_good_when_the_lease_expires(
    database: Database, database_url: str, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with scene(world, database_url, valkey_url) as it:
        await it.dispatched()
        claimed = await it.dispatch.sends.claim(0, 1, lease=timedelta(milliseconds=100))
        assert len(claimed.jobs) == 1
        await worked(it)
    assert await it.states() == [("accepted", 0, None)]
    assert await it.attempts() == [(0, "accepted", False)]
    assert len(it.provider.mails) == 1


async def test_a_lease_that_is_lost_in_the_call_does_not_stop_it_and_its_outcome_stands(
    database: Database, database_url: str, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    async with scene(world, database_url, valkey_url) as it:

        async def lost() -> None:
            await it.dispatch.redis.flushall()
            await it.dispatch.open()
            await asyncio.sleep(0.5)  # several renewals, each of which hears that the lease is lost

        it.provider.answers.append(after(lost))
        await it.dispatched()
        async with it.worker():
            await it.until(lambda: _has(it, "accepted"))
        await it.dispatch.send_round()
        await worked(it)
    assert await it.states() == [("accepted", 0, None)]
    assert len(it.provider.mails) == 1


async def _has(it: Scene, wanted: str) -> bool:
    return any(state[0] == wanted for state in await it.states())


async def test_a_shutdown_finishes_the_call_it_is_in_and_claims_nothing_more(
    database: Database, database_url: str, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=3)
    async with scene(world, database_url, valkey_url) as it:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def held() -> None:
            begun.set()
            await go_on.wait()

        it.provider.answers.append(after(held))
        await it.dispatched()
        worker = it.worker(concurrency=1)
        await worker.__aenter__()
        await begun.wait()
        leaving = asyncio.create_task(worker.__aexit__(None, None, None))
        await asyncio.sleep(0)
        go_on.set()
        await leaving
        counts = await it.dispatch.sends.counts(0)
    assert [state[0] for state in await it.states()] == ["accepted", "enqueued", "enqueued"]
    assert (counts.completed, counts.waiting, counts.active) == (1, 2, 0)
    assert len(it.provider.mails) == 1


async def test_a_job_without_a_row_is_a_no_op_and_costs_nothing(
    database: Database, database_url: str, valkey_url: str
) -> None:
    world = await World.create(database, HELLO)
    await limit(world, 1)
    async with scene(world, database_url, valkey_url) as it:
        ghost = SendJob(
            tenant_id=world.tenant_id,
            scheduled_action_id=uuid7(),
            campaign_id=world.campaign_id,
            contact_id=world.contacts[0],
            node_id="hello",
            channel="email",
            sender_id=world.senders["email"],
        )
        job = NewJob(job_id("send", ghost.scheduled_action_id, 0), ghost.lane, ghost.wire())
        await it.dispatch.sends.enqueue([job])
        await worked(it)
        assert (await it.dispatch.sends.counts(0)).completed == 1
        assert it.provider.mails == []
        await it.dispatched()
        await worked(it)
    assert await it.states() == [("accepted", 0, None)]


async def test_after_an_outage_what_is_too_late_is_skipped_and_takes_its_failed_edge(
    database: Database, database_url: str, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=2)
    async with scene(world, database_url, valkey_url) as it:
        await it.dispatched()
        (late, _) = await world.actions()
        await world.set_action(late["id"], scheduled_at=datetime.now(UTC) - timedelta(hours=25))
        await worked(it)
    first, second, _ = await it.states()
    assert (first, second) == (("skipped", 0, "late"), ("accepted", 0, None))
    assert await world.path(late["contact_id"]) == [("hello", "failed"), ("again", None)]


@pytest.mark.parametrize(
    ("change", "status_then", "reason"),
    [
        ("update campaigns set status = 'paused' where tenant_id = :t", "held", "campaign_paused"),
        ("update enrollments set status = 'paused' where tenant_id = :t", "held", "enrollment_paused"),
        ("update campaigns set status = 'cancelled' where tenant_id = :t", "cancelled", "campaign_cancelled"),
        ("update visits set left_at = now() where tenant_id = :t", "cancelled", "moved_on"),
        ("update contacts set deleted_at = now() where tenant_id = :t", "skipped", "contact_deleted"),
        ("update contacts set email = null where tenant_id = :t", "skipped", "no_address"),
    ],
)
async def test_what_changed_between_schedule_and_claim_is_seen_by_the_worker(
    database: Database, database_url: str, valkey_url: str, change: str, status_then: str, reason: str
) -> None:
    world = await World.create(database, HELLO)
    async with scene(world, database_url, valkey_url) as it:
        await it.dispatched()
        await world.run(change)
        await worked(it)
    assert (await it.states())[0] == (status_then, 0, reason)
    assert (it.provider.mails, await it.attempts()) == ([], [])


async def test_a_suppression_that_lands_during_the_post_blocks_the_next_send(
    database: Database, database_url: str, valkey_url: str
) -> None:
    world = await World.create(
        database, graph(hello=send(to("again", "open"), to("done", after=60)), again=send(to("done")))
    )
    async with scene(world, database_url, valkey_url) as it:

        async def complained() -> None:
            await world.run(
                "insert into suppressions (tenant_id, id, channel, address, scope, reason)"
                " select tenant_id, id, 'email', email, 'all', 'complaint' from contacts where tenant_id = :t"
            )

        it.provider.answers.append(after(complained))
        await it.dispatched()
        await worked(it)
        await world.advance(world.move((await world.current())["id"], "open"))
        await it.dispatch.send_round()
        await worked(it)
    assert await it.states() == [("accepted", 0, None), ("skipped", 0, "suppressed")]
    assert len(it.provider.mails) == 1


async def test_a_request_not_begun_under_its_charge_goes_back_after_it_is_marked(
    database: Database, database_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await World.create(database, HELLO)
    await limit(world, 1)
    slow = iter([False, True])
    monkeypatch.setattr(Sender, "_too_old", lambda *_: next(slow, False))
    async with scene(world, database_url, valkey_url) as it:
        await it.dispatched()
        await worked(it)
        assert await it.states() == [("pending", 1, None)]
        assert await it.attempts() == [(0, "not_begun", True)]
        assert it.provider.mails == []
        await world.run("update scheduled_actions set due_at = now() where tenant_id = :t")
        await it.dispatch.send_round()
        await worked(it)
    (row,) = await world.actions()
    assert (row["status"], row["g"], row["tries"]) == ("accepted", 1, 0)
    assert await it.attempts() == [(0, "not_begun", True), (1, "accepted", False)]


async def test_an_sms_that_grew_beyond_its_stored_cost_goes_back_with_the_new_one(
    database: Database, database_url: str, valkey_url: str
) -> None:
    node = sms(to("done")) | {"text": "{{ contact.external_id }}"}
    world = await World.create(database, graph(hello=node))
    await world.run("update contacts set external_id = 'short' where tenant_id = :t")
    async with scene(world, database_url, valkey_url) as it:
        await world.run("update provider_accounts set provider = 'mailbox' where tenant_id = :t")
        await it.dispatched()
        await world.run("update contacts set external_id = repeat('x', 161) where tenant_id = :t")
        await worked(it)
        (row,) = await world.actions()
        assert (row["status"], row["g"], row["cost"]) == ("pending", 1, 2)
        assert await it.attempts() == []
        await it.dispatch.send_round()
        (job,) = await it.dispatch.claim()
        assert job.cost == 2


async def test_one_sender_that_is_limited_delays_no_other_tenant_and_keeps_its_own_order(
    database: Database, database_url: str, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=4)
    other = await World.create(database, HELLO)
    await limit(world, 2)
    async with scene(world, database_url, valkey_url) as it, scene(other, database_url, valkey_url) as that:
        await it.dispatched()
        await that.dispatched()
        async with it.worker(concurrency=1):
            await it.until(lambda: _has(that, "accepted"))
            await it.until(lambda: _sent(it, 2))
    order = [str(row["id"]) for row in sorted(await world.actions(), key=lambda row: row["due_at"])]
    assert it.provider.actions == order[:2]
    assert [state[0] for state in await it.states()] == ["accepted", "accepted", "enqueued", "enqueued"]


async def _sent(it: Scene, count: int) -> bool:
    return len(it.provider.mails) >= count


async def test_the_longest_of_the_closures_that_come_together_is_in_force(database: Database) -> None:
    world = await World.create(database, HELLO)
    now = datetime.now(UTC)

    async def close(*seconds: int) -> float:
        told = [
            Closure(
                world.tenant_id,
                "email",
                world.senders["email"],
                "rate_limited",
                now + timedelta(seconds=each),
            )
            for each in seconds
        ]
        await database.run(lambda tx: closures.close(tx, told))
        (row,) = await world.run("select until from closures where tenant_id = :t")
        return (row["until"] - now).total_seconds()

    assert await close(60, 90, 30) == 90
    assert await close(10, 20) == 90


PAUSE, LONGEST = timedelta(seconds=30), timedelta(minutes=10)


async def test_each_probe_that_fails_doubles_the_pause_up_to_ten_minutes_and_what_was_out_already_does_not(
    database: Database,
) -> None:
    world = await World.create(database, HELLO)
    tenant, sender = world.tenant_id, world.senders["email"]

    async def told(*ambiguous: bool) -> float | None:
        async def work(tx: AsyncConnection) -> None:
            verdicts = [Verdict(tenant, sender, each) for each in ambiguous]
            await closures.count(tx, verdicts, 5, PAUSE, LONGEST)

        await database.run(work)
        rows = await world.run("select until - closed_at as pause from closures where tenant_id = :t")
        return rows[0]["pause"].total_seconds() if rows else None

    async def over() -> None:
        await world.run("update closures set until = now(), closed_at = now() where tenant_id = :t")

    assert await told(*[True] * 4) is None
    assert await told(True) == 30
    assert await told(True, True) == 30
    pauses = []
    for _ in range(6):
        await over()
        pauses.append(await told(True))
    assert pauses == [60, 120, 240, 480, 600, 600]
    await over()
    assert await told(False) is None
    assert await told(*[True] * 4) is None
