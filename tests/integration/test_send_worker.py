"""One send from its claim to its recorded outcome: design §7.2 to 7.4 and the send rows of the race table."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.send.outcomes import ENDS
from shared.campaigns.unsubscribe import Unsubscribe
from shared.errors import UnknownProvider
from shared.queue.types import ClaimedJob, Settled
from shared.settings import DatabaseSettings
from shared.store import closures, pauses, sends
from shared.store.database import AsyncConnection, Database
from shared.store.pauses import Pause
from shared.store.sends import Claim, Submission
from tests.desk import PUBLIC, SETTINGS, Desk, Provider, desk, provider
from tests.dispatching import Replica, dispatching, limit
from tests.journeys import World, graph, send, to

FOLLOWED = graph(
    hello=send(
        to("done", "click"), to("done", "open"), to("opened", "no_open", after=3600), to("opened", "failed")
    )
)


@dataclass
class Scene:
    """A contact's first send, claimed by a worker."""

    world: World
    dispatch: Replica
    provider: Provider
    desk: Desk

    async def claim(self) -> list[ClaimedJob]:
        await self.dispatch.send_round()
        return await self.dispatch.claim()

    async def work(self, jobs: list[ClaimedJob] | None = None, age: float = 0) -> list[Settled]:
        claimed = await self.claim() if jobs is None else jobs
        return await self.desk.work(self.dispatch.sends, claimed, age)

    async def send_row(self) -> Mapping[str, Any]:
        return (await self.world.actions(kind="send"))[0]

    async def attempts(self) -> list[tuple[str | None, bool]]:
        rows = await self.world.run("select * from attempts where tenant_id = :t order by charged_at")
        return [(row["outcome"], row["given_back"]) for row in rows]

    async def due_now(self) -> None:
        await self.world.run(
            "update scheduled_actions set due_at = now() where tenant_id = :t and kind = 'send'"
        )


@pytest.fixture
async def scene(database_url: str, valkey_url: str) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        database = Database(DatabaseSettings(url=database_url))
        stack.push_async_callback(database.close)
        world = await World.create(database, FOLLOWED)
        playing = await stack.enter_async_context(provider())
        dispatch = await stack.enter_async_context(dispatching(database, valkey_url))
        await dispatch.open()
        at_desk = await stack.enter_async_context(desk(world, playing.url))
        await world.enrol()
        yield Scene(world, dispatch, playing, at_desk)


async def test_an_accepted_send_is_recorded_and_its_timeouts_count_from_acceptance(scene: Scene) -> None:
    assert await scene.work() == [Settled.OK]
    row = await scene.send_row()
    assert (row["status"], row["provider_message_id"], row["g"], row["tries"]) == ("accepted", "m-1", 0, 0)
    assert await scene.attempts() == [("accepted", False)]
    (timeout,) = await scene.world.actions(kind="timeout")
    assert timeout["scheduled_at"] == row["accepted_at"] + timedelta(seconds=3600)
    assert await scene.world.path() == [("hello", None)]


async def test_marketing_mail_carries_one_click_unsubscribe_for_its_own_contact(scene: Scene) -> None:
    await scene.work()
    (message,) = scene.provider.messages
    headers: Any = message["headers"]
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = headers["List-Unsubscribe"].strip("<>")
    row = await scene.send_row()
    assert Unsubscribe(PUBLIC).read(url.rpartition("/")[2]) == (
        scene.world.tenant_id,
        row["contact_id"],
        row["campaign_id"],
        row["id"],
    )


@pytest.mark.parametrize("answer", ["400 Bad Request", "413 Payload Too Large"])
async def test_a_message_the_provider_will_never_take_takes_the_failed_edge(
    scene: Scene, answer: str
) -> None:
    scene.provider.script = [answer]
    await scene.work()
    assert (await scene.send_row())["status"] == "failed"
    assert await scene.world.path() == [("hello", "failed"), ("opened", None)]
    assert await scene.world.actions(kind="timeout") == []
    counted = {
        (sample.labels["outcome"], sample.labels["status"]): sample.value
        for metric in scene.desk.metrics.sends.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }
    assert counted == {end: int(end == ("rejected", "failed")) for end in ENDS}, (
        "its job completed all the same"
    )


@pytest.mark.parametrize("answer", ["401 Unauthorized", "403 Forbidden"])
async def test_a_refused_account_closes_the_sender_and_not_each_row(scene: Scene, answer: str) -> None:
    scene.provider.script = [answer]
    await scene.work()
    row = await scene.send_row()
    assert (row["status"], row["g"], row["tries"]) == ("pending", 1, 0)
    closed = await scene.world.run("select reason, until from closures where tenant_id = :t")
    assert [(each["reason"], each["until"]) for each in closed] == [("unauthorized", None)]
    await scene.due_now()
    await scene.dispatch.configuration.refresh()
    assert await scene.claim() == []
    assert len(scene.provider.messages) == 1

    sender = scene.world.senders["email"]
    await scene.world.database.run(lambda tx: closures.reopen(tx, scene.world.tenant_id, sender))
    await scene.dispatch.configuration.refresh()
    await scene.due_now()
    await scene.work()
    assert (await scene.send_row())["status"] == "accepted"


async def test_a_429_closes_the_lane_until_the_reset_time_and_uses_no_attempt(scene: Scene) -> None:
    scene.provider.script = ["429 Too Many Requests\r\nRetry-After: 90"]
    await scene.work()
    row = await scene.send_row()
    assert (row["status"], row["g"], row["tries"]) == ("pending", 1, 0)
    (closed,) = await scene.world.run("select * from closures where tenant_id = :t")
    assert (closed["reason"], closed["until"]) == ("rate_limited", row["due_at"])
    assert await scene.attempts() == [("rate_limited", False)]


async def test_a_send_that_never_connected_is_tried_again_and_costs_nothing(scene: Scene) -> None:
    await scene.world.run("update provider_accounts set base_url = 'http://127.0.0.1:9' where tenant_id = :t")
    await scene.work()
    row = await scene.send_row()
    assert (row["status"], row["g"], row["tries"]) == ("pending", 1, 1)
    assert await scene.attempts() == [("not_connected", True)]


async def test_what_is_wrong_with_one_tenants_send_fails_no_other_that_is_worked_on_with_it(
    scene: Scene,
) -> None:
    broken = await World.create(scene.world.database, FOLLOWED)
    await broken.enrol()
    jobs = await scene.claim()
    assert len(jobs) == 2
    await broken.run("update campaign_versions set graph = '{}' where tenant_id = :t")
    done = await asyncio.gather(*(scene.desk.handle(job) for job in jobs), return_exceptions=True)
    assert sorted(isinstance(each, Exception) for each in done) == [False, True]
    assert (await scene.send_row())["status"] == "accepted"
    assert [row["status"] for row in await broken.actions()] == ["enqueued"]


async def test_a_provider_that_this_release_does_not_know_is_found_out_before_the_send_is_marked(
    scene: Scene,
) -> None:
    await scene.world.run("update provider_accounts set provider = 'pigeon' where tenant_id = :t")
    with pytest.raises(UnknownProvider):
        await scene.work()
    assert (await scene.send_row())["status"] == "enqueued"
    assert await scene.attempts() == []


async def test_a_send_fails_when_its_attempts_are_used_up(scene: Scene) -> None:
    scene.provider.script = ["503 Service Unavailable"] * SETTINGS.attempts
    for _ in range(SETTINGS.attempts):
        await scene.work()
        await scene.due_now()
    row = await scene.send_row()
    assert (row["status"], row["tries"]) == ("failed", SETTINGS.attempts)
    assert len(scene.provider.messages) == SETTINGS.attempts
    assert await scene.world.path() == [("hello", "failed"), ("opened", None)]


@pytest.mark.parametrize("answer", ["500 Internal Server Error", "cut"])
async def test_an_answer_that_was_lost_leaves_the_send_unknown_and_is_never_blindly_retried(
    scene: Scene, answer: str
) -> None:
    scene.provider.script = [answer]
    await scene.work()
    assert (await scene.send_row())["status"] == "unknown"
    await scene.due_now()
    assert await scene.claim() == []
    assert len(scene.provider.messages) == 1
    assert await scene.world.path() == [("hello", None)]


async def test_five_ambiguous_outcomes_in_a_row_close_the_sender_and_a_definite_one_opens_it(
    scene: Scene,
) -> None:
    await scene.world.add_contacts(5)
    await scene.world.enrol()
    scene.provider.script = ["500 Internal Server Error"] * 5
    await scene.work((await scene.claim())[:5])
    (closed,) = await scene.world.run("select * from closures where tenant_id = :t")
    assert (closed["reason"], closed["strikes"]) == ("ambiguous", 1)
    assert closed["until"] - closed["closed_at"] == SETTINGS.ambiguous_pause

    await scene.world.run("update closures set until = now() where tenant_id = :t")
    await scene.dispatch.redis.flushall()
    await scene.dispatch.open()
    await scene.work()
    assert await scene.world.run("select * from closures where tenant_id = :t") == []


async def test_the_same_action_dispatched_twice_is_sent_once(scene: Scene) -> None:
    (claimed,) = await scene.claim()
    await scene.work([claimed])
    await scene.desk.handle(claimed)
    assert len(scene.provider.messages) == 1
    assert await scene.attempts() == [("accepted", False)]


async def test_a_suppression_between_schedule_and_claim_skips_the_send_with_its_reason(scene: Scene) -> None:
    jobs = await scene.claim()
    await scene.world.run(
        "insert into suppressions (tenant_id, id, channel, address, scope, reason)"
        " select tenant_id, id, 'email', email, 'all', 'bounce' from contacts where tenant_id = :t"
    )
    await scene.work(jobs)
    row = await scene.send_row()
    assert (row["status"], row["reason"]) == ("skipped", "suppressed")
    assert scene.provider.messages == []
    assert await scene.world.path() == [("hello", "failed"), ("opened", None)]


async def test_a_tenant_paused_between_schedule_and_claim_holds_the_send(scene: Scene) -> None:
    jobs = await scene.claim()
    await scene.world.database.run(lambda tx: pauses.add(tx, Pause(None, scene.world.tenant_id)))
    await scene.work(jobs)
    row = await scene.send_row()
    assert (row["status"], row["reason"]) == ("held", "tenant_paused")
    assert scene.provider.messages == []


async def test_a_missing_variable_skips_the_send_with_its_name(scene: Scene) -> None:
    nodes = graph(
        hello=send(to("done", "open"), to("opened", "no_open", after=60), text="{{ contact.attributes.x }}")
    )
    await scene.world.add_campaign(nodes)
    await scene.world.enrol()
    await scene.work()
    rows = await scene.world.actions(kind="send", campaign_id=scene.world.campaign_id)
    assert [row["status"] for row in rows] == ["skipped"]
    assert rows[0]["reason"].startswith("render")
    assert "x" in rows[0]["reason"]


async def test_a_request_not_begun_under_its_charge_goes_back_before_it_is_marked(scene: Scene) -> None:
    jobs = await scene.claim()
    assert await scene.work(jobs, age=11) == [Settled.OK]
    row = await scene.send_row()
    assert (row["status"], row["g"]) == ("enqueued", 0)
    assert await scene.attempts() == []
    assert scene.provider.messages == []
    assert [job.id for job in await scene.dispatch.claim()] == [jobs[0].id]


async def test_a_limit_counts_what_reached_the_provider_and_not_what_never_left(scene: Scene) -> None:
    await limit(scene.world, minute=1)
    await scene.dispatch.configuration.refresh()
    await scene.world.run("update provider_accounts set base_url = 'http://127.0.0.1:9' where tenant_id = :t")
    await scene.work()
    await scene.world.run(
        "update provider_accounts set base_url = :url where tenant_id = :t", url=scene.provider.url
    )
    await scene.due_now()
    await scene.work()
    assert (await scene.send_row())["status"] == "accepted"
    await scene.world.add_contacts(1)
    await scene.world.enrol()
    assert await scene.claim() == []


# --- a flush at each moment of a send


async def test_a_flush_between_claim_and_submitting_lets_nobody_submit_twice(scene: Scene) -> None:
    (claimed,) = await scene.claim()
    await scene.dispatch.redis.flushall()
    await scene.dispatch.open()
    assert await scene.work([claimed]) == [Settled.LEASE_LOST]
    assert scene.provider.messages == []
    await scene.work()
    assert (await scene.send_row())["g"] == 1
    assert await scene.attempts() == [("accepted", False)]


async def test_a_flush_just_before_submitting_lets_nobody_submit_under_an_old_generation(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = sends.submit

    async def after_a_flush(tx: AsyncConnection, submissions: Sequence[Submission]) -> set[Claim]:
        await scene.dispatch.redis.flushall()
        await scene.dispatch.open()
        await scene.dispatch.send_round()
        return await submit(tx, submissions)

    (claimed,) = await scene.claim()
    with monkeypatch.context() as patch:
        patch.setattr(sends, "submit", after_a_flush)
        assert await scene.work([claimed]) == [Settled.LEASE_LOST]
    assert scene.provider.messages == []
    row = await scene.send_row()
    assert (row["status"], row["g"]) == ("enqueued", 1)
    assert await scene.attempts() == []
    await scene.work()
    assert await scene.attempts() == [("accepted", False)]


async def test_a_flush_in_the_call_leaves_its_outcome_standing(scene: Scene) -> None:
    async def flush() -> None:
        await scene.dispatch.redis.flushall()
        await scene.dispatch.open()

    scene.provider.during = flush
    assert await scene.work() == [Settled.LEASE_LOST]
    assert (await scene.send_row())["status"] == "accepted"
    scene.provider.during = None
    assert await scene.claim() == []
    assert len(scene.provider.messages) == 1


async def test_a_flush_between_outcome_and_settle_changes_nothing_and_sends_nothing_again(
    scene: Scene,
) -> None:
    (claimed,) = await scene.claim()
    await scene.desk.handle(claimed)
    await scene.dispatch.redis.flushall()
    await scene.dispatch.open()
    assert await scene.claim() == []
    assert (await scene.send_row())["status"] == "accepted"
    assert await scene.attempts() == [("accepted", False)]


async def test_a_flush_at_a_full_window_stays_within_the_limit(scene: Scene) -> None:
    await limit(scene.world, minute=2)
    await scene.dispatch.configuration.refresh()
    await scene.world.add_contacts(4)
    await scene.world.enrol()
    await scene.work()
    assert len(scene.provider.messages) == 2
    await scene.dispatch.redis.flushall()
    await scene.dispatch.open()
    await scene.work()
    assert len(scene.provider.messages) == 2


async def test_a_late_recorder_may_still_write_an_outcome_that_the_sweeper_gave_up(scene: Scene) -> None:
    async def given_up() -> None:
        await scene.world.run("update scheduled_actions set status = 'unknown' where tenant_id = :t")

    scene.provider.during = given_up
    await scene.work()
    row = await scene.send_row()
    assert (row["status"], row["provider_message_id"]) == ("accepted", "m-1")


async def test_a_contact_that_moved_on_in_the_call_keeps_its_new_place_and_the_outcome(scene: Scene) -> None:
    visit: UUID = (await scene.world.current())["id"]

    async def moved_on() -> None:
        await scene.world.advance(scene.world.move(visit, "click"))

    scene.provider.during = moved_on
    await scene.work()
    assert (await scene.send_row())["status"] == "accepted"
    assert await scene.world.path() == [("hello", "click"), ("done", None)]
    assert await scene.world.actions(kind="timeout") == []
