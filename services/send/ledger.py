"""The send worker's side of the store: one method a step of a send, for all who take that step at once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from services.send.outcomes import Ending
from shared.campaigns import sending
from shared.campaigns.checks import Refusal
from shared.campaigns.graph import SendNode
from shared.campaigns.graphs import Version
from shared.campaigns.transitions import Acceptance, Transitions
from shared.coalesce import Coalescer, or_separately
from shared.settings import SendSettings
from shared.store import closures, sends, visits
from shared.store.closures import Verdict
from shared.store.database import AsyncConnection, Database, Row
from shared.store.sends import Change, Claim, Submission

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_MOST = 200
_LANES = 2


@dataclass(frozen=True, slots=True)
class Send:
    """A send as claimed: its row with the facts, and the node it is of."""

    row: Row[Any]
    node: SendNode


class Ledger:
    """What the worker reads and writes, in sets.

    Every method raises StoreUnavailable while Postgres is away; then nothing of it was written, or all. So do
    those before the point of no return where Postgres has not answered within `patience`.
    """

    def __init__(
        self,
        database: Database,
        settings: SendSettings,
        transitions: Transitions,
        patience: timedelta | None = None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._transitions = transitions
        self.read: Coalescer[Claim, Send | None] = _in_sets(self._read, _LANES, patience)
        """The send, if it is still as it was claimed; None: the row has moved on."""
        self.stop: Coalescer[tuple[Send, Refusal], None] = _in_sets(self._stop, 1, patience)
        """Write why it does not go out."""
        self.reprice: Coalescer[tuple[Send, int], None] = _in_sets(self._reprice, 1, patience)
        """Put it back under another cost, to be charged anew."""
        self.submit: Coalescer[Submission, bool] = _in_sets(self._submit, _LANES)
        """Mark it as submitting; False: the row has moved on, and it must not be sent."""
        self.record: Coalescer[Ending, None] = _in_sets(self._record, _LANES)
        """Write what came of it."""

    async def _read(self, claims: Sequence[Claim]) -> list[Send | None]:
        async def work(tx: AsyncConnection) -> list[Send | None]:
            rows = await sends.read(tx, claims, self._settings.max_lateness)
            found = {Claim(row.tenant_id, row.id, row.g): row for row in rows}
            graphs = await self._transitions.graphs.load(tx, map(_version, rows))
            return [
                Send(row, _node(graphs[_version(row)].node(row.node_id)))
                if (row := found.get(claim)) is not None
                else None
                for claim in claims
            ]

        return await self._database.run(work)

    async def _stop(self, stopped: Sequence[tuple[Send, Refusal]]) -> list[None]:
        rows = [(send.row, why) for send, why in stopped]
        await self._database.run(lambda tx: sending.stop(tx, self._transitions, rows))
        return [None] * len(stopped)

    async def _reprice(self, priced: Sequence[tuple[Send, int]]) -> list[None]:
        changes = [
            Change(send.row.tenant_id, send.row.id, send.row.g, "pending", "cost", send.row.now, cost)
            for send, cost in priced
        ]
        at = [(send.row.tenant_id, send.row.visit_id) for send, _ in priced]
        await self._database.run(lambda tx: sending.change(tx, self._transitions, changes, at))
        return [None] * len(priced)

    async def _submit(self, submissions: Sequence[Submission]) -> list[bool]:
        marked = await self._database.run(lambda tx: sends.submit(tx, submissions))
        return [Claim(each.tenant_id, each.id, each.g) in marked for each in submissions]

    async def _record(self, endings: Sequence[Ending]) -> list[None]:
        await self._database.run(lambda tx: self._write(tx, endings))
        return [None] * len(endings)

    async def _write(self, tx: AsyncConnection, endings: Sequence[Ending]) -> None:
        closed = [ending.closure for ending in endings if ending.closure is not None]
        if closed:
            await closures.close(tx, closed)
        told = [
            Verdict(ending.row.tenant_id, ending.row.sender_id, ending.ambiguous)
            for ending in endings
            if ending.ambiguous is not None
        ]
        await closures.count(
            tx,
            told,
            self._settings.ambiguous_limit,
            self._settings.ambiguous_pause,
            self._settings.ambiguous_pause_cap,
        )
        await visits.lock(tx, {(ending.row.tenant_id, ending.row.visit_id) for ending in endings})
        changed = await sends.record(tx, [ending.record for ending in endings])
        accepted = [row for row in changed if row.status == "accepted"]
        await self._transitions.accepted(
            tx, [Acceptance(row.tenant_id, row.visit_id, row.accepted_at, row.id) for row in accepted]
        )
        await sending.fail(tx, self._transitions, [row for row in changed if row.status == "failed"])


def _in_sets(
    step: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
    lanes: int,
    patience: timedelta | None = None,
) -> Coalescer[Item, Answer]:
    """The step for all who take it at once; what is wrong with one send fails that one alone."""
    return Coalescer(partial(or_separately, step), _MOST, lanes, patience)


def _version(row: Row[Any]) -> Version:
    return Version(row.tenant_id, row.campaign_id, row.campaign_version)


def _node(node: object) -> SendNode:
    assert isinstance(node, SendNode)  # a send's row is made for a send node, and versions never change
    return node
