"""Dispatch: due rows reach their queues in fair pages, whatever else is due."""

from shared.store.database import Database
from tests.dispatching import dispatching, row_ids
from tests.journeys import World, graph, send, to


async def test_a_due_send_is_enqueued_by_its_id_and_generation(database: Database, valkey_url: str) -> None:
    world = await World.create(database, graph(hello=send(to("done"))))
    await world.enrol()
    async with dispatching(database, valkey_url) as dispatch:
        await dispatch.open()
        await dispatch.send_round()
        (action,) = await world.actions()
        (job,) = await dispatch.claim()
    assert (action["status"], action["g"], action["cost"]) == ("enqueued", 0, 1)
    assert job.id == f"send:{action['id']}:0"
    assert job.lane == f"{world.tenant_id}/email/{world.senders['email']}"
    assert row_ids([job]) == [action["id"]]
