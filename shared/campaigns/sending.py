"""Sends as both dispatch and the worker see them: the checks on a row, and what becomes of one that stops."""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

from shared.campaigns.checks import Refusal, SendFacts, Stop, refusal
from shared.campaigns.compiled import On
from shared.campaigns.moves import Move
from shared.campaigns.transitions import Transitions
from shared.store import sends, visits
from shared.store.database import AsyncConnection, Row
from shared.store.sends import Change

LOOK_AGAIN = timedelta(minutes=1)
"""When a send is looked at again that waits for somebody, who will wake it sooner."""

_FACTS = tuple(field.name for field in fields(SendFacts))
_STATUS = {Stop.DEFERRED: "pending"}


def refused(row: Row[Any], *, through_pause: bool = False) -> Refusal | None:
    """The first reason not to send a row of the store that has the facts.

    What is sent by hand goes `through_pause`: the queue's, and no other.
    """
    facts = SendFacts(*(getattr(row, name) for name in _FACTS))
    return refusal(replace(facts, queue_paused=False) if through_pause else facts)


async def stop(
    tx: AsyncConnection, transitions: Transitions, stopped: Sequence[tuple[Row[Any], Refusal]]
) -> None:
    """Write why sends do not go out, if they are still as read; the visit of a skipped one moves on."""
    changes = [
        Change(row.tenant_id, row.id, row.g, _STATUS.get(why.stop, why.stop.value), why.reason, why.until)
        for row, why in stopped
    ]
    await change(tx, transitions, changes, [(row.tenant_id, row.visit_id) for row, _ in stopped])


async def change(
    tx: AsyncConnection, transitions: Transitions, changes: Sequence[Change], at: Sequence[visits.Key]
) -> list[Row[Any]]:
    """Change sends of the visits `at`; one that ended unsent takes its visit's failed edge."""
    await visits.lock(tx, at)
    changed = await sends.change(tx, changes, LOOK_AGAIN)
    await fail(tx, transitions, [row for row in changed if row.status in ("skipped", "failed")])
    return changed


async def fail(tx: AsyncConnection, transitions: Transitions, rows: Sequence[Row[Any]]) -> None:
    """Let the visits of sends that ended take their failed edge; the visits are locked."""
    moves = [
        Move(row.tenant_id, row.visit_id, On.FAILED, action_id=row.id, reason=row.reason) for row in rows
    ]
    await transitions.advance(tx, moves)
