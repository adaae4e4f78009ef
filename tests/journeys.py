"""A small world for tests of campaigns: a tenant, its senders, a campaign, contacts; and its whole state."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import event, text

from services.webhook.processor import Processor
from shared.campaigns import enrollments
from shared.campaigns.graph_rules import parse
from shared.campaigns.transitions import Acceptance, Move, Moved, Transitions
from shared.jobs import WebhookResult
from shared.settings import TimeoutSettings, WebhookSettings
from shared.store.database import Database
from shared.store.deliveries_work import DeliveryClaim
from shared.store.ids import uuid7

TIMEOUTS = TimeoutSettings(
    grace=timedelta(seconds=120), insert_timeout=timedelta(seconds=5), recheck=timedelta(seconds=5)
)


def send(*edges: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A mail."""
    node = {"type": "send", "channel": "email", "subject": "Hi", "text": "Hello", "edges": list(edges)}
    return {**node, **parts}


def sms(*edges: dict[str, Any]) -> dict[str, Any]:
    """An SMS."""
    return {"type": "send", "channel": "sms", "text": "Hello", "edges": list(edges)}


def wait(seconds: int, to: str) -> dict[str, Any]:
    """A pause."""
    return {"type": "wait", "duration": seconds, "edges": [{"on": "else", "to": to}]}


def to(target: str, on: str = "else", **more: Any) -> dict[str, Any]:
    """An edge."""
    return {"on": on, "to": target, **more}


def graph(**nodes: dict[str, Any]) -> dict[str, Any]:
    """Nodes, the first one first, and exits `done` and `opened`."""
    exits = {name: {"type": "exit"} for name in ("done", "opened")}
    reached = {edge["to"] for node in nodes.values() for edge in node["edges"]}
    exits = {name: node for name, node in exits.items() if name in reached}
    return {"start": next(iter(nodes)), "nodes": {**nodes, **exits}}


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """The statements that run meanwhile."""
    ran: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        ran.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    yield ran
    event.remove(database.engine.sync_engine, "before_cursor_execute", note)


def mail_event(kind: str, action: Mapping[str, Any], at: datetime, **fields: Any) -> dict[str, Any]:
    """An event of SendGrid about an action's message, whose addresses are its contact's."""
    return {
        "event": kind,
        "email": f"{action['contact_id']}@example.org",
        "timestamp": int(at.timestamp()),
        "sg_event_id": uuid7().hex,
        "sg_message_id": f"m-{action['id']}.recvd-1-2",
        "outreach_action": str(action["id"]),
        **fields,
    }


class World:
    """One tenant's campaign."""

    def __init__(self, database: Database, timeouts: TimeoutSettings = TIMEOUTS) -> None:
        self.database = database
        self.transitions = Transitions(timeouts)
        self.tenant_id = uuid7()
        self.campaign_id = uuid7()
        self.senders = {"email": uuid7(), "sms": uuid7()}
        self.contacts: list[UUID] = []

    @classmethod
    async def create(
        cls, database: Database, nodes: dict[str, Any], contacts: int = 1, **campaign: Any
    ) -> "World":
        """A tenant with a campaign of this graph and so many contacts."""
        world = cls(database)
        account = uuid7()
        await world.run("insert into tenants (id, name) values (:t, :name)", name=str(world.tenant_id))
        await world.run(
            "insert into provider_accounts (tenant_id, id, provider, credentials)"
            " values (:t, :id, 'mailbox', '')",
            id=account,
        )
        for channel, sender in world.senders.items():
            await world.run(
                "insert into senders (tenant_id, id, provider_account_id, channel, address)"
                " values (:t, :id, :account, :channel, 'us')",
                id=sender,
                account=account,
                channel=channel,
            )
        await world.add_campaign(nodes, **campaign)
        await world.add_contacts(contacts)
        await world.run("insert into gateway_beats (one, at) values (1, now()) on conflict (one) do nothing")
        return world

    async def add_campaign(self, nodes: dict[str, Any], **fields: Any) -> None:
        """Make the campaign anew, with other fields if any are given."""
        self.campaign_id = uuid7()
        row = {
            "kind": "marketing",
            "reentry": "never",
            "reentry_days": None,
            "email_sender_id": self.senders["email"],
            "sms_sender_id": self.senders["sms"],
            **fields,
        }
        names = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        await self.run(
            f"insert into campaigns (tenant_id, id, name, {names}) values (:t, :c, 'spring', {values})",
            **row,
        )
        await self.add_version(1, nodes)

    async def add_version(self, version: int, nodes: dict[str, Any]) -> None:
        """A version of the campaign's graph, which new enrolments get."""
        await self.run(
            "insert into campaign_versions (tenant_id, campaign_id, version, graph)"
            " values (:t, :c, :version, cast(:graph as jsonb))",
            version=version,
            graph=json.dumps(parse(nodes).dump()),
        )
        await self.run(
            "update campaigns set version = :version where tenant_id = :t and id = :c", version=version
        )

    async def add_contacts(self, count: int) -> list[UUID]:
        """New contacts."""
        new = [uuid7() for _ in range(count)]
        for contact in new:
            await self.run(
                "insert into contacts (tenant_id, id, email, phone) values (:t, :id, :email, '+15550100')",
                id=contact,
                email=f"{contact}@example.org",
            )
        self.contacts += new
        return new

    async def enrol(self, contacts: Sequence[UUID] | None = None) -> list[enrollments.Enrolment]:
        """Enrol contacts, all by default."""
        wanted = self.contacts if contacts is None else contacts
        return await self.database.run(
            lambda tx: enrollments.enrol(
                tx, self.transitions.graphs, self.tenant_id, self.campaign_id, wanted
            )
        )

    async def advance(self, *moves: Move) -> list[Moved]:
        """Move in one transaction."""
        return await self.database.run(lambda tx: self.transitions.advance(tx, moves))

    async def accept(self, visit_id: UUID, at: datetime | None = None) -> list[Moved]:
        """The visit's send is accepted, now or then: as its worker records it."""
        action = (await self.actions(visit_id, kind="send"))[0]
        told = Acceptance(self.tenant_id, visit_id, at or datetime.now(UTC), action["id"])
        moved = await self.database.run(lambda tx: self.transitions.accepted(tx, [told]))
        await self.run(
            "update scheduled_actions set status = 'accepted', accepted_at = :at, recipient = :recipient,"
            " provider_message_id = :message where tenant_id = :t and id = :id",
            id=action["id"],
            at=told.at,
            recipient=f"{action['contact_id']}@example.org",
            message=f"m-{action['id']}",
        )
        return moved

    def move(self, visit_id: UUID, on: str, **more: Any) -> Move:
        """Something that happened at a visit."""
        return Move(self.tenant_id, visit_id, on, **more)

    async def set_action(self, action_id: UUID, **fields: Any) -> None:
        """Change an action's row."""
        changes = ", ".join(f"{name} = :{name}" for name in fields)
        await self.run(
            f"update scheduled_actions set {changes} where tenant_id = :t and id = :id",
            id=action_id,
            **fields,
        )

    async def current(self, contact_id: UUID | None = None) -> Mapping[str, Any]:
        """The visit where a contact is, the first one's by default."""
        contact = contact_id or self.contacts[0]
        return next(visit for visit in await self.visits(contact) if visit["left_at"] is None)

    async def visits(self, contact_id: UUID | None = None) -> list[Mapping[str, Any]]:
        """All visits of a contact in order."""
        return await self.run(
            "select * from visits where tenant_id = :t and contact_id = :contact order by id",
            contact=contact_id or self.contacts[0],
        )

    async def path(self, contact_id: UUID | None = None) -> list[tuple[str, str | None]]:
        """Nodes and the edges they were left by; the last is the exit's name, if there is one."""
        steps = [(visit["node_id"], visit["edge"]) for visit in await self.visits(contact_id)]
        rows = await self.run(
            "select exit from enrollments where tenant_id = :t and contact_id = :contact"
            " and exit is not null order by id desc limit 1",
            contact=contact_id or self.contacts[0],
        )
        return steps + [(row["exit"], None) for row in rows]

    async def actions(self, visit_id: UUID | None = None, **fields: Any) -> list[Mapping[str, Any]]:
        """The actions of a visit, or all of the tenant, in order."""
        where = "".join(f" and {name} = :{name}" for name in fields)
        if visit_id is not None:
            fields["visit_id"], where = visit_id, where + " and visit_id = :visit_id"
        return await self.run(
            f"select * from scheduled_actions where tenant_id = :t{where} order by id", **fields
        )

    async def statuses(self, visit_id: UUID | None = None) -> dict[str, str]:
        """Status by `send` or the timeout's type, of one visit or the whole tenant."""
        return {row["event_type"] or "send": row["status"] for row in await self.actions(visit_id)}

    async def events(self) -> list[Mapping[str, Any]]:
        """All events of the tenant in the order that they came and happened in."""
        return await self.run(
            "select * from events where tenant_id = :t order by received_at, occurred_at, id"
        )

    async def effects(self) -> dict[str, list[str]]:
        """The effects of the tenant's events by type."""
        found: dict[str, list[str]] = {}
        for row in await self.events():
            found.setdefault(row["type"], []).append(row["effect"])
        return found

    async def post(
        self, *events: Any, provider: str = "sendgrid", body: bytes | None = None, query: str = ""
    ) -> DeliveryClaim:
        """A stored body: SendGrid's events, or any bytes of a provider."""
        claim = DeliveryClaim(self.tenant_id, uuid7(), 0)
        await self.run(
            "insert into deliveries (tenant_id, id, endpoint_id, provider, headers, query, body)"
            " values (:t, :id, :id, :provider, '{}', :query, :body)",
            id=claim.id,
            provider=provider,
            query=query,
            body=body if body is not None else json.dumps(events).encode(),
        )
        return claim

    async def process(self, *claims: DeliveryClaim, **settings: Any) -> list[tuple[int, int]]:
        """New events and transitions of each delivery, processed as one set."""
        processor = Processor(self.database, self.transitions, WebhookSettings(**settings))
        results = await processor(claims)
        failed = [result for result in results if isinstance(result, Exception)]
        if failed:
            raise failed[0]
        return [
            (result.events_processed, result.transitions_triggered)
            for result in results
            if isinstance(result, WebhookResult)
        ]

    async def happens(self, *events: Any, **settings: Any) -> tuple[int, int]:
        """Post these events of SendGrid, and process them."""
        (result,) = await self.process(await self.post(*events), **settings)
        return result

    async def deliveries(self) -> list[Mapping[str, Any]]:
        """All deliveries of the tenant in order."""
        return await self.run("select * from deliveries where tenant_id = :t order by id")

    async def suppressions(self) -> list[tuple[str, ...]]:
        """Channel, address, scope and reason of the tenant's suppressions."""
        rows = await self.run(
            "select channel, address, scope, reason from suppressions where tenant_id = :t order by 1, 2, 3"
        )
        return [tuple(row.values()) for row in rows]

    async def run(self, statement: str, **values: Any) -> list[Mapping[str, Any]]:
        """Rows of a statement; `:t` is the tenant, `:c` the campaign."""
        values = {"t": self.tenant_id, "c": self.campaign_id, **values}
        query = text(statement)
        bound = {name: value for name, value in values.items() if name in query.compile().params}
        async with self.database.begin() as connection:
            result = await connection.execute(query, bound)
            return list(result.mappings()) if result.returns_rows else []
