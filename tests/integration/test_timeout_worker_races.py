"""The timeout rows of the race table, each a test by its name, on real rows."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.timeout.processor import Processor
from services.timeout.rules import FIRE
from shared.campaigns import enrollments
from shared.jobs import TimeoutResult
from shared.metrics import Metrics
from shared.store import sweeping, timeouts
from shared.store.database import Database
from shared.store.timeouts import TimeoutClaim
from tests.journeys import TIMEOUTS, World, graph, mail_event, send, statements, to, wait

NOW = datetime.now(UTC).replace(microsecond=0)
DUE = NOW - timedelta(minutes=5)  # the grace is over
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)

DRIP = graph(
    hello=send(to("opened", "open"), to("again", "no_open", after=3600), to("done", after="P9D")),
    again=send(to("done")),
)


class Waiting:
    """A world whose contacts' first message was accepted, so that its timeouts came due at `DUE`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.metrics = Metrics.create()
        self.processor = Processor(world.database, world.transitions, TIMEOUTS, self.metrics)

    @classmethod
    async def create(cls, database: Database, nodes: Any = DRIP, contacts: int = 1) -> "Waiting":
        world = await World.create(database, nodes, contacts)
        await world.enrol()
        await world.run("update scheduled_actions set created_at = now() - interval '1 day'")
        for contact in world.contacts:
            visit = await world.current(contact)
            if (await world.actions(visit["id"]))[0]["kind"] == "send":
                await world.accept(visit["id"], DUE - HOUR)
        return cls(world)

    async def claims(self, **which: Any) -> list[TimeoutClaim]:
        """The timeouts that dispatch would enqueue now, enqueued."""
        await self.world.run(
            "update scheduled_actions set status = 'enqueued'"
            " where kind = 'timeout' and status = 'pending' and due_at <= now()"
        )
        rows = await self.world.actions(kind="timeout", status="enqueued", **which)
        return [TimeoutClaim(row["tenant_id"], row["id"], row["g"]) for row in rows]

    async def fire(self, *claims: TimeoutClaim) -> list[tuple[int, int]]:
        """Events created and transitions triggered of each timeout, worked on as one set."""
        results = await self.processor(claims or await self.claims())
        found = [result for result in results if isinstance(result, TimeoutResult)]
        assert len(found) == len(results), results
        return [(result.events_created, result.transitions_triggered) for result in found]

    async def timeout(self, event_type: str = "no_open") -> Mapping[str, Any]:
        return (await self.world.actions(event_type=event_type))[0]

    async def happened(self, kind: str, at: datetime, **fields: Any) -> tuple[int, int]:
        (action,) = await self.world.actions((await self.world.visits())[0]["id"], kind="send")
        return await self.world.happens(mail_event(kind, action, at, **fields))

    async def unread(self, received_at: datetime, state: str = "received") -> None:
        claim = await self.world.post()
        await self.world.run(
            "update deliveries set received_at = :at, state = :state where id = :id",
            at=received_at,
            state=state,
            id=claim.id,
        )


async def test_a_timeout_makes_its_event_and_moves_its_visit(database: Database):
    waiting = await Waiting.create(database)
    hello = await waiting.world.current()
    assert await waiting.fire() == [(1, 1)]
    (event,) = await waiting.world.events()
    assert (event["type"], event["occurred_at"], event["provider"]) == ("no_open", DUE, "outreach")
    assert (event["visit_id"], event["effect"]) == (hello["id"], "moved")
    (left, _) = await waiting.world.visits()
    assert (left["edge"], left["event_id"]) == ("no_open", event["id"])
    assert await waiting.world.path() == [("hello", "no_open"), ("again", None)]
    assert await waiting.world.statuses(hello["id"]) == {
        "send": "accepted",
        "no_open": "fired",
        "elapsed": "cancelled",
    }
    assert (await waiting.timeout())["watermark"] is None


async def test_the_end_of_a_wait_moves_and_makes_no_event(database: Database):
    waiting = await Waiting.create(database, graph(pause=wait(60, "done")))
    await waiting.world.run("update scheduled_actions set due_at = now(), scheduled_at = now()")
    await waiting.unread(DUE)
    assert await waiting.fire() == [(0, 1)]
    assert await waiting.world.path() == [("pause", "else"), ("done", None)]
    assert await waiting.world.events() == []


@pytest.mark.parametrize("state", ["received", "processing"])
async def test_due_while_the_open_is_still_queued(database: Database, state: str):
    waiting = await Waiting.create(database)
    await waiting.unread(DUE + timedelta(seconds=119), state)
    (claim,) = await waiting.claims()
    assert await waiting.fire(claim) == [(0, 0)]
    timeout = await waiting.timeout()
    assert (timeout["status"], timeout["g"], timeout["reason"]) == ("pending", 1, "unread")
    assert timeout["due_at"] == timeout["status_at"] + TIMEOUTS.recheck
    assert timeout["scheduled_at"] == DUE
    assert await waiting.fire(claim) == [(0, 0)]  # the generation of that job is over
    await waiting.world.run("update deliveries set state = 'processed'")
    await waiting.world.set_action(claim.id, due_at=NOW)
    assert await waiting.fire() == [(1, 1)]


@pytest.mark.parametrize("state", ["processed", "parked", "failed"])
async def test_processed_parked_and_failed_deliveries_hold_nothing_up(database: Database, state: str):
    waiting = await Waiting.create(database)
    await waiting.unread(DUE, state)
    assert await waiting.fire() == [(1, 1)]


async def test_deliveries_after_the_grace_or_of_another_tenant_hold_nothing_up(database: Database):
    waiting, other = await Waiting.create(database), await Waiting.create(database)
    await waiting.unread(DUE + timedelta(seconds=120))
    await other.unread(DUE)
    claims = [await one.claims(tenant_id=one.world.tenant_id) for one in (waiting, other)]
    assert await waiting.fire(*claims[0], *claims[1]) == [(1, 1), (0, 0)]


async def test_a_watermark_that_stays_open_expires_and_says_so(database: Database):
    waiting = await Waiting.create(database)
    await waiting.unread(DUE - 2 * HOUR)
    await waiting.world.set_action((await waiting.timeout())["id"], scheduled_at=NOW - HOUR)
    (claim,) = await waiting.claims()
    assert await waiting.fire(claim) == [(1, 1)]
    assert (await waiting.timeout())["watermark"] == "expired"
    assert await waiting.fire(claim) == [(0, 0)]
    counted = waiting.metrics.registry.get_sample_value("outreach_timeouts_watermark_expired_total")
    assert counted == 1  # the second claim found that the row had moved on


async def test_without_the_watermark_an_open_in_our_own_queue_would_come_too_late(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("services.timeout.rules._watermark", lambda facts, settings: FIRE)
    waiting = await Waiting.create(database)
    await waiting.unread(DUE)
    assert await waiting.fire() == [(1, 1)]


async def test_it_is_too_early_within_the_grace(database: Database):
    waiting = await Waiting.create(database)
    timeout = await waiting.timeout()
    # Not from NOW, which a long run of all tests may have left behind.
    await waiting.world.set_action(timeout["id"], scheduled_at=datetime.now(UTC) - timedelta(seconds=60))
    assert await waiting.fire() == [(0, 0)]
    timeout = await waiting.timeout()
    assert (timeout["status"], timeout["reason"]) == ("pending", "grace")
    assert timeout["due_at"] == timeout["scheduled_at"] + TIMEOUTS.grace + TIMEOUTS.insert_timeout


async def test_our_gateway_was_down(database: Database):
    waiting = await Waiting.create(database)
    await waiting.world.run(
        "insert into gateway_outages (from_at, to_at) values (:start, :end)",
        start=DUE - timedelta(minutes=30),
        end=DUE - timedelta(minutes=1),
    )
    assert await waiting.fire() == [(0, 0)]
    timeout = await waiting.timeout()
    assert (timeout["status"], timeout["reason"]) == ("pending", "gateway_down")
    assert timeout["due_at"] == DUE - timedelta(minutes=1) + TIMEOUTS.gateway_recovery


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (DUE - timedelta(seconds=50), DUE - timedelta(seconds=21)),  # too short
        (DUE - 3 * HOUR, DUE - 2 * HOUR),  # before acceptance
        (DUE + timedelta(seconds=91), DUE + timedelta(minutes=4)),  # mostly after the grace
    ],
)
async def test_an_outage_that_hid_nothing_holds_nothing_up(
    database: Database, start: datetime, end: datetime
):
    waiting = await Waiting.create(database)
    await waiting.world.run(
        "insert into gateway_outages (from_at, to_at) values (:start, :end)", start=start, end=end
    )
    assert await waiting.fire() == [(1, 1)]


async def test_of_an_outage_only_the_time_since_acceptance_counts(database: Database):
    waiting = await Waiting.create(database)
    accepted = NOW - timedelta(minutes=10)
    await waiting.world.run("update visits set accepted_at = :at", at=accepted)
    await waiting.world.run(
        "insert into gateway_outages (from_at, to_at) values (:start, :end)",
        start=accepted - HOUR,
        end=accepted + 20 * SECOND,
    )
    assert await waiting.fire() == [(1, 1)]


async def test_our_gateway_is_down(database: Database):
    waiting = await Waiting.create(database)
    await waiting.world.run("update gateway_beats set at = :at", at=DUE)
    assert await waiting.fire() == [(0, 0)]
    assert (await waiting.timeout())["reason"] == "gateway_down"


async def test_open_and_timeout_commit_together(database: Database):
    waiting = await Waiting.create(database)
    world = waiting.world
    (action,) = await world.actions(kind="send")
    (claim,) = await waiting.claims()
    posted = await world.post(mail_event("open", action, DUE + SECOND))
    fired, opened = await asyncio.gather(waiting.fire(claim), world.process(posted))
    assert (fired[0][1] + opened[0][1], opened[0][0]) == (1, 1)
    path = await world.path()
    assert path in ([("hello", "open"), ("opened", None)], [("hello", "no_open"), ("again", None)])
    assert len(await world.events()) == 1 + fired[0][0]


async def test_an_open_that_is_committed_while_the_timeout_waits_for_its_visit_is_seen(database: Database):
    waiting = await Waiting.create(database)
    world = waiting.world
    hello = await world.current()
    (claim,) = await waiting.claims()
    async with database.begin() as webhook:
        await world.transitions.advance(webhook, [world.move(hello["id"], "open")])
        firing = asyncio.create_task(waiting.fire(claim))
        await asyncio.sleep(0.2)  # it waits for the webhook's lock
        assert not firing.done()
    assert await firing == [(0, 0)]
    assert await world.path() == [("hello", "open"), ("opened", None)]
    assert await world.events() == []


async def test_open_that_happened_in_time_arrives_after_firing_and_the_follow_up_is_pending(
    database: Database,
):
    waiting = await Waiting.create(database)
    await waiting.fire()
    assert await waiting.happened("open", DUE) == (1, 1)
    assert await waiting.world.path() == [("hello", "no_open"), ("again", "open"), ("opened", None)]
    assert await waiting.world.effects() == {"no_open": ["moved"], "open": ["moved"]}


async def test_open_that_happened_in_time_arrives_after_firing_and_the_follow_up_is_out(
    database: Database,
):
    waiting = await Waiting.create(database)
    await waiting.fire()
    (follow_up,) = await waiting.world.actions((await waiting.world.current())["id"])
    await waiting.world.set_action(follow_up["id"], status="submitting")
    assert await waiting.happened("open", DUE) == (1, 0)
    assert await waiting.world.path() == [("hello", "no_open"), ("again", None)]
    assert await waiting.world.effects() == {"no_open": ["moved"], "open": ["late"]}


async def test_late_click_after_no_click(database: Database):
    nodes = graph(
        hello=send(to("opened", "click"), to("again", "no_click", after=3600)), again=send(to("done"))
    )
    waiting = await Waiting.create(database, nodes)
    assert await waiting.fire() == [(1, 1)]
    assert await waiting.happened("click", DUE, url="x") == (1, 1)
    assert await waiting.world.path() == [("hello", "no_click"), ("again", "click"), ("opened", None)]


async def test_contact_moved_on(database: Database):
    waiting = await Waiting.create(database)
    (claim,) = await waiting.claims()
    await waiting.happened("open", DUE)
    assert await waiting.fire(claim) == [(0, 0)]
    assert (await waiting.timeout())["status"] == "cancelled"


async def test_contact_left_and_re_entered_the_same_node(database: Database):
    nodes = graph(hello=send(to("pause", "open"), to("done", "no_open", after=3600)), pause=wait(60, "hello"))
    waiting = await Waiting.create(database, nodes)
    world = waiting.world
    first = await world.current()
    (old,) = await waiting.claims()
    await world.advance(world.move(first["id"], "open"))
    await world.advance(world.move((await world.current())["id"], "elapsed"))
    again = await world.current()
    await world.accept(again["id"], NOW)
    await world.set_action(old.id, status="enqueued")  # as a job that was already on its way
    assert await waiting.fire(old) == [(0, 0)]
    assert (await world.actions(id=old.id))[0]["reason"] == "moved_on"
    assert (await world.current())["id"] == again["id"]


async def test_duplicate_timeout_job(database: Database):
    waiting = await Waiting.create(database)
    (claim,) = await waiting.claims()
    results = await asyncio.gather(*(waiting.fire(claim) for _ in range(3)), waiting.fire(claim, claim))
    assert sorted(result for batch in results for result in set(batch)) == [(0, 0)] * 3 + [(1, 1)]
    assert len(await waiting.world.events()) == 1
    assert len(await waiting.world.visits()) == 2


async def test_paused_when_due_is_held_and_on_resume_events_are_looked_at_first(database: Database):
    nodes = graph(
        hello=send(to("again", "no_open", after=3600), to("done", after="P9D")), again=send(to("done"))
    )
    waiting = await Waiting.create(database, nodes)
    world, tenant = waiting.world, waiting.world.tenant_id
    (enrolment,) = [row["id"] for row in await world.run("select id from enrollments")]
    await database.run(lambda tx: enrollments.pause(tx, tenant, [enrolment]))
    await world.run("update enrollments set paused_at = now() - interval '10 minutes'")
    assert await waiting.fire() == [(0, 0)]
    held = await waiting.timeout()
    assert (held["status"], held["reason"], held["g"]) == ("held", "enrollment_paused", 0)
    await waiting.happened("open", DUE)
    await database.run(lambda tx: enrollments.resume(tx, tenant, [enrolment]))
    resumed = await waiting.timeout()
    assert (resumed["status"], resumed["g"]) == ("pending", 1)
    past = {name: NOW - timedelta(minutes=3) for name in ("due_at", "scheduled_at")}
    await world.set_action(resumed["id"], **past)
    assert await waiting.fire() == [(0, 0)]
    timeout = await waiting.timeout()
    assert (timeout["status"], timeout["reason"]) == ("cancelled", "answered")
    assert await world.path() == [("hello", None)]


@pytest.mark.parametrize(
    ("queue", "whose"), [(None, None), ("outreach:timeout", None), (None, "t"), ("outreach:timeout", "t")]
)
async def test_a_pause_of_a_queue_or_tenant_holds_until_it_is_lifted(
    database: Database, queue: str | None, whose: str | None
):
    waiting = await Waiting.create(database)
    tenant = waiting.world.tenant_id if whose else None
    await waiting.world.run(
        "insert into pauses (id, queue, tenant_id) values (:t, :queue, :tenant)", queue=queue, tenant=tenant
    )
    assert await waiting.fire() == [(0, 0)]
    assert (await waiting.timeout())["reason"] == ("tenant_paused" if whose else "queue_paused")
    await database.run(lambda tx: sweeping.release(tx, 10))
    assert (await waiting.timeout())["status"] == "held"
    await waiting.world.run("delete from pauses")
    await database.run(lambda tx: sweeping.release(tx, 10))
    timeout = await waiting.timeout()
    assert (timeout["status"], timeout["g"], timeout["reason"]) == ("pending", 1, None)


async def test_a_pause_of_other_queues_and_tenants_holds_nothing(database: Database):
    waiting, other = await Waiting.create(database), await World.create(database, DRIP)
    await other.run("insert into pauses (id, tenant_id) values (:t, :t)")
    await other.run("insert into pauses (id, queue) values (:c, 'outreach:send')")
    assert await waiting.fire() == [(1, 1)]


async def test_stopped_is_cancelled(database: Database):
    waiting = await Waiting.create(database)
    tenant, campaign = waiting.world.tenant_id, waiting.world.campaign_id
    (claim,) = await waiting.claims()
    await database.run(lambda tx: enrollments.cancel_campaign(tx, tenant, campaign))
    assert await waiting.fire(claim) == [(0, 0)]
    assert (await waiting.timeout())["status"] == "cancelled"


async def test_unsubscribed_first(database: Database):
    nodes = graph(
        hello=send(to("opened", "unsubscribe"), to("done", "no_open", after=3600), to("done", "open"))
    )
    waiting = await Waiting.create(database, nodes)
    (claim,) = await waiting.claims()
    await waiting.happened("unsubscribe", DUE + SECOND)
    assert await waiting.fire(claim) == [(0, 0)]
    assert (await waiting.timeout())["status"] == "cancelled"
    assert await waiting.world.path() == [("hello", "unsubscribe"), ("opened", None)]


@pytest.mark.parametrize("kind", ["bounce", "dropped"])
async def test_bounced_or_dropped_first(database: Database, kind: str):
    waiting = await Waiting.create(database)
    (claim,) = await waiting.claims()
    await waiting.happened(kind, DUE + SECOND, type="bounce")
    assert await waiting.fire(claim) == [(0, 0)]
    assert await waiting.world.path() == [("hello", "bounced"), ("bounced", None)]


async def test_open_before_the_timeout_was_created(database: Database):
    nodes = graph(
        hello=send(to("again", "no_open", after=3600), to("done", after="P9D")), again=send(to("done"))
    )
    world = await World.create(database, nodes)
    await world.enrol()
    visit = await world.current()
    (action,) = await world.actions()
    await world.set_action(action["id"], status="submitting", recipient="x")
    await world.happens(mail_event("open", action, DUE - HOUR))
    await world.run(
        "update scheduled_actions set scheduled_at = :due, due_at = :due where kind = 'timeout'"
        " and event_type = 'no_open'",
        due=DUE,
    )
    waiting = Waiting(world)
    assert await waiting.fire() == [(0, 0)]
    assert await world.statuses(visit["id"]) == {
        "send": "accepted",
        "no_open": "cancelled",
        "elapsed": "pending",
    }


async def test_an_open_after_the_instant_does_not_answer_it(database: Database):
    nodes = graph(
        hello=send(to("again", "no_open", after=3600), to("done", after="P9D")), again=send(to("done"))
    )
    waiting = await Waiting.create(database, nodes)
    await waiting.happened("open", DUE + SECOND)
    assert await waiting.fire() == [(1, 1)]
    assert await waiting.world.path() == [("hello", "no_open"), ("again", None)]


async def test_a_machine_open_answers_a_timeout_only_where_the_edge_includes_it(database: Database):
    for included, result in ((False, (1, 1)), (True, (0, 0))):
        edge = to("again", "no_open", after=3600, includeAutomated=included)
        nodes = graph(hello=send(edge, to("done", after="P9D")), again=send(to("done")))
        waiting = await Waiting.create(database, nodes)
        await waiting.happened("open", DUE, sg_machine_open=True)
        assert await waiting.fire(*await waiting.claims(tenant_id=waiting.world.tenant_id)) == [result]


BOTH = graph(
    hello=send(to("again", "no_open", after=3600), to("done", "no_click", after=3600), to("opened", "click")),
    again=send(to("done")),
)


async def test_both_no_open_and_no_click_set_an_open_cancels_only_no_open(database: Database):
    waiting = await Waiting.create(database, BOTH)
    await waiting.happened("open", DUE)
    assert sorted(await waiting.fire()) == [(0, 0), (1, 1)]
    assert await waiting.world.statuses((await waiting.world.visits())[0]["id"]) == {
        "send": "accepted",
        "no_open": "cancelled",
        "no_click": "fired",
    }
    assert await waiting.world.path() == [("hello", "no_click"), ("done", None)]


async def test_both_no_open_and_no_click_set_a_click_cancels_both(database: Database):
    nodes = graph(
        hello=send(
            to("again", "no_open", after=3600), to("done", "no_click", after=3600), to("done", after="P9D")
        ),
        again=send(to("done")),
    )
    waiting = await Waiting.create(database, nodes)
    await waiting.happened("click", DUE, url="x")
    assert await waiting.fire() == [(0, 0), (0, 0)]
    assert await waiting.world.path() == [("hello", None)]
    statuses = await waiting.world.statuses()
    assert (statuses["no_open"], statuses["no_click"], statuses["elapsed"]) == (
        "cancelled",
        "cancelled",
        "pending",
    )


@pytest.mark.parametrize(("first", "second"), [("no_open", "no_click"), ("no_click", "no_open")])
async def test_of_two_timeouts_of_a_visit_in_one_set_only_the_first_fires(
    database: Database, first: str, second: str
):
    waiting = await Waiting.create(database, BOTH)
    await waiting.world.set_action((await waiting.timeout(first))["id"], scheduled_at=DUE - SECOND)
    assert sorted(await waiting.fire()) == [(0, 0), (1, 1)]
    assert (await waiting.timeout(first))["status"] == "fired"
    cancelled = await waiting.timeout(second)
    assert (cancelled["status"], cancelled["reason"]) == ("cancelled", "moved_on")
    assert [event["type"] for event in await waiting.world.events()] == [first]


async def test_a_timeout_that_goes_back_while_it_is_decided_neither_fires_nor_takes_another_along(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    waiting = await Waiting.create(database, BOTH)
    no_open = await waiting.timeout("no_open")
    await waiting.world.set_action(no_open["id"], scheduled_at=DUE - SECOND)
    settle = timeouts.settle

    async def after_an_opening(tx: Any, settled: Any) -> frozenset[Any]:
        await waiting.world.set_action(no_open["id"], status="pending", g=1)
        return await settle(tx, settled)

    monkeypatch.setattr(timeouts, "settle", after_an_opening)
    assert await waiting.fire() == [(0, 0), (0, 0)]
    assert await waiting.world.path() == [("hello", None)]
    assert await waiting.world.events() == []
    assert await waiting.world.statuses() == {"send": "accepted", "no_open": "pending", "no_click": "pending"}


async def test_after_an_outage_the_herd_is_worked_on_in_sets(database: Database):
    waiting = await Waiting.create(database, contacts=25)
    claims = await waiting.claims()
    counts = []
    for batch in (claims[:1], claims[1:]):
        with statements(database) as ran:
            assert await waiting.fire(*batch) == [(1, 1)] * len(batch)
        counts.append(len(ran))
    assert counts == [8, 8]


async def test_a_job_without_a_row_or_of_another_tenant_is_done(database: Database):
    waiting, other = await Waiting.create(database), await World.create(database, DRIP)
    (claim,) = await waiting.claims()
    assert await waiting.fire(claim._replace(tenant_id=other.tenant_id)) == [(0, 0)]
    assert await waiting.fire(claim._replace(g=1)) == [(0, 0)]
    assert (await waiting.timeout())["status"] == "enqueued"
