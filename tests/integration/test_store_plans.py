"""Plans: what a statement reads does not hang on when statistics were taken last."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import TextClause, bindparam, text

from shared.store import (
    campaign_views,
    deliveries_work,
    delivery_events,
    delivery_lists,
    delivery_rows,
    draining,
    due,
    failing,
    flows,
    gauging,
    openings,
    operating,
    restoring,
    sends,
    sweeping,
    tenant_rows,
    timelines,
    timeouts,
    unknown_sends,
    visits,
    whose,
)
from shared.store.database import Database
from shared.store.sweeping import _COUNT_UNKNOWN
from tests.floods import fill
from tests.journeys import World, graph, send, to

ROWS = 3000

_ARRIVE = """
insert into deliveries (tenant_id, id, endpoint_id, provider, headers, body, state)
select :t, gen_random_uuid(), :t, 'sendgrid', '{}', '', 'received' from generate_series(1, :rows)
"""

_HAPPEN = """
insert into events (tenant_id, id, type, occurred_at, natural_key, provider)
select :t, gen_random_uuid(), 'open', now(), cast(cast(n as text) as bytea), 'sendgrid'
from generate_series(1, :rows) as n
"""

BY_KEY = {
    "take sends": due._TAKE_SENDS,
    "take timeouts": due._TAKE_TIMEOUTS,
    "put back": due._PUT_BACK,
    "read": sends._READ,
    "submit": sends._SUBMIT,
    "change": sends._CHANGE,
    "record": sends._RECORD,
    "settle timeouts": timeouts._SETTLE,
    "lose": sweeping._LOST,
    "unconfirmed": sweeping._UNCONFIRMED,
    "begin deliveries": deliveries_work._BEGIN.element,
    "lock deliveries": deliveries_work._LOCK,
    "retry": operating._RETRY,
    "hasten": operating._HASTEN,
}

OF_A_TENANT = {
    "take sends": due._TAKE_SENDS,
    "read": sends._READ,
    "timeouts' facts": timeouts._FACTS,
    "exit": visits._EXIT,
}


async def plan(
    world: World, statement: TextClause, values: Mapping[str, Any], first: TextClause | None = None
) -> str:
    """What Postgres would do, for values of the names that the statement has; arrays are of nothing else."""
    typed = [bindparam(name, type_=each.type) for name, each in statement._bindparams.items()]
    query = text(f"explain {statement.text}").bindparams(*typed)
    wanted = {name: values.get(name, [None]) for name in statement._bindparams}
    async with world.database.begin() as tx:
        if first is not None:
            await tx.execute(first)
        return "\n".join((await tx.execute(query, wanted)).scalars())


async def plans_by_key(world: World, statements: Mapping[str, TextClause], rows: int) -> dict[str, str]:
    """The plans of statements for so many of the tenant's actions."""
    found = await world.run("select id from scheduled_actions where tenant_id = :t limit :rows", rows=rows)
    values = {
        **{key: [world.tenant_id] * rows for key in ("tenant_id", "tenant_ids")},
        **{key: [row["id"] for row in found] for key in ("id", "ids", "enrollment_id")},
        **{key: ["done"] * rows for key in ("exit", "reason")},
        **{key: [0] * rows for key in ("g", "gs")},
        **dict.fromkeys(("max_lateness", "look_again", "delay", "grace", "silence")),
    }
    return {name: await plan(world, statement, values) for name, statement in statements.items()}


async def flood(database: Database) -> World:
    """A world of many waiting rows, in a database that was analyzed when there were none."""
    world = await World.create(database, graph(hello=send(to("done"))))
    for table in ("scheduled_actions", "visits", "deliveries"):
        await world.run(f"analyze {table}")
    for status in ("accepted", "pending", "enqueued", "submitting", "unknown"):
        await fill(world, ROWS, status)
        if status == "accepted":
            await world.run("analyze")
    await world.run(_ARRIVE, rows=ROWS)
    return world


async def test_a_flood_that_no_statistics_know_of_is_not_read_to_find_rows_by_their_keys(
    database: Database,
) -> None:
    world = await flood(database)
    plans = await plans_by_key(world, BY_KEY, rows=3)
    indexes = ("ix_actions_due", "ix_actions_in_flight", "_state_tenant_id_received_at_idx")
    assert {name for name, found in plans.items() if any(index in found for index in indexes)} == set()


async def test_who_knows_nothing_of_a_tenant_does_not_read_all_that_is_its_for_each_of_its_actions(
    database: Database,
) -> None:
    world = await World.create(database, graph(hello=send(to("done"))))
    await fill(world, ROWS)
    plans = await plans_by_key(world, OF_A_TENANT, rows=100)
    indexes = (
        "ix_visits_version",
        "ix_visits_enrollment",
        "ix_contacts",
        "uq_enrollments_active",
        "ix_enrollments",
    )
    assert {name for name, found in plans.items() if any(index in found for index in indexes)} == set()


async def test_an_opening_puts_back_by_index_in_a_table_full_of_other_rows(database: Database) -> None:
    world = await flood(database)
    await world.run("analyze scheduled_actions")
    values = {"tenants": [world.tenant_id], "before": datetime.now(UTC), "most": 10}
    found = await plan(world, openings._BACK["outreach:send"], values)
    assert "using ix_actions_in_flight on scheduled_actions" in found, found


async def test_an_operator_finds_a_row_by_its_id_in_a_flood_by_keys(database: Database) -> None:
    world = await flood(database)
    keys = {name: [world.tenant_id] for name in ("tenant_id", "id")} | {"g": [0]}
    times = dict.fromkeys(("first", "last"), datetime.now(UTC))
    states = {"states": ["failed"], "reason": "removed", "received_at": [datetime.now(UTC)]}
    plans = [
        await plan(world, operating._CANCEL, keys | states),
        await plan(world, delivery_rows._REPLAY, keys | states),
        await plan(world, delivery_rows._FAIL, keys | states),
        await plan(world, operating._FIND, {"id": UUID(int=0)}),
        await plan(world, delivery_rows._FIND.element, {"id": UUID(int=0), **times}),
    ]
    today = f"deliveries_p{datetime.now(UTC):%Y%m%d}"
    others = ("ix_actions", "_state_tenant_id_", "Seq Scan on scheduled_actions", f"Seq Scan on {today}")
    assert [found for found in plans if any(other in found for other in others)] == []


async def test_a_retry_looks_for_what_followed_by_enrolment_and_contact(database: Database) -> None:
    world = await World.create(database, graph(hello=send(to("done"))))
    await fill(world, ROWS, "failed")
    found = (await plans_by_key(world, {"retry": operating._RETRY}, rows=100))["retry"]
    assert re.findall(r"Index (?:Only )?Scan using (?:ix|uq)_\w+ on (\w+)", found) == [
        "visits",
        "enrollments",
    ], found
    assert "enrollment_id = v.enrollment_id" in found, found
    assert "contact_id = e.contact_id" in found, found


async def test_an_operators_lists_are_read_by_index_in_their_order(database: Database) -> None:
    world = await flood(database)
    first = {"tenant_id": world.tenant_id, "after_tenant": UUID(int=0), "after": UUID(int=0), "most": 10}
    wanted = {"unconfirmed": False, **dict.fromkeys(("sender_id", "campaign_id", "reason"))}
    for statement in (each for asked in operating._ASKED.values() for each in asked.values()):
        found = await plan(world, statement, first | wanted)
        assert "using ix_actions_failed on scheduled_actions" in found, found
    today = f"deliveries_p{datetime.now(UTC):%Y%m%d}"
    begin = {"id": UUID(int=0), "received_at": datetime.now(UTC)}
    for (state, _), statement in delivery_rows._WAITING.items():
        found = await plan(world, statement, first | begin)
        index = "_tenant_id_id_idx" if state == "failed" else "_state_tenant_id_received_at_idx"
        assert f"{today}{index}" in found, (state, found)


async def test_tenants_and_senders_are_found_by_keys_as_a_person_names_them(database: Database) -> None:
    world = await World.create(database, graph(hello=send(to("done"))))
    await world.run(
        "insert into senders (tenant_id, id, provider_account_id, channel, address)"
        " select s.tenant_id, gen_random_uuid(), s.provider_account_id, 'email', 'a' || n"
        " from senders s cross join generate_series(1, :rows) n where s.channel = 'email'",
        rows=ROWS,
    )
    await world.run(
        "insert into tenants (id, name) select gen_random_uuid(), 't' || n from generate_series(1, :rows) n",
        rows=ROWS,
    )
    values = {"id": world.tenant_id, "named": "us", "tenant_id": None, "most": 20, "ids": [world.tenant_id]}
    for known in (None, world.tenant_id):
        found = await plan(world, whose._NAMED, values | {"tenant_id": known})
        assert "Seq Scan on senders" not in found, found
    found = await plan(world, whose._NAMES, values)
    assert "Seq Scan on tenants" not in found, found
    keys = {"tenant_id": [world.tenant_id], "id": [world.senders["email"]]}
    found = await plan(world, whose._OF_TENANT, values | {"tenant_id": world.tenant_id})
    found += await plan(world, whose._ADDRESSES, keys)
    assert "Seq Scan on senders" not in found, found


async def test_whose_sends_fail_is_read_by_index_in_a_flood(database: Database) -> None:
    world = await flood(database)
    await fill(world, ROWS, "failed")
    await world.run(
        "insert into attempts (tenant_id, action_id, g, channel, sender_id, cost, charged_at, submitted_at)"
        " select tenant_id, id, 0, 'email', sender_id, 1, now(), now() from scheduled_actions"
    )
    found = await plan(world, failing._FAILING, {"lately": timedelta(minutes=15)}, failing._IN_ORDER)
    assert not re.search(rf"Seq Scan on (scheduled_actions|attempts_p{datetime.now(UTC):%Y%m%d})", found), (
        found
    )
    assert re.search(r"Merge Append|Index Scan Backward", found), found


async def test_the_guard_after_a_restore_reads_partial_indexes_in_their_order(database: Database) -> None:
    world = await flood(database)
    await world.run("analyze scheduled_actions")
    indexes = {"pending": "ix_actions_due", "enqueued": "ix_actions_in_flight", "held": "ix_actions_held"}
    for status, index in indexes.items():
        first = {name: restoring.FIRST[kind] for name, kind in restoring.ORDERS[status].items()}
        values = {**first, "until": datetime.now(UTC), "snapshot_at": datetime.now(UTC), "most": 10}
        found = await plan(world, restoring._PAGES[status], values)
        assert f"using {index} on scheduled_actions" in found, found


@pytest.mark.parametrize("of_one", [False, True])
async def test_a_drain_reads_partial_indexes_in_their_order(database: Database, of_one: bool) -> None:
    world = await flood(database)
    await world.run("analyze scheduled_actions")
    indexes = {"pending": "ix_actions_due", "enqueued": "ix_actions_in_flight", "held": "ix_actions_held"}
    asked = {"kind": "send", "only": world.tenant_id, "until": datetime.now(UTC), "most": 10}
    for status, index in indexes.items():
        first = {name: restoring.FIRST[kind] for name, kind in restoring.ORDERS[status].items()}
        found = await plan(world, draining._ACTIONS[status][of_one], asked | first)
        assert f"using {index} on scheduled_actions" in found, found
    first = {name: restoring.FIRST[kind] for name, kind in draining._BY_ARRIVAL.items()}
    found = await plan(world, draining._DELIVERIES[of_one], asked | first)
    today = f"deliveries_p{datetime.now(UTC):%Y%m%d}"
    assert f"{today}_state_tenant_id_received_at_idx" in found and f"Seq Scan on {today}" not in found, found


async def test_what_a_pause_held_is_found_by_why_in_a_flood_of_it(database: Database) -> None:
    world = await flood(database)
    await fill(world, ROWS, "held")
    await world.run(
        "update scheduled_actions set reason = 'queue_paused' where tenant_id = :t and status = 'held'"
    )
    for statistics in ("old", "new"):
        found = await plan(world, sweeping._RELEASE, {"most": 10})
        read = re.findall(r"(Scan.*) on scheduled_actions", found)
        assert read == ["Scan using ix_actions_held_why"] * 3 + ["Scan using pk_scheduled_actions"] * 2, (
            statistics,
            found,
        )
        await world.run("analyze scheduled_actions")


async def test_tenants_and_deliveries_are_listed_by_index(database: Database) -> None:
    world = await flood(database)
    await fill(world, 10 * ROWS, "failed")
    await world.run("analyze scheduled_actions")
    wanted = {"search": None, "most": 10, "counted": 1_000, "id": world.tenant_id}
    today = f"deliveries_p{datetime.now(UTC):%Y%m%d}"
    for statement in (*tenant_rows._PAGES.values(), tenant_rows._WORK, tenant_rows._SENDERS):
        found = await plan(world, statement, wanted | {"after": None})
        # A bitmap is read whole before its first row.
        read = re.findall(r"(?:Seq|Bitmap Heap) Scan on (\w+)", found)
        assert not {"scheduled_actions", today} & set(read), found
    for state, statement in delivery_rows._PAGES.items():
        values = {"tenant_id": world.tenant_id, "after": None, "most": 10}
        found = await plan(world, statement, values)
        assert f"Seq Scan on {today}" not in found, (state, found)


async def test_gauges_count_by_index_in_tables_full_of_other_rows(database: Database) -> None:
    world = await flood(database)
    values = {
        "kind": "send",
        "queue": "outreach:send",
        "age": timedelta(minutes=1),
        "lanes": 10_000,
        "after_tenant": UUID(int=0),
        "after_lane": UUID(int=0),
        "most": 1_000,
    }
    today = (await world.run("select tableoid::regclass::text as name from deliveries limit 1"))[0]["name"]
    await world.run(_ARRIVE.replace("received", "processed"), rows=10 * ROWS)
    for statement in (gauging._OVERDUE, gauging._OPEN, _COUNT_UNKNOWN):
        found = await plan(world, statement, values)
        read = re.findall(r"Seq Scan on (\w+)", found)
        assert not {"scheduled_actions", today} & set(read), found


async def test_campaigns_and_timelines_are_read_by_index_in_tables_full_of_others(
    database: Database,
) -> None:
    await flood(database)
    world = await World.create(database, graph(hello=send(to("done"))))
    of = {"tenant_id": world.tenant_id, "campaign_id": world.campaign_id, "contact_id": UUID(int=0)}
    none = {"after": UUID(int=0), "after_tenant": UUID(int=0), "id": UUID(int=0), "at": timelines.END.at}
    nodes = {"nodes": ["hello"], "edges": ["done"], "node_id": "hello", "version": 1, "kind": ""}
    most = {"most": 10, "counted": 10, "looked": 100, "since": datetime.now(UTC)}
    texts = dict.fromkeys(("email", "phone", "named"), "x")
    values = {**of, **none, **nodes, **most, **texts, "ids": [UUID(int=0)]}
    for module in (campaign_views, flows, timelines):
        statements = {name: each for name, each in vars(module).items() if isinstance(each, TextClause)}
        assert statements
        for name, statement in statements.items():
            found = await plan(world, statement, values)
            read = set(re.findall(r"Seq Scan on (\w+)", found))
            assert not read & {"scheduled_actions", "visits", "contacts", "enrollments"}, (name, found)


async def test_deliveries_of_all_tenants_are_listed_by_index_of_their_state_or_their_digests(
    database: Database,
) -> None:
    world = await flood(database)
    await world.run(_ARRIVE.replace("received", "processed"), rows=10 * ROWS)
    await world.run("update deliveries set received_at = received_at + random() * interval '1 second'")
    await world.run(
        "insert into delivery_digests (tenant_id, endpoint_id, digest, delivery_id, received_at)"
        " select tenant_id, endpoint_id, cast(cast(id as text) as bytea), id, received_at from deliveries"
    )
    for table in ("deliveries", "delivery_digests"):
        await world.run(f"analyze {table}")
    today = f"deliveries_p{datetime.now(UTC):%Y%m%d}"
    values = {**delivery_lists.TOP._asdict(), "most": 10}
    for state in delivery_rows.STATES:
        statement = delivery_lists._of_a_state(state, [today, "deliveries_default"], continued=True)
        index = "_tenant_id_id_idx" if state == "failed" else "_state_tenant_id_received_at_idx"
        found = await plan(world, statement, values)
        assert f"using {today}{index}" in found, (state, found)
    found = await plan(world, delivery_lists._LATEST, values)
    assert "ix_delivery_digests_received_at" in found, found
    assert f"Seq Scan on {today}" not in found, found


async def test_unknown_sends_and_what_became_of_events_are_read_by_index(database: Database) -> None:
    world = await flood(database)
    await world.run(_HAPPEN, rows=ROWS)
    for table in ("scheduled_actions", "events"):
        await world.run(f"analyze {table}")
    values = {**unknown_sends._FIRST._asdict(), "tenant_id": world.tenant_id, "keys": [b"k"], "most": 10}
    for statement in (unknown_sends._OF_ALL, unknown_sends._OF_ONE):
        found = await plan(world, statement, values)
        assert "ix_actions_in_flight" in found, found
    found = await plan(world, delivery_events._KNOWN, values)
    assert "uq_events_tenant_id_natural_key" in found, found
    assert "pk_scheduled_actions" in found, found
    found = await plan(world, delivery_events._LOOK, {**values, "before": delivery_events._LAST})
    assert "Seq Scan" not in found, found
