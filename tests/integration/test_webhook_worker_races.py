"""The webhook rows of the race table, each a test by its name, on stored bodies and real rows."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.webhook.processor import Processor
from shared.settings import WebhookSettings
from shared.store.database import Database
from shared.store.deliveries_work import DeliveryClaim
from shared.store.ids import uuid7
from tests.journeys import World, graph, mail_event, send, sms, statements, to, wait

NOW = datetime.now(UTC).replace(microsecond=0)
SECOND = timedelta(seconds=1)

DRIP = graph(
    hello=send(to("opened", "open"), to("again", "no_open", after="P2D"), to("done", after="P9D")),
    again=send(to("done")),
)


class Sent:
    """A world with one contact, whose first message was submitted; accepted unless told otherwise."""

    def __init__(self, world: World, action: Mapping[str, Any]) -> None:
        self.world, self.action = world, action

    @classmethod
    async def create(cls, database: Database, nodes: Any = DRIP, status: str = "accepted") -> "Sent":
        world = await World.create(database, nodes)
        await world.enrol()
        visit = await world.current()
        await world.run("update scheduled_actions set created_at = now() - interval '1 hour'")
        if status == "accepted":
            await world.accept(visit["id"], NOW - timedelta(minutes=10))
        (action,) = await world.actions(visit["id"], kind="send")
        if status != "accepted":
            await world.set_action(
                action["id"], status=status, recipient=f"{action['contact_id']}@example.org"
            )
        return cls(world, action)

    def event(self, kind: str, at: datetime = NOW, **fields: Any) -> dict[str, Any]:
        return mail_event(kind, self.action, at, **fields)

    async def row(self) -> Mapping[str, Any]:
        return (await self.world.actions(id=self.action["id"]))[0]


@pytest.mark.parametrize("status", ["submitting", "unknown", "pending", "enqueued", "held"])
async def test_event_before_the_send_is_recorded(database: Database, status: str):
    sent = await Sent.create(database, status=status)
    at = NOW - timedelta(minutes=5)
    assert await sent.world.happens(sent.event("processed", at)) == (1, 0)
    row = await sent.row()
    assert (row["status"], row["accepted_at"]) == ("accepted", at)
    assert row["provider_message_id"] == f"m-{row['id']}"
    assert row["delivery_status"] == "processed"
    visit = await sent.world.current()
    assert visit["accepted_at"] == at
    timeouts = await sent.world.actions(visit["id"], kind="timeout")
    assert {t["event_type"]: t["scheduled_at"] for t in timeouts} == {
        "no_open": at + timedelta(days=2),
        "elapsed": at + timedelta(days=9),
    }


async def test_an_event_that_moves_before_the_send_is_recorded_sets_no_timeouts(database: Database):
    sent = await Sent.create(database, status="submitting")
    assert await sent.world.happens(sent.event("open")) == (1, 1)
    assert await sent.world.statuses() == {"send": "accepted"}
    assert await sent.world.path() == [("hello", "open"), ("opened", None)]


async def test_acceptance_is_never_before_the_send_was_made_or_after_now(database: Database):
    for at in (NOW - timedelta(days=3), NOW + timedelta(days=3)):
        sent = await Sent.create(database, status="unknown")
        await sent.world.happens(sent.event("processed", at))
        row = await sent.row()
        assert row["created_at"] <= row["accepted_at"] <= datetime.now(UTC)


async def test_a_send_closed_as_unconfirmed_is_corrected_and_moves_nothing(database: Database):
    sent = await Sent.create(database, status="unknown")
    visit = await sent.world.current()
    await sent.world.advance(
        sent.world.move(visit["id"], "failed", action_id=sent.action["id"], reason="unconfirmed")
    )
    await sent.world.set_action(sent.action["id"], status="failed", reason="unconfirmed")
    assert await sent.world.happens(sent.event("delivered"), sent.event("open")) == (2, 0)
    row = await sent.row()
    assert (row["status"], row["reason"], row["delivery_status"]) == ("accepted", None, "delivered")
    assert await sent.world.path() == [("hello", "failed"), ("failed", None)]


async def test_a_send_that_never_was_at_its_provider_does_not_rise(database: Database):
    sent = await Sent.create(database, status="pending")
    await sent.world.set_action(sent.action["id"], recipient=None)
    await sent.world.happens(sent.event("processed"))
    assert (await sent.row())["status"] == "pending"
    assert (await sent.world.current())["accepted_at"] is None


async def test_what_is_known_of_an_accepted_send_stays_when_more_is_told(database: Database):
    sent = await Sent.create(database)
    before = await sent.row()
    await sent.world.happens(sent.event("delivered", sg_message_id="other.recvd"))
    assert await sent.row() == {**before, "delivery_status": "delivered"}


async def test_a_timeouts_id_is_no_sends(database: Database):
    sent = await Sent.create(database)
    (timeout,) = await sent.world.actions(event_type="no_open")
    event = sent.event("open", outreach_action=str(timeout["id"]), sg_message_id=None)
    assert await sent.world.happens(event) == (1, 0)
    assert await sent.world.effects() == {"open": ["unmatched"]}


async def test_a_send_that_failed_for_good_does_not_rise(database: Database):
    sent = await Sent.create(database, status="failed")
    await sent.world.set_action(sent.action["id"], reason="rejected")
    await sent.world.happens(sent.event("processed"))
    assert (await sent.row())["status"] == "failed"


async def test_same_event_with_the_same_id_or_a_new_one_is_stored_once(database: Database):
    sent = await Sent.create(database)
    first = [sent.event("delivered"), sent.event("open", NOW + SECOND)]
    again = [{**event, "sg_event_id": uuid7().hex} for event in first]
    assert await sent.world.happens(*first) == (2, 1)
    assert await sent.world.happens(*first) == (0, 0)
    assert await sent.world.happens(*again) == (0, 0)
    assert await sent.world.effects() == {"delivered": ["none"], "open": ["moved"]}


async def test_the_same_event_twice_in_one_body_is_stored_once(database: Database):
    sent = await Sent.create(database)
    event = sent.event("open")
    assert await sent.world.happens(event, {**event, "sg_event_id": "other"}) == (1, 1)


async def test_out_of_order_all_are_stored_and_the_status_only_rises(database: Database):
    sent = await Sent.create(database, graph(hello=send(to("done", after=999))))
    await sent.world.happens(sent.event("open", NOW + 3 * SECOND))
    assert (await sent.row())["delivery_status"] == "delivered"
    await sent.world.happens(sent.event("processed", NOW))
    await sent.world.happens(sent.event("delivered", NOW + SECOND), sent.event("deferred", NOW))
    assert (await sent.row())["delivery_status"] == "delivered"
    assert await sent.world.effects() == {
        "open": ["none"],
        "processed": ["none"],
        "delivered": ["none"],
        "deferred": ["none"],
    }


async def test_within_a_set_the_time_decides_and_not_the_arrival(database: Database):
    nodes = graph(hello=send(to("opened", "open"), to("done", "click"), to("done", after=999)))
    sent = await Sent.create(database, nodes)
    await sent.world.happens(sent.event("click", NOW + SECOND, url="u"), sent.event("open", NOW))
    assert await sent.world.path() == [("hello", "open"), ("opened", None)]


async def test_bounce_after_delivered_overrides_suppresses_and_cancels_pending_follow_ups(
    database: Database,
):
    nodes = graph(hello=send(to("again", "delivered"), to("done", after=999)), again=send(to("done")))
    sent = await Sent.create(database, nodes)
    assert await sent.world.happens(sent.event("delivered")) == (1, 1)
    bounce = sent.event("bounce", NOW + SECOND, type="bounce", status="5.1.1")
    assert await sent.world.happens(bounce) == (1, 1)
    assert (await sent.row())["delivery_status"] == "bounce"
    assert await sent.world.suppressions() == [("email", bounce["email"], "all", "hard_bounce")]
    assert await sent.world.path() == [("hello", "delivered"), ("again", "bounced"), ("bounced", None)]
    sends = await sent.world.actions(kind="send")
    assert [action["status"] for action in sends] == ["accepted", "cancelled"]


async def test_a_bounce_cancels_the_timeouts_and_ends_the_enrolment_with_its_class(database: Database):
    sent = await Sent.create(database)
    await sent.world.happens(sent.event("bounce", type="blocked"))
    (row,) = await sent.world.run("select exit, reason from enrollments")
    assert tuple(row.values()) == ("bounced", "block")
    assert await sent.world.statuses() == {
        "send": "accepted",
        "no_open": "cancelled",
        "elapsed": "cancelled",
    }
    assert await sent.world.suppressions() == []


async def test_a_soft_bounce_neither_moves_nor_suppresses(database: Database):
    sent = await Sent.create(database)
    assert await sent.world.happens(sent.event("bounce", type="bounce", status="4.2.2")) == (1, 0)
    assert await sent.world.path() == [("hello", None)]
    assert await sent.world.suppressions() == []


def nameless(event: dict[str, Any], *fields: str) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in ("outreach_action", *fields)}


async def test_bounce_without_ids_is_found_by_smtp_id(database: Database):
    sent = await Sent.create(database)
    await sent.world.happens(sent.event("processed", **{"smtp-id": "<a@b>"}))
    bounce = sent.event("bounce", type="bounce", status="5.1.1", **{"smtp-id": "<a@b>"})
    stranger = {**nameless(bounce, "sg_message_id"), "email": "other@example.org"}
    assert await sent.world.happens(stranger) == (1, 1)
    assert (await sent.world.events())[-1]["action_id"] == sent.action["id"]


async def test_bounce_without_ids_is_found_by_smtp_id_of_an_event_of_the_same_set(database: Database):
    sent = await Sent.create(database)
    processed = sent.event("processed", **{"smtp-id": "<a@b>"})
    bounce = {**nameless(sent.event("bounce", type="bounce"), "sg_message_id"), "email": "x@example.org"}
    assert await sent.world.happens({**bounce, "smtp-id": "<a@b>"}, processed) == (2, 1)


async def test_bounce_without_ids_is_found_by_its_address_within_the_window(database: Database):
    sent = await Sent.create(database)
    bounce = nameless(sent.event("bounce", type="bounce"), "sg_message_id")
    spelled = {**bounce, "email": bounce["email"].upper()}
    assert await sent.world.happens(spelled) == (1, 1)
    assert (await sent.world.events())[0]["action_id"] == sent.action["id"]
    assert await sent.world.suppressions() == [("email", bounce["email"], "all", "hard_bounce")]


async def test_bounce_without_ids_is_found_by_smtp_id_although_another_event_of_it_matched_nothing(
    database: Database,
):
    sent = await Sent.create(database)
    processed = sent.event("processed", **{"smtp-id": "<a@b>"})
    stranger = {**nameless(processed, "sg_message_id"), "email": "x@example.org", "event": "deferred"}
    await sent.world.happens(stranger, park_attempts=0)
    await sent.world.happens(processed)
    assert await sent.world.effects() == {"deferred": ["unmatched"], "processed": ["none"]}
    bounce = {**stranger, "event": "bounce", "type": "bounce"}
    assert await sent.world.happens(bounce) == (1, 1)


async def test_of_the_messages_to_an_address_the_last_one_before_the_bounce_is_meant(database: Database):
    sent = await Sent.create(database)
    world, (second, third) = sent.world, await sent.world.add_contacts(2)
    await world.enrol([second, third])
    for contact, at in ((second, NOW - 2 * SECOND), (third, NOW + timedelta(hours=2))):
        visit = await world.current(contact)
        await world.accept(visit["id"])
        (action,) = await world.actions(visit["id"], kind="send")
        address = sent.event("open")["email"]
        await world.set_action(action["id"], recipient=address, status_at=at)
    await world.set_action(sent.action["id"], status_at=NOW - 9 * SECOND)
    await world.happens(nameless(sent.event("bounce", type="blocked"), "sg_message_id"))
    assert [event["contact_id"] for event in await world.events()] == [second]


async def test_an_address_alone_does_not_prove_a_send_accepted(database: Database):
    sent = await Sent.create(database, status="unknown")
    await sent.world.happens(nameless(sent.event("bounce", type="blocked"), "sg_message_id"))
    assert (await sent.row())["status"] == "unknown"


async def test_a_bounce_of_a_message_under_another_id_is_not_the_one_we_know(database: Database):
    sent = await Sent.create(database)
    bounce = nameless({**sent.event("bounce", type="bounce"), "sg_message_id": "other.x"})
    await sent.world.happens(bounce, park_attempts=0)
    assert await sent.world.effects() == {"bounce": ["unmatched"]}


async def test_a_bounce_outside_the_window_belongs_to_no_send(database: Database):
    sent = await Sent.create(database)
    await sent.world.set_action(sent.action["id"], status_at=NOW - timedelta(days=8))
    bounce = nameless(sent.event("bounce", type="bounce"), "sg_message_id")
    await sent.world.happens(bounce, park_attempts=0)
    assert await sent.world.effects() == {"bounce": ["unmatched"]}


async def test_an_open_of_other_mail_to_the_same_address_is_not_ours(database: Database):
    sent = await Sent.create(database)
    other = nameless({**sent.event("open"), "sg_message_id": "other.x"})
    assert await sent.world.happens(other, park_attempts=0) == (1, 0)
    assert await sent.world.effects() == {"open": ["unmatched"]}
    assert await sent.world.path() == [("hello", None)]


async def test_spam_report_without_custom_argument_is_found_by_its_message_id(database: Database):
    sent = await Sent.create(database)
    report = nameless({**sent.event("spamreport"), "email": "forwarded@example.org"})
    assert await sent.world.happens(report) == (1, 0)
    assert (await sent.world.events())[0]["action_id"] == sent.action["id"]
    assert await sent.world.suppressions() == [("email", "forwarded@example.org", "all", "complaint")]


async def test_unmatched_events_are_parked_and_retried_and_suppress_by_address_at_once(
    database: Database,
):
    sent = await Sent.create(database)
    world = sent.world
    await world.set_action(sent.action["id"], provider_message_id=None, recipient=None)
    bounce = nameless(sent.event("bounce", type="bounce"))
    delivered = sent.event("delivered", sg_message_id="m-2.x")
    claim = await world.post(bounce, delivered)
    assert await world.process(claim, park_for=timedelta(seconds=30)) == [(1, 0)]
    (delivery,) = await world.deliveries()
    assert (delivery["state"], delivery["g"], delivery["tries"], delivery["events"]) == ("parked", 1, 1, 1)
    assert delivery["retry_at"] == delivery["state_at"] + timedelta(seconds=30)
    assert await world.effects() == {"delivered": ["none"]}
    assert await world.suppressions() == [("email", bounce["email"], "all", "hard_bounce")]

    await world.set_action(sent.action["id"], provider_message_id=f"m-{sent.action['id']}")
    assert await world.process(claim) == [(0, 0)]  # the old job's generation is over
    await world.run("update deliveries set state = 'received', g = 2")
    assert await world.process(claim._replace(g=2)) == [(1, 1)]
    (delivery,) = await world.deliveries()
    assert (delivery["state"], delivery["events"], delivery["retry_at"]) == ("processed", 2, None)
    assert await world.path() == [("hello", "bounced"), ("bounced", None)]


async def test_what_stays_unmatched_is_stored_so_after_bounded_retries(database: Database):
    sent = await Sent.create(database)
    world = sent.world
    claim = await world.post(nameless({**sent.event("open"), "sg_message_id": "theirs.x"}))
    for turn in range(3):
        await world.process(claim, park_attempts=2)
        await world.run("update deliveries set state = 'received', g = g + 1 where state = 'parked'")
        claim = claim._replace(g=2 * (turn + 1))
    (delivery,) = await world.deliveries()
    assert (delivery["state"], delivery["tries"]) == ("processed", 2)
    assert await world.effects() == {"open": ["unmatched"]}


async def test_an_event_with_an_id_of_ours_that_is_not_there_waits_for_nothing(database: Database):
    sent = await Sent.create(database)
    event = {**sent.event("open"), "outreach_action": str(uuid7()), "sg_message_id": "theirs.x"}
    assert await sent.world.happens(event) == (1, 0)
    assert (await sent.world.deliveries())[0]["state"] == "processed"


async def test_crash_mid_batch_runs_the_whole_batch_again_and_counts_only_new_events(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    sent = await Sent.create(database)
    world = sent.world
    claim = await world.post(sent.event("delivered"), sent.event("open"))

    async def crash(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr("shared.store.deliveries_work.finish", crash)
        with pytest.raises(ZeroDivisionError):
            await world.process(claim)
    assert [delivery["state"] for delivery in await world.deliveries()] == ["processing"]
    assert await world.events() == []
    assert await world.path() == [("hello", None)]
    assert await world.process(claim) == [(2, 1)]
    assert await world.process(claim) == [(0, 0)]
    assert [delivery["state"] for delivery in await world.deliveries()] == ["processed"]


async def test_one_malformed_or_unknown_event_is_stored_unknown_and_never_fails_the_batch(
    database: Database,
):
    sent = await Sent.create(database)
    odd = [7, None, {"event": "juggle"}, {"event": "open", "timestamp": "soon"}, {}, ["x"]]
    nul = sent.event("open", useragent="a\0b", url="\ud800")
    assert await sent.world.happens(*odd, nul) == (7, 1)
    assert await sent.world.effects() == {"unknown": ["unmatched"] * 6, "open": ["moved"]}


async def test_a_body_that_is_no_array_is_one_unknown_event(database: Database):
    world = await World.create(database, DRIP)
    claim = await world.post(body=b"\xff{not json")
    assert await world.process(claim) == [(1, 0)]
    assert await world.effects() == {"unknown": ["unmatched"]}


async def test_a_body_that_cannot_be_processed_fails_alone(database: Database):
    sent = await Sent.create(database)
    world = sent.world
    claims = [
        await world.post(sent.event("delivered")),
        await world.post(provider="carrier-pigeon"),
        await world.post(sent.event("open")),
    ]
    processor = Processor(database, world.transitions, WebhookSettings())
    good, bad, better = await processor(claims)
    assert isinstance(bad, Exception) and "carrier-pigeon" in str(bad)
    assert not isinstance(good, Exception) and good.events_processed == 1
    assert not isinstance(better, Exception) and better.transitions_triggered == 1
    assert [row["state"] for row in await world.deliveries()] == ["processed", "processing", "processed"]


async def test_large_bodies_go_in_transactions_of_their_own(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    sent = await Sent.create(database)
    claims = [
        await sent.world.post(sent.event("deferred", NOW + n * SECOND, attempt=str(n))) for n in range(5)
    ]
    size = len((await sent.world.deliveries())[0]["body"])
    monkeypatch.setattr("services.webhook.processor._MOST_BYTES", 2 * size + 10)
    with statements(database) as ran:
        assert await sent.world.process(*claims) == [(1, 0)] * 5
    assert sum("insert into events" in statement for statement in ran) == 3


async def test_a_body_of_many_events_takes_as_many_statements_as_a_small_one(database: Database):
    sent = await Sent.create(database)
    counts = []
    for many in (1, 200):
        events = [sent.event("deferred", NOW + n * SECOND, attempt=f"{many}-{n}") for n in range(many)]
        claim = await sent.world.post(*events)
        with statements(database) as ran:
            assert await sent.world.process(claim) == [(many, 0)]
        counts.append(len(ran))
    assert counts[0] >= counts[1]
    assert max(counts) <= 9


async def test_two_batches_same_contact_at_once_move_it_once(database: Database):
    nodes = graph(hello=send(to("opened", "open"), to("done", "click"), to("done", after=999)))
    sent = await Sent.create(database, nodes)
    world = sent.world
    claims = [
        await world.post(sent.event(kind, url=str(number), ip=str(number)))
        for number, kind in enumerate(["open", "click"] * 3)
    ]
    results = await asyncio.gather(*(world.process(claim) for claim in claims))
    assert sum(moved for ((_, moved),) in results) == 1
    assert len(await world.visits()) == 1
    effects = await world.effects()
    assert sorted(effects["open"] + effects["click"]).count("moved") == 1


async def test_the_same_body_claimed_by_two_workers_is_processed_once(database: Database):
    sent = await Sent.create(database)
    claim = await sent.world.post(sent.event("delivered"), sent.event("open"))
    results = await asyncio.gather(*(sent.world.process(claim) for _ in range(4)))
    assert sorted(results) == [[(0, 0)]] * 3 + [[(2, 1)]]


async def test_a_job_of_an_older_generation_does_nothing(database: Database):
    sent = await Sent.create(database)
    claim = await sent.world.post(sent.event("open"))
    await sent.world.run("update deliveries set g = 1")
    assert await sent.world.process(claim) == [(0, 0)]
    assert [row["state"] for row in await sent.world.deliveries()] == ["received"]
    assert await sent.world.process(DeliveryClaim(uuid7(), claim.id, 1)) == [(0, 0)]


async def test_a_claim_from_before_an_opening_cannot_finish_a_delivery(database: Database):
    sent = await Sent.create(database)
    world = sent.world
    claim = await world.post(sent.event("open"))
    processor = Processor(database, world.transitions, WebhookSettings())
    store = processor._store

    async def after_an_opening(*args: Any) -> Any:
        await world.run("update deliveries set state = 'received', g = g + 1")
        return await store(*args)

    processor._store = after_an_opening  # type: ignore[method-assign]  # the opening comes in between
    (result,) = await processor([claim])
    assert not isinstance(result, Exception) and result.events_processed == 0
    assert [(row["state"], row["g"]) for row in await world.deliveries()] == [("received", 1)]
    assert await world.events() == []


async def test_forged_or_cross_tenant_ids_match_nothing_of_another_tenant(database: Database):
    sent, other = await Sent.create(database), await World.create(database, DRIP)
    await sent.world.happens(sent.event("processed", **{"smtp-id": "<a@b>"}))
    forged = [
        sent.event("open"),
        nameless(sent.event("click", url="x")),
        nameless(sent.event("bounce", type="bounce", **{"smtp-id": "<a@b>"}), "sg_message_id"),
    ]
    assert await other.happens(*forged, park_attempts=0) == (3, 0)
    assert await other.effects() == {name: ["unmatched"] for name in ("open", "click", "bounce")}
    assert await other.suppressions() == [("email", forged[2]["email"], "all", "hard_bounce")]
    assert await sent.world.suppressions() == []
    assert await sent.world.path() == [("hello", None)]
    assert (await sent.row())["delivery_status"] == "processed"


async def test_repeat_opens_and_clicks_the_first_wins(database: Database):
    sent = await Sent.create(database)
    opens = [sent.event("open", NOW + number * SECOND) for number in range(3)]
    assert await sent.world.happens(*opens) == (3, 1)
    assert await sent.world.effects() == {"open": ["moved", "none", "none"]}


async def test_click_without_open_implies_it(database: Database):
    sent = await Sent.create(database)
    await sent.world.happens(sent.event("click", url="x"))
    assert await sent.world.path() == [("hello", "open"), ("opened", None)]


async def test_mpp_open_and_scanner_click_are_recorded_flagged_and_satisfy_no_edge(database: Database):
    sent = await Sent.create(database)
    mpp = sent.event("open", sg_machine_open=True)
    scanner = sent.event("click", url="x", useragent="Barracuda Sentinel (EE)")
    assert await sent.world.happens(mpp, scanner) == (2, 0)
    flags = {row["type"]: row["automated"] for row in await sent.world.events()}
    assert flags == {"open": "mpp", "click": "scanner"}
    assert await sent.world.path() == [("hello", None)]


async def test_contact_or_campaign_gone_the_event_is_kept_and_moves_nothing(database: Database):
    sent = await Sent.create(database)
    await sent.world.run("delete from campaigns where id = :c")
    assert await sent.world.happens(sent.event("open"), park_attempts=0) == (1, 0)
    assert await sent.world.effects() == {"open": ["unmatched"]}


async def test_a_tenant_that_is_gone_has_no_events(database: Database):
    sent, other = await Sent.create(database), await Sent.create(database)
    claims = [await sent.world.post(sent.event("spamreport")), await other.world.post(other.event("open"))]
    await sent.world.run("delete from tenants where id = :t")
    assert await sent.world.process(*claims) == [(0, 0), (1, 1)]


async def test_an_event_of_an_edited_graph_follows_the_version_of_its_visit(database: Database):
    sent = await Sent.create(database)
    await sent.world.add_version(2, graph(hello=send(to("done", "open"), to("done", after=999))))
    await sent.world.happens(sent.event("open"))
    assert await sent.world.path() == [("hello", "open"), ("opened", None)]


async def test_an_open_in_time_that_arrives_after_firing_is_late_or_turns_the_follow_up(
    database: Database,
):
    for status, effect in (("pending", "moved"), ("submitting", "late")):
        sent = await Sent.create(
            database,
            graph(hello=send(to("opened", "open"), to("again", "no_open", after=60)), again=send(to("done"))),
        )
        hello = await sent.world.current()
        await sent.world.advance(sent.world.move(hello["id"], "no_open"))
        (follow_up,) = await sent.world.actions((await sent.world.current())["id"])
        await sent.world.set_action(follow_up["id"], status=status)
        opened = sent.event("open", NOW - timedelta(minutes=9, seconds=30))
        assert await sent.world.happens(opened) == (1, int(effect == "moved"))
        assert await sent.world.effects() == {"open": [effect]}


async def test_an_unsubscribe_suppresses_marketing_and_moves_by_an_edge_alone(database: Database):
    sent = await Sent.create(database)
    address = sent.event("open")["email"]
    assert await sent.world.happens(
        sent.event("unsubscribe"), sent.event("group_unsubscribe", asm_group_id=7)
    ) == (2, 0)
    assert await sent.world.suppressions() == [
        ("email", address, "group:7", "unsubscribed"),
        ("email", address, "marketing", "unsubscribed"),
    ]
    await sent.world.happens(sent.event("group_resubscribe", NOW + SECOND, asm_group_id=7))
    assert await sent.world.suppressions() == [("email", address, "marketing", "unsubscribed")]


async def test_of_two_words_on_a_group_in_one_body_the_later_counts(database: Database):
    sent = await Sent.create(database)
    await sent.world.happens(
        sent.event("group_resubscribe", NOW + SECOND, asm_group_id=7),
        sent.event("group_unsubscribe", NOW, asm_group_id=7),
    )
    assert await sent.world.suppressions() == []


async def test_of_two_words_on_a_group_the_later_counts_whichever_is_told_first(database: Database):
    sent = await Sent.create(database)
    address = sent.event("open")["email"]
    suppressed = [("email", address, "group:7", "unsubscribed")]
    await sent.world.happens(sent.event("group_unsubscribe", NOW, asm_group_id=7))
    await sent.world.happens(sent.event("group_unsubscribe", NOW + 2 * SECOND, asm_group_id=7))
    await sent.world.happens(sent.event("group_resubscribe", NOW + SECOND, asm_group_id=7))
    assert await sent.world.suppressions() == suppressed
    await sent.world.happens(sent.event("group_resubscribe", NOW + 4 * SECOND, asm_group_id=7))
    await sent.world.happens(sent.event("group_unsubscribe", NOW + 3 * SECOND, asm_group_id=7))
    assert await sent.world.suppressions() == []
    await sent.world.happens(sent.event("group_unsubscribe", NOW + 3 * SECOND, asm_group_id=8))
    assert await sent.world.suppressions() == [("email", address, "group:8", "unsubscribed")]


async def test_a_word_from_the_future_does_not_count_for_ever(database: Database):
    sent = await Sent.create(database)
    address = sent.event("open")["email"]
    far = datetime(2090, 1, 1, tzinfo=UTC)
    await sent.world.happens(sent.event("group_resubscribe", far, asm_group_id=7))
    await sent.world.happens(sent.event("group_unsubscribe", far, asm_group_id=7))
    assert await sent.world.suppressions() == [("email", address, "group:7", "unsubscribed")]


async def test_who_subscribes_again_is_not_suppressed_by_the_parked_word_before(database: Database):
    sent = await Sent.create(database)
    world, stranger = sent.world, {"email": "stranger@example.org", "asm_group_id": 7}
    nobodys = {"outreach_action": None, "sg_message_id": "m-nobodys.recvd", **stranger}
    parked = await world.post(sent.event("group_unsubscribe", NOW, **nobodys))
    assert await world.process(parked) == [(0, 0)]
    assert await world.suppressions() == [("email", "stranger@example.org", "group:7", "unsubscribed")]
    await world.happens(sent.event("group_resubscribe", NOW + SECOND, **stranger))
    assert await world.suppressions() == []
    await world.run(
        "update deliveries set state = 'received' where tenant_id = :t and id = :id", id=parked.id
    )
    assert await world.process(parked._replace(g=1), park_attempts=1) == [(1, 0)]
    assert await world.suppressions() == []


async def test_a_word_lifts_only_what_it_is_the_contrary_of(database: Database):
    world = await World.create(database, SMS)
    number = "MessageSid={}&From=%2B15550188&To=%2B15550188"
    bodies = [
        f"{number.format('SM1')}&MessageStatus=undelivered&ErrorCode=30005",
        f"{number.format('SM2')}&Body=Stop",
        f"{number.format('SM3')}&Body=Start",
    ]
    claims = [await world.post(provider="twilio", body=body.encode()) for body in bodies]
    await world.process(*claims, park_attempts=0)
    assert await world.suppressions() == [("sms", "+15550188", "all", "hard_bounce")]


async def test_an_unsubscribe_edge_is_taken(database: Database):
    sent = await Sent.create(database, graph(hello=send(to("opened", "unsubscribe"), to("done", after=999))))
    assert await sent.world.happens(sent.event("group_unsubscribe", asm_group_id=7)) == (1, 1)
    assert await sent.world.path() == [("hello", "unsubscribe"), ("opened", None)]


SMS = graph(
    hello=sms(to("opened", "delivered"), to("pause", "opt_out"), to("done", after=999)),
    pause=wait(99, "done"),
)


async def test_twilio_callbacks_are_matched_by_the_id_in_their_url_and_only_rise(database: Database):
    world = await World.create(database, SMS)
    await world.enrol()
    (action,) = await world.actions()
    await world.set_action(action["id"], status="submitting", recipient="+15550100")
    query = f"sa={action['id']}"
    claims = [
        await world.post(
            provider="twilio",
            query=query,
            body=f"MessageSid=SM1&MessageStatus={status}&To=%2B15550100".encode(),
        )
        for status in ("delivered", "sent")
    ]
    assert await world.process(*claims) == [(1, 1), (1, 0)]
    (row,) = await world.actions(id=action["id"])
    assert (row["status"], row["provider_message_id"], row["delivery_status"]) == (
        "accepted",
        "SM1",
        "delivered",
    )
    assert await world.path() == [("hello", "delivered"), ("opened", None)]


async def test_an_inbound_stop_suppresses_the_number_and_finds_its_last_message(database: Database):
    world = await World.create(database, SMS)
    await world.enrol()
    visit = await world.current()
    await world.accept(visit["id"])
    (action,) = await world.actions(kind="send")
    await world.set_action(action["id"], recipient="+15550100")
    stop = b"MessageSid=SM9&SmsStatus=received&From=%2B15550100&To=%2B15550199&Body=Stop"
    start = b"MessageSid=SM8&SmsStatus=received&From=%2B15550100&To=%2B15550199&Body=Start"
    assert await world.process(await world.post(provider="twilio", body=stop)) == [(1, 1)]
    assert await world.suppressions() == [("sms", "+15550100", "all", "opted_out")]
    assert await world.path() == [("hello", "opt_out"), ("pause", None)]
    assert await world.process(await world.post(provider="twilio", body=start)) == [(1, 0)]
    assert await world.suppressions() == []
