"""Openings: how a partition that lost its Redis, or never had one, comes to serve (design §2).

Each step is committed before the next. A second flush, or another dispatcher, supersedes an opening: it
starts over under a higher epoch.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog

from services.dispatch.configuration import Configuration, Place
from services.dispatch.in_force import Configs, epoch_ms
from shared.errors import OpeningSuperseded
from shared.jobs import SENDS, job_id
from shared.limits.config import subject_of
from shared.queue.types import Charge, Slot
from shared.store import openings as store
from shared.store import queue_rows
from shared.store.database import AsyncConnection, Database
from shared.store.limit_rows import Scope

log = structlog.get_logger()

_AT_ONCE = 1000
_TENANTS_AT_ONCE = 200


class Openings:
    """Opens the partitions it was told of, one after the other.

    `lengths` are those of the windows, and `submission` is how long after its `submitting` a send surely
    ended. `claim` makes sure that the Redis prefix is still ours; `opened` is told when a partition serves
    again.
    """

    def __init__(
        self,
        database: Database,
        configuration: Configuration,
        lengths: Sequence[timedelta],
        submission: timedelta,
        claim: Callable[[], Awaitable[None]],
        opened: Callable[[], None],
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._lengths = lengths
        self._submission = submission
        self._claim = claim
        self._opened = opened
        self._closed: dict[Place, None] = {}

    def ask(self, place: Place) -> None:
        """Let a closed partition be opened."""
        self._closed[place] = None

    async def step(self) -> bool:
        """Open the next partition; whether others wait."""
        place = next(iter(self._closed), None)
        if place is None:
            return False
        # To the end of the line: one that cannot be opened now keeps no other from serving.
        self._closed[place] = self._closed.pop(place)
        try:
            await self.open(place)
        except OpeningSuperseded:
            log.warning("opening.superseded", queue=place.queue.name, partition=place.partition)
        else:
            self._closed.pop(place, None)
        return bool(self._closed)

    async def open(self, place: Place) -> None:
        """Open a partition, unless it serves already or another dispatcher opens it now.

        Raises OpeningSuperseded: Redis was lost once more, or another opening holds the partition.
        """
        async with self._database.begin() as held:
            if not await queue_rows.hold_opening(held, place.queue.name, place.partition):
                return
            if await place.queue.is_open(place.partition):
                return
            await self._open(place)

    async def _open(self, place: Place) -> None:
        queue, partition = place.queue, place.partition
        epoch = await self._database.run(lambda tx: queue_rows.next_epoch(tx, queue.name, partition))
        log.info("opening.began", queue=queue.name, partition=partition, epoch=epoch)
        await self._claim()
        await queue.begin_opening(partition, epoch)
        await self._put_back(place)
        configs = self._configuration.wanted(place, await self._configuration.read())
        await queue.seed_configs(partition, epoch, list(configs.values()))
        if queue.name == SENDS.name:
            for tenants in await self._tenants(place):
                await self._seed_charges(place, epoch, tenants)
                await self._seed_slots(place, epoch, tenants, configs)
        await queue.open(partition, epoch)
        self._configuration.seeded(place, configs)
        await self._configuration.send(place, await self._configuration.read())
        await self._database.run(lambda tx: queue_rows.opened(tx, queue.name, partition, epoch))
        log.info("opening.ended", queue=queue.name, partition=partition, epoch=epoch)
        self._opened()

    async def _put_back(self, place: Place) -> None:
        """What was on its way goes back, so that nobody who claimed it before can still submit it."""
        name = place.queue.name
        before = await self._database.run(store.clock)
        tenants = await self._database.run(lambda tx: store.on_their_way(tx, name))
        mine = [tenant for tenant in tenants if place.holds(tenant)]

        async def some(tx: AsyncConnection) -> bool:
            return await store.put_back(tx, name, mine, before, _AT_ONCE)

        more = bool(mine)
        while more:
            more = await self._database.run(some)

    async def _tenants(self, place: Place) -> list[list[UUID]]:
        """The tenants that live here, some at a time."""
        mine = list(filter(place.holds, await self._database.run(store.every_tenant)))
        return [mine[at : at + _TENANTS_AT_ONCE] for at in range(0, len(mine), _TENANTS_AT_ONCE)]

    async def _seed_charges(self, place: Place, epoch: int, tenants: Sequence[UUID]) -> None:
        """Every window holds again what was charged within it, to the tenant's channel and to the sender."""
        now = await self._database.run(store.clock)
        for span in store.spans(now, max(self._lengths)):
            rows = await self._database.run(
                partial(store.charges, lengths=self._lengths, tenants=tenants, span=span)
            )
            charges = [
                Charge(subject_of(Scope(row.tenant_id, row.channel, sender)), row.charged_ms, row.cost)
                for row in rows
                for sender in (None, row.sender_id)
            ]
            await place.queue.seed_charges(place.partition, epoch, charges)

    async def _seed_slots(self, place: Place, epoch: int, tenants: Sequence[UUID], configs: Configs) -> None:
        """What is with a provider counts under the caps there are, until it surely ended."""
        capped = {subject for subject, config in configs.items() if config.cap is not None}
        if not capped:
            return
        rows = await self._database.run(lambda tx: store.submitting(tx, tenants))
        slots = [
            Slot(subject, job_id("send", row.id, row.g), epoch_ms(row.status_at + self._submission))
            for row in rows
            for sender in (None, row.sender_id)
            if (subject := subject_of(Scope(row.tenant_id, row.channel, sender))) in capped
        ]
        await place.queue.seed_slots(place.partition, epoch, slots)
