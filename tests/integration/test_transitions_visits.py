"""How visits move: one transition each, whatever happens at once."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from shared.campaigns.compiled import Taken
from shared.campaigns.moves import NOTHING, Effect, Moved
from shared.store.database import Database
from shared.store.visits import Visit
from tests.journeys import TIMEOUTS, World, graph, send, sms, statements, to, wait

NOW = datetime.now(UTC)
LATER = timedelta(days=2)

DRIP = graph(
    hello=send(to("opened", "open"), to("again", "no_open", after="P2D"), to("done", "click")),
    again=send(to("done")),
)


async def test_a_contact_enters_with_a_send_that_is_due_now(database: Database):
    world = await World.create(database, DRIP)
    await world.enrol()
    visit = await world.current()
    (action,) = await world.actions()
    assert (visit["node_id"], visit["campaign_version"], visit["previous_visit_id"]) == ("hello", 1, None)
    assert (action["kind"], action["status"], action["g"], action["visit_id"]) == (
        "send",
        "pending",
        0,
        visit["id"],
    )
    assert (action["channel"], action["sender_id"]) == ("email", world.senders["email"])
    assert action["due_at"] == action["scheduled_at"] == action["created_at"]


async def test_a_node_names_its_own_sender_and_an_sms_goes_out_by_the_sms_sender(database: Database):
    world = await World.create(database, graph(text=sms(to("own")), own=send(to("done"))))
    nodes = graph(text=sms(to("own")), own=send(to("done"), sender=str(world.senders["email"])))
    await world.add_campaign(nodes, email_sender_id=None)
    await world.enrol()
    first = await world.current()
    await world.accept(first["id"])
    senders = [action["sender_id"] for action in await world.actions()]
    assert senders == [world.senders["sms"], world.senders["email"]]


async def test_a_contact_enters_a_wait_with_the_timeout_that_ends_it(database: Database):
    world = await World.create(database, graph(pause=wait(3600, "done")))
    await world.enrol()
    (action,) = await world.actions()
    assert (action["kind"], action["event_type"], action["status"]) == ("timeout", "elapsed", "pending")
    assert action["due_at"] == action["scheduled_at"] == action["created_at"] + timedelta(hours=1)


async def test_a_visit_is_left_by_its_edge_and_the_next_one_begins(database: Database):
    world = await World.create(database, DRIP)
    await world.enrol()
    hello = await world.current()
    await world.accept(hello["id"])
    moved = await world.advance(world.move(hello["id"], "no_open"))
    again = await world.current()
    assert moved == [Moved(Effect.MOVED, Taken("no_open", "again", None))]
    assert await world.path() == [("hello", "no_open"), ("again", None)]
    assert again["previous_visit_id"] == hello["id"]
    assert await world.statuses(hello["id"]) == {"send": "accepted", "no_open": "cancelled"}
    assert await world.statuses(again["id"]) == {"send": "pending"}


async def test_an_exit_ends_the_enrolment_with_its_name(database: Database):
    world = await World.create(database, DRIP)
    (enrolled,) = await world.enrol()
    hello = await world.current()
    await world.advance(world.move(hello["id"], "open"))
    assert await world.path() == [("hello", "open"), ("opened", None)]
    (row,) = await world.run("select * from enrollments where tenant_id = :t")
    assert (row["id"], row["status"], row["exit"], row["reason"]) == (
        enrolled.enrollment_id,
        "exited",
        "opened",
        None,
    )
    assert row["exited_at"] is not None
    assert await world.statuses() == {"send": "cancelled"}


async def test_a_failure_without_an_edge_ends_the_enrolment_and_keeps_the_reason(database: Database):
    world = await World.create(database, DRIP)
    await world.enrol()
    hello = await world.current()
    await world.advance(world.move(hello["id"], "failed", reason="render"))
    (row,) = await world.run("select * from enrollments where tenant_id = :t")
    assert (row["status"], row["exit"], row["reason"]) == ("exited", "failed", "render")
    assert await world.path() == [("hello", "failed"), ("failed", None)]


async def test_an_action_that_its_worker_ends_itself_is_left_to_it(database: Database):
    world = await World.create(database, DRIP)
    await world.enrol()
    hello = await world.current()
    (action,) = await world.actions()
    await world.advance(world.move(hello["id"], "failed", action_id=action["id"], reason="suppressed"))
    assert await world.statuses() == {"send": "pending"}


async def test_what_is_with_the_provider_is_not_undone_by_a_move(database: Database):
    world = await World.create(database, DRIP)
    await world.enrol()
    hello = await world.current()
    (action,) = await world.actions()
    await world.set_action(action["id"], status="submitting")
    await world.advance(world.move(hello["id"], "open"))
    assert await world.statuses() == {"send": "submitting"}


async def test_the_earliest_of_a_set_moves_the_visit_and_the_others_do_nothing(database: Database):
    world = await World.create(database, DRIP)
    await world.enrol()
    hello = (await world.current())["id"]
    moved = await world.advance(
        world.move(hello, "click", occurred_at=NOW),
        world.move(hello, "open", occurred_at=NOW - timedelta(minutes=1)),
        world.move(hello, "click", occurred_at=NOW),
    )
    assert moved == [NOTHING, Moved(Effect.MOVED, Taken("open", None, "opened")), NOTHING]
    assert await world.path() == [("hello", "open"), ("opened", None)]


async def test_a_move_of_a_visit_that_is_not_there_does_nothing(database: Database):
    world = await World.create(database, DRIP)
    assert await world.advance(world.move(world.tenant_id, "open")) == [NOTHING]
    assert await world.advance() == []


async def test_a_visit_of_another_tenant_is_not_there(database: Database):
    world = await World.create(database, DRIP)
    other = await World.create(database, DRIP)
    await other.enrol()
    theirs = await other.current()
    assert await world.advance(world.move(theirs["id"], "open")) == [NOTHING]
    assert await other.path() == [("hello", None)]


async def test_a_set_moves_many_visits_in_a_constant_number_of_statements(database: Database):
    world = await World.create(database, DRIP, contacts=30)
    await world.enrol()
    visits = [(await world.current(contact))["id"] for contact in world.contacts]
    counts = []
    for batch in (visits[:1], visits[1:]):
        with statements(database) as ran:
            await world.advance(*(world.move(visit, "open") for visit in batch))
        counts.append(len(ran))
    assert counts == [3, 3]
    assert all(
        [await world.path(contact) == [("hello", "open"), ("opened", None)] for contact in world.contacts]
    )


async def test_timeouts_count_from_acceptance_and_are_looked_at_after_the_grace(database: Database):
    world = await World.create(database, DRIP)
    await world.enrol()
    hello = await world.current()
    await world.accept(hello["id"], NOW - timedelta(minutes=5))
    timeout = (await world.actions(hello["id"], kind="timeout"))[0]
    assert (await world.current())["accepted_at"] == NOW - timedelta(minutes=5)
    assert timeout["event_type"] == "no_open"
    assert timeout["scheduled_at"] == NOW - timedelta(minutes=5) + LATER
    assert timeout["due_at"] == timeout["scheduled_at"] + TIMEOUTS.grace + TIMEOUTS.insert_timeout


async def test_an_else_edge_that_nothing_competes_with_needs_no_grace(database: Database):
    world = await World.create(database, graph(hello=send(to("done", after=60))))
    await world.enrol()
    hello = await world.current()
    await world.accept(hello["id"], NOW)
    (timeout,) = await world.actions(kind="timeout")
    assert timeout["due_at"] == timeout["scheduled_at"] == NOW + timedelta(minutes=1)


async def test_an_acceptance_told_twice_counts_the_first_time(database: Database):
    world = await World.create(database, DRIP)
    await world.enrol()
    hello = await world.current()
    await world.accept(hello["id"], NOW)
    await world.accept(hello["id"], NOW + timedelta(hours=1))
    assert (await world.current())["accepted_at"] == NOW
    assert len(await world.actions(kind="timeout")) == 1


async def test_an_else_edge_without_a_time_is_taken_at_acceptance(database: Database):
    world = await World.create(database, graph(hello=send(to("pause")), pause=wait(9, "done")))
    await world.enrol()
    hello = await world.current()
    assert await world.accept(hello["id"]) == [Moved(Effect.MOVED, Taken("else", "pause", None))]
    assert await world.path() == [("hello", "else"), ("pause", None)]


async def test_a_visit_that_was_left_before_its_acceptance_gets_no_timeouts(database: Database):
    world = await World.create(database, DRIP)
    await world.enrol()
    hello = await world.current()
    (action,) = await world.actions()
    await world.set_action(action["id"], status="submitting")
    await world.advance(world.move(hello["id"], "open"))
    await world.accept(hello["id"], NOW)
    assert await world.statuses() == {"send": "accepted"}
    assert (await world.visits())[0]["accepted_at"] == NOW


async def test_a_running_visit_keeps_its_version_when_the_graph_is_edited(database: Database):
    world = await World.create(database, DRIP)
    await world.enrol()
    await world.add_version(2, graph(new=send(to("done"))))
    (later,) = await world.add_contacts(1)
    await world.enrol([later])
    hello = await world.current()
    await world.advance(world.move(hello["id"], "no_open"))
    assert [(visit["node_id"], visit["campaign_version"]) for visit in await world.visits()] == [
        ("hello", 1),
        ("again", 1),
    ]
    assert [(v["node_id"], v["campaign_version"]) for v in await world.visits(later)] == [("new", 2)]


async def test_two_batches_same_contact_at_once_move_it_once(database: Database):
    world = await World.create(database, DRIP)
    await world.enrol()
    hello = (await world.current())["id"]
    moved = await asyncio.gather(
        *(world.advance(world.move(hello, on)) for on in ("open", "click", "no_open", "open"))
    )
    effects = sorted(result.effect for (result,) in moved)
    assert effects == [Effect.MOVED, Effect.NONE, Effect.NONE, Effect.NONE]
    assert await world.path() in (
        [("hello", "open"), ("opened", None)],
        [("hello", "click"), ("done", None)],
        [("hello", "no_open"), ("again", None)],
    )


async def test_who_comes_while_a_visit_is_left_waits_and_then_does_nothing(database: Database):
    world = await World.create(database, DRIP)
    await world.enrol()
    hello = (await world.current())["id"]
    async with database.begin() as first:
        await world.transitions.advance(first, [world.move(hello, "open")])
        second = asyncio.create_task(world.advance(world.move(hello, "click")))
        await asyncio.sleep(0.2)  # it waits for the first one's lock
        assert not second.done()
    assert await second == [NOTHING]
    assert await world.path() == [("hello", "open"), ("opened", None)]


async def test_without_the_compare_and_set_a_visit_would_be_left_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Visit, "here", property(lambda self: True))
    world = await World.create(database, DRIP)
    await world.enrol()
    hello = (await world.current())["id"]
    await world.advance(world.move(hello, "open"))
    await world.advance(world.move(hello, "no_open"))
    assert await world.path() == [("hello", "no_open"), ("again", None), ("opened", None)]


async def test_sets_that_move_the_same_visits_in_other_orders_do_not_block_each_other(database: Database):
    world = await World.create(database, DRIP, contacts=20)
    await world.enrol()
    visits = [(await world.current(contact))["id"] for contact in world.contacts]
    there = [world.move(visit, "open") for visit in visits]
    back = [world.move(visit, "no_open") for visit in reversed(visits)]
    results = await asyncio.gather(world.advance(*there), world.advance(*back))
    moved = [effect for result in results for effect in result if effect.effect is Effect.MOVED]
    assert len(moved) == 20


class Late:
    """A world whose contact left `hello` by no_open; `due` is the instant of that timeout."""

    def __init__(self, world: World, hello: object, due: datetime) -> None:
        self.world, self.hello, self.due = world, hello, due

    @classmethod
    async def create(cls, database: Database, nodes: dict, by: str = "no_open") -> "Late":
        world = await World.create(database, nodes)
        await world.enrol()
        hello = await world.current()
        await world.accept(hello["id"], NOW - LATER)
        await world.advance(world.move(hello["id"], by))
        timeout = await world.actions(hello["id"], event_type=by)
        return cls(world, hello["id"], timeout[0]["scheduled_at"] if timeout else NOW)

    async def happens(self, on: str, after: float = -1, **more: object) -> Effect:
        at = self.due + timedelta(seconds=after)
        ((result),) = await self.world.advance(self.world.move(self.hello, on, occurred_at=at, **more))
        return result.effect


@pytest.mark.parametrize("status", ["pending", "enqueued", "held"])
async def test_an_open_in_time_that_arrives_after_firing_turns_a_follow_up_that_is_not_out(
    database: Database, status: str
):
    late = await Late.create(database, DRIP)
    again = await late.world.current()
    (action,) = await late.world.actions(again["id"])
    await late.world.set_action(action["id"], status=status)
    assert await late.happens("open", 0) is Effect.MOVED
    assert await late.world.path() == [("hello", "no_open"), ("again", "open"), ("opened", None)]
    assert await late.world.statuses(again["id"]) == {"send": "cancelled"}


async def test_an_open_in_time_is_recorded_late_when_the_follow_up_is_out(database: Database):
    for status in ("submitting", "accepted", "unknown"):
        late = await Late.create(database, DRIP)
        again = await late.world.current()
        (action,) = await late.world.actions(again["id"])
        await late.world.set_action(action["id"], status=status)
        assert await late.happens("open") is Effect.LATE
        assert await late.world.path() == [("hello", "no_open"), ("again", None)]
        assert await late.world.statuses(again["id"]) == {"send": status}


async def test_a_follow_up_that_was_accepted_keeps_its_timeouts_when_an_open_comes_late(database: Database):
    nodes = graph(
        hello=send(to("opened", "open"), to("again", "no_open", after=60)), again=send(to("done", after=60))
    )
    late = await Late.create(database, nodes)
    again = (await late.world.current())["id"]
    await late.world.accept(again)
    assert await late.happens("open") is Effect.LATE
    assert await late.world.statuses(again) == {"send": "accepted", "elapsed": "pending"}
    assert await late.world.path() == [("hello", "no_open"), ("again", None)]


async def test_an_open_in_time_is_recorded_late_when_the_follow_up_was_left(database: Database):
    nodes = graph(
        hello=send(to("opened", "open"), to("pause", "no_open", after=60)),
        pause=wait(9, "again"),
        again=send(to("done")),
    )
    late = await Late.create(database, nodes)
    await late.world.advance(late.world.move((await late.world.current())["id"], "elapsed"))
    assert await late.happens("open") is Effect.LATE
    assert await late.world.path() == [("hello", "no_open"), ("pause", "else"), ("again", None)]


async def test_a_follow_up_that_ends_in_the_same_set_is_left_to_its_worker(database: Database):
    late = await Late.create(database, DRIP)
    world, again = late.world, (await late.world.current())["id"]
    (action,) = await world.actions(again)
    moved = await world.advance(
        world.move(again, "failed", action_id=action["id"]),
        world.move(late.hello, "open", occurred_at=late.due),
    )
    assert [result.effect for result in moved] == [Effect.MOVED, Effect.LATE]
    assert await world.statuses(again) == {"send": "pending"}
    assert await world.path() == [("hello", "no_open"), ("again", "failed"), ("failed", None)]


async def test_what_is_held_of_a_visit_that_is_left_is_cancelled(database: Database):
    world = await World.create(database, DRIP)
    await world.enrol()
    (action,) = await world.actions()
    await world.set_action(action["id"], status="held", reason="campaign_paused")
    await world.advance(world.move((await world.current())["id"], "open"))
    assert await world.statuses() == {"send": "cancelled"}


async def test_an_open_in_time_is_recorded_late_when_the_enrolment_has_ended(database: Database):
    late = await Late.create(
        database, graph(hello=send(to("opened", "open"), to("done", "no_open", after=60)))
    )
    assert await late.happens("open") is Effect.LATE
    assert await late.world.path() == [("hello", "no_open"), ("done", None)]


async def test_an_open_after_the_timeout_does_nothing(database: Database):
    late = await Late.create(database, DRIP)
    assert await late.happens("open", after=1) is Effect.NONE
    assert await late.world.path() == [("hello", "no_open"), ("again", None)]


async def test_a_machine_open_in_time_does_nothing(database: Database):
    late = await Late.create(database, DRIP)
    assert await late.happens("open", automated=True) is Effect.NONE


async def test_an_open_in_time_turns_a_contact_out_of_a_wait(database: Database):
    nodes = graph(hello=send(to("opened", "open"), to("pause", "no_open", after=60)), pause=wait(9, "done"))
    late = await Late.create(database, nodes)
    assert await late.happens("open") is Effect.MOVED
    assert await late.world.path() == [("hello", "no_open"), ("pause", "open"), ("opened", None)]
    assert (await late.world.statuses())["elapsed"] == "cancelled"


async def test_an_open_and_a_click_in_time_turn_the_follow_up_once(database: Database):
    late = await Late.create(database, DRIP)
    world = late.world
    moved = await world.advance(
        world.move(late.hello, "click", occurred_at=late.due),
        world.move(late.hello, "open", occurred_at=late.due - timedelta(seconds=1)),
    )
    assert [result.effect for result in moved] == [Effect.LATE, Effect.MOVED]
    assert await world.path() == [("hello", "no_open"), ("again", "open"), ("opened", None)]


NO_CLICK = graph(hello=send(to("opened", "click"), to("again", "no_click", after=60)), again=send(to("done")))


async def test_a_late_click_after_no_click_turns_the_follow_up_by_the_same_rule(database: Database):
    late = await Late.create(database, NO_CLICK, by="no_click")
    assert await late.happens("click") is Effect.MOVED
    assert await late.world.path() == [("hello", "no_click"), ("again", "click"), ("opened", None)]


async def test_a_late_open_says_nothing_against_no_click(database: Database):
    late = await Late.create(database, NO_CLICK, by="no_click")
    assert await late.happens("open") is Effect.NONE


async def test_an_open_in_time_that_has_no_edge_is_late_once_the_follow_up_began(database: Database):
    nodes = graph(hello=send(to("again", "no_open", after=60), to("done", after=90)), again=send(to("done")))
    late = await Late.create(database, nodes)
    assert await late.happens("open") is Effect.LATE
    assert await late.world.path() == [("hello", "no_open"), ("again", None)]
    assert await late.world.statuses((await late.world.current())["id"]) == {"send": "pending"}


ELSE = graph(hello=send(to("opened", "open"), to("again", after=60)), again=send(to("done")))


@pytest.mark.parametrize(
    ("on", "after", "effect"), [("open", 0, "moved"), ("click", -1, "moved"), ("open", 1, "none")]
)
async def test_who_opened_in_time_is_turned_out_of_an_else_that_took_them_for_silent(
    database: Database, on: str, after: float, effect: str
):
    late = await Late.create(database, ELSE, by="elapsed")
    assert await late.happens(on, after) == effect
    ends = [("again", "open"), ("opened", None)] if effect == "moved" else [("again", None)]
    assert await late.world.path() == [("hello", "else"), *ends]


async def test_an_else_that_is_taken_at_once_or_has_no_other_edge_is_never_turned(database: Database):
    for after, edges in ((None, (to("opened", "open"),)), (60, ())):
        world = await World.create(
            database, graph(hello=send(*edges, to("again", after=after)), again=send(to("done")))
        )
        await world.enrol()
        hello = await world.current()
        await world.accept(hello["id"], NOW - LATER)
        if after:
            await world.advance(world.move(hello["id"], "elapsed"))
        moved = await world.advance(world.move(hello["id"], "open", occurred_at=NOW - LATER))
        assert moved == [NOTHING]
        assert await world.path() == [("hello", "else"), ("again", None)]


async def test_a_bounce_told_with_the_delivery_it_overrides_moves_in_its_stead(database: Database):
    nodes = graph(
        hello=send(to("again", "delivered"), to("opened", "bounce"), to("done", after=60)),
        again=send(to("done")),
    )
    world = await World.create(database, nodes)
    await world.enrol()
    hello = (await world.current())["id"]
    await world.accept(hello, NOW)
    moved = await world.advance(
        world.move(hello, "delivered", occurred_at=NOW),
        world.move(hello, "bounce", occurred_at=NOW + timedelta(hours=1)),
    )
    assert moved == [NOTHING, Moved(Effect.MOVED, Taken("bounce", None, "opened"))]
    assert await world.path() == [("hello", "bounce"), ("opened", None)]


@pytest.mark.parametrize("on", ["bounce", "dropped"])
async def test_a_bounce_after_delivered_overrides_and_cancels_the_follow_up(database: Database, on: str):
    nodes = graph(
        hello=send(to("again", "delivered"), to("opened", "bounce"), to("done", after=60)),
        again=send(to("done")),
    )
    late = await Late.create(database, nodes, by="delivered")
    assert await late.happens(on, after=3600) is Effect.MOVED
    assert await late.world.path() == [("hello", "delivered"), ("again", "bounce"), ("opened", None)]
    assert [action["status"] for action in await late.world.actions(kind="send")] == ["accepted", "cancelled"]


async def test_a_bounce_after_a_follow_up_that_is_out_moves_nothing(database: Database):
    late = await Late.create(database, DRIP)
    (action,) = await late.world.actions((await late.world.current())["id"])
    await late.world.set_action(action["id"], status="submitting")
    assert await late.happens("bounce") is Effect.NONE


@pytest.mark.parametrize("by", ["failed", "bounce", "dropped"])
async def test_a_bounce_after_a_failure_moves_nothing(database: Database, by: str):
    nodes = graph(hello=send(to("again", by), to("done", after=60)), again=send(to("done")))
    late = await Late.create(database, nodes, by=by)
    assert await late.happens("bounce") is Effect.NONE
    assert await late.world.path() == [("hello", by), ("again", None)]


async def test_a_follow_up_that_is_being_submitted_is_never_cancelled_by_a_late_open(database: Database):
    late = await Late.create(database, DRIP)
    again = await late.world.current()
    (action,) = await late.world.actions(again["id"])

    async with database.begin() as worker:
        await worker.exec_driver_sql(
            f"update scheduled_actions set status = 'submitting' where id = '{action['id']}'"
        )
        happens = asyncio.create_task(late.happens("open"))
        await asyncio.sleep(0.2)  # it waits for the worker's lock
        assert not happens.done()
    assert await happens is Effect.LATE
    assert await late.world.statuses(again["id"]) == {"send": "submitting"}
