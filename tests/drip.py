"""A drip campaign in the midst of its run: somebody at every turn of it, for tests of what pages tell."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from services.timeout.processor import Processor
from shared.metrics import Metrics
from shared.store.database import Database
from shared.store.timeouts import TimeoutClaim
from tests.journeys import TIMEOUTS, World, mail_event, send, to, wait
from tests.operating import fail

DRIP = {
    "start": "hello",
    "nodes": {
        "hello": send(
            to("done", "click"),
            to("later", "open"),
            to("again", "no_open", after=3600),
            to("lost", "failed"),
        ),
        "later": wait(86_400, "again"),
        "again": send(to("done", "click"), to("later", "open"), to("silent", after="P3D")),
        **{name: {"type": "exit"} for name in ("done", "silent", "lost")},
    },
}

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


class Drip:
    """Contacts of one campaign: `ana` has a long story, `ben` waits, `cleo` is held up, `dan` is lost."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.due = datetime.now(UTC).replace(microsecond=0) - 5 * MINUTE
        self.ana, self.ben, self.cleo, self.dan = world.contacts

    @classmethod
    async def create(cls, database: Database) -> "Drip":
        """The campaign, run so far."""
        world = await World.create(database, DRIP, contacts=4)
        drip = cls(world)
        for name, contact in (("ana", drip.ana), ("ben", drip.ben), ("cleo", drip.cleo), ("dan", drip.dan)):
            await world.run(
                "update contacts set external_id = :name, email = :email where tenant_id = :t and id = :id",
                name=f"{name}-1",
                email=f"{name}@example.org",
                id=contact,
            )
        await world.enrol()
        await world.run("update enrollments set enrolled_at = now() - interval '2 hours'")
        await world.run("update visits set entered_at = now() - interval '2 hours'")
        await world.run(
            "update scheduled_actions set created_at = now() - interval '2 hours',"
            " due_at = now() - interval '2 hours', scheduled_at = now() - interval '2 hours'"
        )
        await drip._ana()
        await drip._others()
        return drip

    async def send_of(self, contact: UUID, node: str) -> Mapping[str, Any]:
        """The row of a contact's first send at a node."""
        return (await self.world.actions(contact_id=contact, node_id=node, kind="send"))[0]

    async def _ana(self) -> None:
        """Her proxy opened, she was reminded, and that she had opened in time was told too late."""
        hello = await self.send_of(self.ana, "hello")
        await self._tried(hello, self.due - HOUR - MINUTE, "unavailable", "http_503")
        await self._tried(hello, self.due - HOUR, "accepted", None)
        await self.world.accept(hello["visit_id"], self.due - HOUR)
        await self.world.happens(
            mail_event("delivered", hello, self.due - 59 * MINUTE),
            mail_event("open", hello, self.due - 50 * MINUTE, sg_machine_open=True),
        )
        await self.fire()
        again = await self.send_of(self.ana, "again")
        await self.world.accept(again["visit_id"])
        await self.world.happens(mail_event("open", hello, self.due - 40 * MINUTE))

    async def _others(self) -> None:
        hello = await self.send_of(self.ben, "hello")
        await self.world.accept(hello["visit_id"], self.due)
        await self.world.happens(
            mail_event("open", hello, self.due + MINUTE),
            mail_event("click", hello, self.due + 2 * MINUTE, url="https://example.com/?to=ben@example.org"),
        )
        waiting = await self.send_of(self.cleo, "hello")
        await self.world.set_action(waiting["id"], reason="closed", due_at=datetime.now(UTC) + HOUR)
        await fail(self.world, await self.send_of(self.dan, "hello"), "invalid dan@example.org")

    async def fire(self) -> None:
        """Let the timeouts fire that are due."""
        world = self.world
        await world.run(
            "update scheduled_actions set status = 'enqueued'"
            " where kind = 'timeout' and status = 'pending' and due_at <= now()"
        )
        rows = await world.actions(kind="timeout", status="enqueued")
        processor = Processor(world.database, world.transitions, TIMEOUTS, Metrics.create())
        await processor([TimeoutClaim(row["tenant_id"], row["id"], row["g"]) for row in rows])

    async def _tried(self, action: Mapping[str, Any], at: datetime, outcome: str, reason: str | None) -> None:
        await self.world.run(
            "insert into attempts (tenant_id, action_id, g, charged_at, channel, sender_id, cost,"
            " submitted_at, ended_at, outcome, reason)"
            " values (:t, :id, 0, :at, 'email', :sender, 1, :at, :end, :outcome, :reason)",
            id=action["id"],
            at=at,
            sender=action["sender_id"],
            end=at + timedelta(seconds=1),
            outcome=outcome,
            reason=reason,
        )
