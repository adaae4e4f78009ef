"""How late a few are behind many: `python -m benchmarks.floods`, every service on embedded servers.

A tenant has 200,000 sends due, and limits that never bind; then a contact of another enrols. And 10,000
suppressed contacts stand before 20 good ones. Printed is the time from enrolment to acceptance by a mailbox.
It fails where the contact waited longer than what is promised.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from pydantic import SecretStr

from services.cli.demo.polling import until
from services.cli.stack import running
from shared.settings import DatabaseSettings
from shared.store.database import Database
from tests.dispatching import limit
from tests.floods import fill, suppress_everybody
from tests.journeys import World, graph, send, to

FLOOD = 200_000
SUPPRESSED = 10_000
GOOD = 20
LATEST = 5.0  # seconds, for the contact behind the flood
HELLO = graph(hello=send(to("done")))


async def accepted_after(world: World, contacts: Sequence[UUID]) -> float:
    """Seconds from the enrolment of contacts until the sends of all are accepted."""
    await world.enrol(contacts)
    began = time.monotonic()
    count = "select count(*) as n from scheduled_actions where tenant_id = :t and status = 'accepted'"

    async def all_accepted() -> bool:
        return bool((await world.run(count))[0]["n"] == len(contacts))

    await until(all_accepted)
    return time.monotonic() - began


async def behind_another(database: Database) -> list[float]:
    """Contacts of quiet tenants, one after the other, while a loud one floods."""
    loud = await World.create(database, HELLO, contacts=0)
    await limit(loud, minute=10_000_000, hour=10_000_000, day=10_000_000)
    for _ in range(0, FLOOD, SUPPRESSED):
        await fill(loud, SUPPRESSED)
    await asyncio.sleep(5)  # it is on its way
    found = []
    for _ in range(5):
        quiet = await World.create(database, HELLO)
        found.append(await accepted_after(quiet, quiet.contacts))
    await loud.run("update campaigns set status = 'cancelled' where tenant_id = :t")
    return found


async def behind_suppressed(database: Database) -> list[float]:
    """Twenty good contacts behind suppressed ones of their own campaign."""
    world = await World.create(database, HELLO, contacts=0)
    await fill(world, SUPPRESSED)
    await suppress_everybody(world)
    return [await accepted_after(world, await world.add_contacts(GOOD))]


async def measure(folder: Path) -> None:
    """Print both."""
    async with running(folder, lambda *_: None, {}) as stack:
        database = Database(DatabaseSettings(url=SecretStr(stack.environment["DATABASE_URL"])))
        few = await behind_suppressed(database)
        one = await behind_another(database)
        await database.close()
    print(f"{GOOD} contacts behind {SUPPRESSED} suppressed ones: {few[0]:.1f} s")
    print(f"a contact behind {FLOOD} sends of another tenant: {min(one):.2f} to {max(one):.2f} s")
    if max(one) > LATEST:
        raise SystemExit(f"A contact behind another tenant's flood waits longer than {LATEST} s.")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        Path(temporary).chmod(0o711)  # root's Postgres runs as another account
        asyncio.run(measure(Path(temporary)))
