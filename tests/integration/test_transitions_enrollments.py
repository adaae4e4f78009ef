"""How contacts enter campaigns, are held in them, and are taken out."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from shared.campaigns import enrollments
from shared.campaigns.enrollments import Enrolled
from shared.errors import Conflict, NotFound
from shared.store.database import Database
from shared.store.ids import uuid7
from tests.journeys import World, graph, send, statements, to, wait

DRIP = graph(hello=send(to("done", "open"), to("again", "no_open", after=3600)), again=send(to("done")))


async def outcomes(world: World, *contacts: Any) -> list[Enrolled]:
    return [answer.outcome for answer in await world.enrol(contacts or None)]


async def test_each_contact_gets_its_answer_in_order(database: Database):
    world = await World.create(database, DRIP, contacts=4)
    active, gone, first, second = world.contacts
    other = await World.create(database, DRIP)
    await world.enrol([active])
    await world.run("update contacts set deleted_at = now() where id = :id", id=gone)
    stranger = uuid7()
    answers = await world.enrol([first, active, gone, stranger, other.contacts[0], second, first])
    assert [answer.outcome for answer in answers] == [
        Enrolled.ENROLLED,
        Enrolled.ALREADY_ACTIVE,
        Enrolled.UNKNOWN_CONTACT,
        Enrolled.UNKNOWN_CONTACT,
        Enrolled.UNKNOWN_CONTACT,
        Enrolled.ENROLLED,
        Enrolled.ALREADY_ACTIVE,
    ]
    assert [answer.contact_id for answer in answers][3:5] == [stranger, other.contacts[0]]
    rows = await world.run("select * from enrollments where tenant_id = :t order by id")
    assert [row["contact_id"] for row in rows] == [active, first, second]
    assert {answer.enrollment_id for answer in answers} == {rows[1]["id"], rows[2]["id"], None}
    assert [action["contact_id"] for action in await world.actions()] == [active, first, second]


async def test_a_thousand_contacts_are_enrolled_by_as_many_statements_as_one(database: Database):
    world = await World.create(database, DRIP, contacts=21)
    counts = []
    for batch in (world.contacts[:1], world.contacts[1:]):
        with statements(database) as ran:
            await world.enrol(batch)
        counts.append(len(ran) - (1 if not counts else 0))  # the first loads the graph
    assert counts == [5, 5]


async def test_a_contact_enrolled_by_two_requests_at_once_is_enrolled_once(database: Database):
    for reentry in ("never", "after_exit"):
        world = await World.create(database, DRIP, contacts=5, reentry=reentry)
        answers = await asyncio.gather(*(world.enrol() for _ in range(4)))
        enrolled = [item for answer in answers for item in answer if item.outcome is Enrolled.ENROLLED]
        refused = [item for answer in answers for item in answer if item.outcome is Enrolled.ALREADY_ACTIVE]
        assert (len(enrolled), len(refused)) == (5, 15)
        assert len(await world.actions()) == 5


async def exited(world: World, days_ago: int) -> None:
    visit = await world.current()
    await world.advance(world.move(visit["id"], "open"))
    await world.run(
        "update enrollments set exited_at = now() - cast(:ago as interval)", ago=timedelta(days=days_ago)
    )


@pytest.mark.parametrize(
    ("campaign", "days", "expected"),
    [
        ({"reentry": "never"}, 900, Enrolled.NOT_ALLOWED),
        ({"reentry": "after_exit"}, 0, Enrolled.ENROLLED),
        ({"reentry": "after_days", "reentry_days": 30}, 29, Enrolled.NOT_ALLOWED),
        ({"reentry": "after_days", "reentry_days": 30}, 31, Enrolled.ENROLLED),
    ],
)
async def test_whether_a_contact_may_enter_again(
    database: Database, campaign: dict[str, Any], days: int, expected: Enrolled
):
    world = await World.create(database, DRIP, **campaign)
    assert await outcomes(world) == [Enrolled.ENROLLED]
    assert await outcomes(world) == [Enrolled.ALREADY_ACTIVE]
    await exited(world, days)
    assert await outcomes(world) == [expected]
    assert len(await world.visits()) == (2 if expected is Enrolled.ENROLLED else 1)


async def test_who_came_again_is_already_active_whatever_ended_before(database: Database):
    world = await World.create(database, DRIP, reentry="after_exit")
    assert await outcomes(world) == [Enrolled.ENROLLED]
    await exited(world, 0)
    assert await outcomes(world) == [Enrolled.ENROLLED]
    assert await outcomes(world) == [Enrolled.ALREADY_ACTIVE]


async def test_a_campaign_that_is_not_there_or_cancelled_takes_nobody(database: Database):
    world = await World.create(database, DRIP)
    other = await World.create(database, DRIP)
    await database.run(lambda tx: enrollments.cancel_campaign(tx, world.tenant_id, world.campaign_id))
    with pytest.raises(Conflict):
        await world.enrol()
    world.campaign_id = other.campaign_id
    with pytest.raises(NotFound):
        await world.enrol()
    assert await world.run("select 1 from enrollments") == []


async def test_a_paused_campaign_takes_contacts(database: Database):
    world = await World.create(database, DRIP)
    await database.run(lambda tx: enrollments.pause_campaign(tx, world.tenant_id, world.campaign_id))
    assert await outcomes(world) == [Enrolled.ENROLLED]


async def hold(world: World, reason: str, paused_minutes: int) -> Any:
    """The contact's no_open came due while it was paused, and is held."""
    (timeout,) = await world.actions(kind="timeout")
    await world.set_action(timeout["id"], status="held", reason=reason)
    where = "campaigns" if reason == "campaign_paused" else "enrollments"
    await world.run(
        f"update {where} set paused_at = now() - cast(:ago as interval)",
        ago=timedelta(minutes=paused_minutes),
    )
    await world.run(
        "update scheduled_actions set created_at = now() - interval '2 days' where tenant_id = :t"
    )
    return timeout


async def waiting(database: Database) -> tuple[World, Any]:
    world = await World.create(database, DRIP)
    (enrolled,) = await world.enrol()
    await world.accept((await world.current())["id"])
    return world, enrolled.enrollment_id


@pytest.mark.parametrize("scope", ["campaign", "enrollment"])
async def test_paused_when_due_is_held_and_on_resume_the_remaining_time_runs(database: Database, scope: str):
    world, enrolment = await waiting(database)
    tenant, campaign = world.tenant_id, world.campaign_id
    if scope == "campaign":
        await database.run(lambda tx: enrollments.pause_campaign(tx, tenant, campaign))
    else:
        assert await database.run(lambda tx: enrollments.pause(tx, tenant, [enrolment])) == {enrolment}
    before = await hold(world, f"{scope}_paused", paused_minutes=90)
    if scope == "campaign":
        await database.run(lambda tx: enrollments.resume_campaign(tx, tenant, campaign))
    else:
        assert await database.run(lambda tx: enrollments.resume(tx, tenant, [enrolment])) == {enrolment}
    (after,) = await world.actions(kind="timeout")
    assert (after["status"], after["g"], after["reason"]) == ("pending", before["g"] + 1, None)
    shifted = after["scheduled_at"] - before["scheduled_at"]
    assert abs(shifted - timedelta(minutes=90)) < timedelta(seconds=30)
    assert after["due_at"] - after["scheduled_at"] == before["due_at"] - before["scheduled_at"]
    (row,) = await world.run(
        "select c.status, c.paused_at, e.status as e, e.paused_at as p"
        " from campaigns c, enrollments e where c.tenant_id = :t"
    )
    assert tuple(row.values()) == ("active", None, "active", None)


@pytest.mark.parametrize("scope", ["campaign", "enrollment"])
async def test_what_began_during_a_pause_is_moved_by_the_time_since_then(database: Database, scope: str):
    world, enrolment = await waiting(database)
    tenant, campaign = world.tenant_id, world.campaign_id
    if scope == "campaign":
        await database.run(lambda tx: enrollments.pause_campaign(tx, tenant, campaign))
    else:
        await database.run(lambda tx: enrollments.pause(tx, tenant, [enrolment]))
    before = await hold(world, f"{scope}_paused", paused_minutes=90)
    await world.run("update scheduled_actions set created_at = now() - interval '10 minutes'")
    if scope == "campaign":
        await database.run(lambda tx: enrollments.resume_campaign(tx, tenant, campaign))
    else:
        await database.run(lambda tx: enrollments.resume(tx, tenant, [enrolment]))
    (after,) = await world.actions(kind="timeout")
    shifted = after["scheduled_at"] - before["scheduled_at"]
    assert abs(shifted - timedelta(minutes=10)) < timedelta(seconds=30)


async def test_a_second_pause_or_resume_changes_nothing(database: Database):
    world, enrolment = await waiting(database)
    tenant, campaign = world.tenant_id, world.campaign_id
    assert await database.run(lambda tx: enrollments.resume(tx, tenant, [enrolment])) == frozenset()
    await database.run(lambda tx: enrollments.pause(tx, tenant, [enrolment]))
    await database.run(lambda tx: enrollments.pause_campaign(tx, tenant, campaign))
    paused = "select c.status, c.paused_at, e.status, e.paused_at from campaigns c, enrollments e"
    before = await world.run(paused)
    assert await database.run(lambda tx: enrollments.pause(tx, tenant, [enrolment])) == frozenset()
    await database.run(lambda tx: enrollments.pause_campaign(tx, tenant, campaign))
    assert await world.run(paused) == before


async def test_what_is_held_of_a_cancelled_enrolment_is_cancelled(database: Database):
    world, enrolment = await waiting(database)
    await database.run(lambda tx: enrollments.pause(tx, world.tenant_id, [enrolment]))
    await hold(world, "enrollment_paused", paused_minutes=5)
    await database.run(lambda tx: enrollments.cancel(tx, world.tenant_id, [enrolment]))
    assert (await world.statuses())["no_open"] == "cancelled"


async def test_a_resume_releases_only_what_its_own_pause_held(database: Database):
    world, enrolment = await waiting(database)
    await database.run(lambda tx: enrollments.pause(tx, world.tenant_id, [enrolment]))
    await hold(world, "campaign_paused", paused_minutes=5)
    await world.run("update enrollments set paused_at = now()")
    await database.run(lambda tx: enrollments.resume(tx, world.tenant_id, [enrolment]))
    assert (await world.statuses())["no_open"] == "held"
    await world.run("update scheduled_actions set reason = 'tenant_paused' where status = 'held'")
    tenant, campaign = world.tenant_id, world.campaign_id
    await database.run(lambda tx: enrollments.pause_campaign(tx, tenant, campaign))
    await database.run(lambda tx: enrollments.resume_campaign(tx, tenant, campaign))
    assert (await world.statuses())["no_open"] == "held"


async def test_a_large_campaign_is_resumed_in_steps(database: Database):
    world = await World.create(database, DRIP, contacts=7)
    await world.enrol()
    await database.run(lambda tx: enrollments.pause_campaign(tx, world.tenant_id, world.campaign_id))
    await world.run("update scheduled_actions set status = 'held', reason = 'campaign_paused'")
    await world.run("update campaigns set status = 'active'")
    more = []
    for _ in range(3):
        more.append(await database.run(lambda tx: enrollments.release_resumed(tx, limit=3)))
    assert more == [True, True, False]
    assert {action["status"] for action in await world.actions()} == {"pending"}
    assert (await world.run("select paused_at from campaigns"))[0]["paused_at"] is None


async def test_a_cancelled_enrolment_ends_with_its_visit_and_what_is_open_of_it(database: Database):
    world, enrolment = await waiting(database)
    ended = await database.run(lambda tx: enrollments.cancel(tx, world.tenant_id, [enrolment]))
    again = await database.run(lambda tx: enrollments.cancel(tx, world.tenant_id, [enrolment]))
    assert (ended, again) == ({enrolment}, frozenset())
    (row,) = await world.run("select * from enrollments")
    assert (row["status"], row["exit"], row["reason"]) == ("cancelled", "cancelled", "enrollment_cancelled")
    assert row["exited_at"] is not None
    assert await world.path() == [("hello", "cancelled"), ("cancelled", None)]
    assert await world.statuses() == {"send": "accepted", "no_open": "cancelled"}


async def test_an_enrolment_of_another_tenant_is_neither_paused_nor_cancelled(database: Database):
    world, enrolment = await waiting(database)
    stranger = uuid7()
    for change in (enrollments.pause, enrollments.cancel, enrollments.resume):
        assert await database.run(lambda tx, change=change: change(tx, stranger, [enrolment])) == frozenset()
    assert (await world.run("select status from enrollments"))[0]["status"] == "active"


async def test_a_cancelled_campaign_ends_all_its_enrolments_in_steps(database: Database):
    world = await World.create(database, DRIP, contacts=5)
    await world.enrol()
    await world.run("update campaigns set status = 'cancelled'")
    steps = [await database.run(lambda tx: enrollments.end_cancelled(tx, limit=3)) for _ in range(2)]
    assert steps == [True, False]
    assert {row["reason"] for row in await world.run("select reason from enrollments")} == {
        "campaign_cancelled"
    }
    assert {action["status"] for action in await world.actions()} == {"cancelled"}
    with pytest.raises(Conflict):
        await database.run(lambda tx: enrollments.resume_campaign(tx, world.tenant_id, world.campaign_id))


async def test_a_contact_enrolled_while_its_campaign_is_cancelled_is_taken_out_too(database: Database):
    world = await World.create(database, DRIP)
    tenant, campaign = world.tenant_id, world.campaign_id
    async with database.begin() as tx:
        await enrollments.enrol(tx, world.transitions.graphs, tenant, campaign, world.contacts)
        cancelling = asyncio.create_task(
            database.run(lambda other: enrollments.cancel_campaign(other, tenant, campaign))
        )
        await asyncio.sleep(0.2)  # it waits for the enrolment
        assert not cancelling.done()
    await cancelling
    assert await world.path() == [("hello", "cancelled"), ("cancelled", None)]


async def test_events_still_move_a_paused_contact_and_its_next_send_is_not_sent(database: Database):
    world = await World.create(database, graph(hello=send(to("pause")), pause=wait(60, "done")))
    (enrolled,) = await world.enrol()
    await database.run(lambda tx: enrollments.pause(tx, world.tenant_id, [enrolled.enrollment_id]))
    await world.accept((await world.current())["id"])
    assert await world.path() == [("hello", "else"), ("pause", None)]
    assert (await world.run("select status from enrollments"))[0]["status"] == "paused"
