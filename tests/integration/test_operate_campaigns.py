"""What an operator does to campaigns and enrolments: rows, one entry of the audit, and nothing of others."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.campaigns import enrollments
from shared.errors import Conflict, NotFound
from shared.operate import Desk, Via
from shared.store.database import Database
from shared.store.ids import uuid7
from tests.journeys import World, graph, send, to
from tests.operating import entries, whole

HELLO = graph(hello=send(to("done")))


def desk_of(world: World) -> Desk:
    """Where ana acts by a page; none of this needs a queue."""
    return Desk(world.database, {}, world.transitions, "ana", Via.PAGE)


async def everything(world: World) -> Mapping[str, Any]:
    return {
        **await whole(world),
        "campaigns": await world.run("select * from campaigns where tenant_id = :t"),
    }


async def test_a_resumed_campaign_gives_what_was_held_the_time_it_had_left(database: Database) -> None:
    world = await World.create(database, HELLO)
    await world.enrol()
    desk = desk_of(world)
    await desk.pause_campaign(world.tenant_id, world.campaign_id)
    (action,) = await world.actions()
    due = datetime.now(UTC) + timedelta(hours=1)
    await world.set_action(action["id"], status="held", reason="campaign_paused", due_at=due)
    await world.run("update campaigns set paused_at = now() - interval '2 hours' where tenant_id = :t")
    await world.run("update scheduled_actions set created_at = now() - interval '1 day'")
    await desk.resume_campaign(world.tenant_id, world.campaign_id)
    (after,) = await world.actions()
    assert (after["status"], after["g"], after["reason"]) == ("pending", 1, None)
    assert abs(after["due_at"] - due - timedelta(hours=2)) < timedelta(minutes=1)


async def test_a_cancelled_campaign_ends_a_step_of_its_enrolments_at_once_and_the_rest_by_dispatch(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrollments.end_cancelled, "__defaults__", (2, None))
    world = await World.create(database, HELLO, contacts=3)
    await world.enrol()
    await desk_of(world).cancel_campaign(world.tenant_id, world.campaign_id)
    statuses = [row["status"] for row in (await whole(world))["enrollments"]]
    assert sorted(statuses) == ["active", "cancelled", "cancelled"]
    await database.run(enrollments.end_cancelled)
    assert {row["status"] for row in (await whole(world))["enrollments"]} == {"cancelled"}
    assert await world.statuses() == {"send": "cancelled"}


@pytest.mark.parametrize("act", ["pause", "resume", "cancel"])
async def test_what_is_not_there_or_of_another_tenant_is_refused_and_nothing_changes(
    database: Database, act: str
) -> None:
    world, other = await World.create(database, HELLO), await World.create(database, HELLO)
    await other.enrol()
    desk, before = desk_of(world), await everything(other)
    enrolled = (await other.current())["enrollment_id"]
    for wanted in (uuid7(), other.campaign_id):
        with pytest.raises(NotFound):
            await getattr(desk, f"{act}_campaign")(world.tenant_id, wanted)
    for wanted in (uuid7(), enrolled):
        with pytest.raises(NotFound):
            await getattr(desk, f"{act}_enrollment")(world.tenant_id, wanted)
    assert await everything(other) == before
    assert await entries(database) == []


async def test_what_cannot_be_done_says_why_and_is_not_in_the_audit(database: Database) -> None:
    world = await World.create(database, HELLO)
    await world.enrol()
    desk, enrolled = desk_of(world), (await world.current())["enrollment_id"]
    with pytest.raises(Conflict, match=r"^The campaign is active\.$"):
        await desk.resume_campaign(world.tenant_id, world.campaign_id)
    with pytest.raises(Conflict, match=r"^The enrolment is active: this cannot be done to it\.$"):
        await desk.resume_enrollment(world.tenant_id, enrolled)
    await desk.cancel_enrollment(world.tenant_id, enrolled)
    await desk.cancel_campaign(world.tenant_id, world.campaign_id)
    before = await everything(world)
    for act in (desk.pause_campaign, desk.resume_campaign, desk.cancel_campaign):
        with pytest.raises(Conflict, match=r"^The campaign is cancelled\.$"):
            await act(world.tenant_id, world.campaign_id)
    for act in (desk.pause_enrollment, desk.resume_enrollment, desk.cancel_enrollment):
        with pytest.raises(Conflict, match=r"^The enrolment is cancelled"):
            await act(world.tenant_id, enrolled)
    assert await everything(world) == before
    assert [entry[0] for entry in await entries(database)] == ["enrollments.cancel", "campaigns.cancel"]
