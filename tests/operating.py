"""A desk for tests: an operator's, on a world's rows and a dispatcher's queues; and how sends end."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from shared.campaigns import sending
from shared.operate import Desk, Via
from shared.store import audit
from shared.store.database import Database
from shared.store.pages import Page
from shared.store.sends import Change
from tests.dispatching import Replica
from tests.journeys import World


def desk(world: World, dispatch: Replica) -> Desk:
    """Where ana acts by a page."""
    queues = {queue.name: queue for queue in dispatch.queues}
    return Desk(world.database, queues, world.transitions, "ana", Via.PAGE)


def meanwhile(at: Desk, act: Callable[[], Awaitable[object]]) -> None:
    """Once the desk has read the next job's row, somebody else acts before it does."""
    find = at._find

    async def slow(*asked: Any) -> Any:
        found = await find(*asked)
        at._find = find  # type: ignore[method-assign]  # once
        await act()
        return found

    at._find = slow  # type: ignore[method-assign]  # as slow as a busy database


async def fail(world: World, action: Mapping[str, Any], reason: str = "invalid") -> None:
    """A send fails, as its worker records it: its visit takes its failed edge."""
    change = Change(action["tenant_id"], action["id"], action["g"], "failed", reason, None)
    at = [(action["tenant_id"], action["visit_id"])]
    await world.database.run(lambda tx: sending.change(tx, world.transitions, [change], at))


async def entries(database: Database) -> list[tuple[str, str, UUID | None, int]]:
    """Action, target, tenant's name and count of what is in the audit, in order."""
    rows = await database.run(lambda tx: audit.page(tx, Page(100)))
    return [(row.action, row.target, row.tenant, row.count) for row in reversed(rows)]


async def whole(world: World) -> dict[str, list[Mapping[str, Any]]]:
    """Every row of the tenant that an operator's act could touch."""
    tables = ("enrollments", "visits", "scheduled_actions", "deliveries", "attempts", "events")
    order = {"attempts": "action_id, g"}
    return {
        table: await world.run(
            f"select * from {table} where tenant_id = :t order by {order.get(table, 'id')}"
        )
        for table in tables
    }
