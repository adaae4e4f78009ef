"""From stored bodies to events, suppressions, statuses and transitions, in sets (design §8).

A body is marked as processing in a transaction of its own. All that it does is one more, so a crash leaves
nothing of it, and the same body can be processed again: what is known by its natural key does nothing.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from uuid import UUID

import structlog

from services.webhook import items as reading
from services.webhook.items import Item
from shared.campaigns.graphs import Version
from shared.campaigns.transitions import Acceptance, Effect, Transitions
from shared.coalesce import or_separately
from shared.jobs import WebhookResult
from shared.settings import WebhookSettings
from shared.store import deliveries_work as deliveries
from shared.store import events, suppressions, visits
from shared.store.database import AsyncConnection, Database
from shared.store.deliveries_work import Delivery, DeliveryClaim, Finished

log = structlog.get_logger()

_MOST_BYTES = 512 * 1024  # of bodies in one transaction: some thousand events

_NOTHING = WebhookResult(success=True, events_processed=0, transitions_triggered=0)


class Processor:
    """Processes sets of stored bodies."""

    def __init__(self, database: Database, transitions: Transitions, settings: WebhookSettings) -> None:
        self._database = database
        self._transitions = transitions
        self._settings = settings

    async def __call__(self, claims: Sequence[DeliveryClaim]) -> list[WebhookResult | Exception]:
        """The result of each body, in order; a body that cannot be processed fails alone.

        A body that is processed already, or is claimed under another generation, holds nothing. Raises
        StoreUnavailable.
        """
        begun = await self._database.run(lambda tx: deliveries.begin(tx, claims))
        answers: dict[DeliveryClaim, WebhookResult | Exception] = {}
        for some in _bounded(begun):
            found = await or_separately(self._process, some)
            answers.update(zip((delivery.claim for delivery in some), found, strict=True))
        return [answers.get(claim, _NOTHING) for claim in claims]

    async def _process(self, begun: Sequence[Delivery]) -> list[WebhookResult]:
        found = [item for delivery in begun for item in reading.read(delivery)]
        results = await self._database.run(lambda tx: self._store(tx, begun, found))
        return [results.get(delivery.claim, _NOTHING) for delivery in begun]

    async def _store(
        self, tx: AsyncConnection, begun: Sequence[Delivery], found: Sequence[Item]
    ) -> Mapping[DeliveryClaim, WebhookResult]:
        ours = await deliveries.lock(tx, begun)
        items = [item for item in found if item.delivery.claim in ours]
        await self._match(tx, items)
        waiting = {item for item in items if self._waits(item)}
        ready = [item for item in items if item not in waiting]
        fresh = await events.insert(tx, [item.row() for item in ready]) if ready else ()
        new = [item for item in ready if item.id in fresh]
        await _suppress(tx, [*new, *waiting])
        moved = await self._advance(tx, [item for item in new if item.match])
        counts = Counter(item.delivery.id for item in new)
        parked = {item.delivery.id for item in waiting}
        mine = [delivery for delivery in begun if delivery.claim in ours]
        await deliveries.finish(tx, [self._finished(each, counts[each.id], parked) for each in mine])
        return {
            each.claim: WebhookResult(
                success=True, events_processed=counts[each.id], transitions_triggered=moved[each.id]
            )
            for each in mine
        }

    async def _match(self, tx: AsyncConnection, items: Sequence[Item]) -> None:
        references = list(dict.fromkeys(item.reference for item in items))
        matches = await events.correlate(tx, references, self._settings.match_window) if references else {}
        for item in items:
            item.match = matches.get(item.reference)
        reading.match_among(items)

    def _waits(self, item: Item) -> bool:
        return item.delivery.tries < self._settings.park_attempts and item.may_match_later()

    def _finished(self, delivery: Delivery, count: int, parked: Collection[UUID]) -> Finished:
        park = self._settings.park_for if delivery.id in parked else None
        if park is not None:
            log.info("delivery.parked", delivery_id=str(delivery.id), tries=delivery.tries + 1)
        return Finished(delivery.tenant_id, delivery.id, delivery.received_at, count, park)

    async def _advance(self, tx: AsyncConnection, new: Sequence[Item]) -> Counter[UUID]:
        """Let the events of matched sends prove and move; how many visits moved, by delivery."""
        graphs = await self._transitions.graphs.load(tx, {_version(item) for item in new})
        moving = [(item, move) for item in new if (move := item.move(graphs[_version(item)]))]
        proofs = reading.proofs(new)
        proven = {proof.action_id for proof in proofs}
        touched = {_visit(item) for item in new if item.match and item.match.action_id in proven}
        touched |= {_visit(item) for item, _ in moving}
        if not touched:
            return Counter()
        await visits.lock(tx, touched)
        accepted = await events.prove(tx, proofs) if proofs else []
        moved = await self._transitions.advance(tx, [move for _, move in moving])
        at_once = await self._transitions.accepted(
            tx, [Acceptance(row.tenant_id, row.visit_id, row.accepted_at, row.action_id) for row in accepted]
        )
        effects = [(item, result.effect) for (item, _), result in zip(moving, moved, strict=True)]
        await _note(tx, effects)
        of = {item.match.action_id: item.delivery.id for item in new if item.match}
        counts = Counter(item.delivery.id for item, effect in effects if effect is Effect.MOVED)
        for row, result in zip(accepted, at_once, strict=True):
            counts[of[row.action_id]] += result.effect is Effect.MOVED
        return counts


def _bounded(begun: Sequence[Delivery]) -> Iterator[list[Delivery]]:
    """Sets of deliveries that one transaction can take: a large body goes alone."""
    some: list[Delivery] = []
    size = 0
    for delivery in begun:
        size += len(delivery.body)
        if some and size > _MOST_BYTES:
            yield some
            some, size = [], len(delivery.body)
        some.append(delivery)
    if some:
        yield some


async def _suppress(tx: AsyncConnection, items: Sequence[Item]) -> None:
    """Apply what events say of their addresses; of contrary words the latest counts."""
    found = [change for item in items if (change := item.suppresses())]
    said = {
        (told.tenant_id, told.channel, told.address, told.scope, told.reason): (change, told)
        for change, told in sorted(found, key=lambda each: each[1].at)
    }
    add = [told for change, told in said.values() if not change.lift]
    lift = [told for change, told in said.values() if change.lift]
    if add:
        await suppressions.add_told(tx, add)
    if lift:
        await suppressions.lift_told(tx, lift)


async def _note(tx: AsyncConnection, effects: Sequence[tuple[Item, Effect]]) -> None:
    told = [
        (item.delivery.tenant_id, item.id, effect.value)
        for item, effect in effects
        if effect is not Effect.NONE
    ]
    if told:
        await events.set_effects(tx, told)


def _version(item: Item) -> Version:
    assert item.match is not None  # only matched items get here
    return Version(item.delivery.tenant_id, item.match.campaign_id, item.match.campaign_version)


def _visit(item: Item) -> visits.Key:
    assert item.match is not None  # as above
    return item.delivery.tenant_id, item.match.visit_id
