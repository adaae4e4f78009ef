"""What the pages of a large campaign cost: `python -m benchmarks.journeys [--quick]`, on embedded Postgres.

A campaign of a million visits, two versions, ten nodes. Printed is how long its pages take, as a browser on
this machine sees it, before the table was vacuumed, when every count looks at rows, and after it.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median

from pydantic import SecretStr
from sqlalchemy import text

from shared.settings import DatabaseSettings
from shared.store.database import Database
from shared.store.embedded import EmbeddedPostgres
from shared.store.migrate import upgrade
from tests.admin import OPERATOR, Browser, serving, settings
from tests.journeys import World, graph, send, to

CONTACTS, NODES, REQUESTS = 200_000, 10, 20
VISITS_OF_EACH = 5

_FILL = """
insert into contacts (tenant_id, id, email)
    select :t, gen_random_uuid(), n || '@flood.example' from generate_series(1, :contacts) n;
insert into enrollments (tenant_id, id, campaign_id, contact_id)
    select :t, gen_random_uuid(), :c, id from contacts where tenant_id = :t
"""

_VISIT = """
insert into visits
    (tenant_id, id, enrollment_id, campaign_id, campaign_version, contact_id, node_id, left_at, edge)
select :t, gen_random_uuid(), id, :c, 1 + (random() * 0.7)::int, contact_id, 'n' || (random() * 9)::int,
    case when :left then now() end,
    case when :left then (array['open', 'else', 'no_open', 'failed'])[1 + (random() * 3)::int] end
from enrollments where tenant_id = :t
"""


async def filled(database: Database, contacts: int) -> World:
    """A world whose contacts have made so many visits, the last of which go on."""
    edges = [to("done", "open"), to("done", "no_open", after=3600)]
    nodes = {f"n{n}": send(*edges, to(f"n{(n + 1)}" if n < NODES - 1 else "done")) for n in range(NODES)}
    world = await World.create(database, graph(**nodes))
    await world.add_version(2, graph(**nodes))
    for statement in _FILL.split(";"):
        await world.run(statement, contacts=contacts)
    for n in range(VISITS_OF_EACH):
        await world.run(_VISIT.replace(":left", "true" if n < VISITS_OF_EACH - 1 else "false"))
    await world.run("analyze")
    return world


async def asked(browser: Browser, path: str) -> str:
    """How long a page takes, again and again."""
    took = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        (await browser.get(path)).raise_for_status()
        took.append((time.perf_counter() - began) * 1000)
    return f"{median(took):.0f} ms, at most {max(took):.0f}"


async def measure(folder: Path, contacts: int) -> None:
    """Print it all."""
    async with EmbeddedPostgres(folder / "postgres") as postgres:
        await upgrade(postgres.url)
        # A million rows take longer to be written than a statement of the services may.
        patient = DatabaseSettings(url=SecretStr(postgres.url), statement_timeout="PT10M")
        async with Database(patient) as database, serving(settings(postgres.url)) as pages:
            world = await filled(database, contacts)
            at = f"/campaigns/{world.tenant_id}/{world.campaign_id}"
            [row] = await world.run("select contact_id from visits where edge is null limit 1")
            async with pages.browser(OPERATOR) as browser:
                print(
                    f"{contacts * VISITS_OF_EACH:,} visits of {contacts:,} contacts; {REQUESTS} requests each"
                )
                print(f"the campaign, not vacuumed   {await asked(browser, at)}")
                async with database.engine.connect() as connection:
                    alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
                    await alone.execute(text("vacuum visits"))
                print(f"the campaign, vacuumed       {await asked(browser, at)}")
                print(
                    f"who is at a node             {await asked(browser, f'{at}/contacts?node=n3&version=2')}"
                )
                contact = f"/contacts/{world.tenant_id}/{row['contact_id']}"
                print(f"a contact                    {await asked(browser, contact)}")
                print(f"campaigns                    {await asked(browser, '/campaigns')}")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.journeys", description="What pages cost.")
    parser.add_argument("--quick", action="store_true", help="few visits: the figures mean little")
    few = parser.parse_args().quick
    with tempfile.TemporaryDirectory(prefix="outreach-journeys-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        folder.chmod(0o711)  # root's Postgres runs as another account
        asyncio.run(measure(folder, 2_000 if few else CONTACTS))


if __name__ == "__main__":
    main()
