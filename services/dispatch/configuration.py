"""Configuration: what rows put in force, sent to the queues as it changes; which partitions are closed."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from services.dispatch import in_force
from services.dispatch.in_force import Configs, Sent
from shared.queue.queue import Queue
from shared.settings import DispatchSettings, LimitSettings
from shared.store import limit_rows
from shared.store.database import Database
from shared.store.due import Lane
from shared.store.limit_rows import InForce


@dataclass(frozen=True, slots=True)
class Place:
    """A partition of a queue."""

    queue: Queue
    partition: int

    def holds(self, tenant_id: UUID) -> bool:
        """Whether a tenant's jobs are here."""
        return self.queue.partition_of(str(tenant_id)) == self.partition


class Configuration:
    """Keeps the queues' configuration as the rows say; `closed` is told which partitions are."""

    def __init__(
        self,
        database: Database,
        queues: Sequence[Queue],
        lengths: LimitSettings,
        settings: DispatchSettings,
        ambiguous_limit: int,
        closed: Callable[[Place], None],
    ) -> None:
        self.places = [Place(queue, n) for queue in queues for n in range(queue.partitions)]
        self._database = database
        self._lengths = lengths
        self._settings = settings
        self._ambiguous_limit = ambiguous_limit
        self._closed = closed
        self._sent: dict[Place, Sent] = {}
        self._ahead: Mapping[Lane, int] = {}
        self._last = float("-inf")
        self._rows: InForce | None = None

    def ahead(self) -> Mapping[Lane, int]:
        """How many rows of a lane may be in Redis at once, where limits are overridden."""
        return self._ahead

    def current(self, within: timedelta) -> bool:
        """Whether every partition served, and had what is in force, so lately."""
        return time.monotonic() - self._last < within.total_seconds()

    async def refresh(self) -> None:
        """Send what changed since it was last sent; everything, the first time."""
        rows = await self.read()
        self._ahead = in_force.ahead(rows, self._lengths, self._settings)
        serving = [await self._refresh(place, rows) for place in self.places]
        if all(serving):
            self._last = time.monotonic()

    async def read(self) -> InForce:
        """What the rows say now."""
        rows = await self._database.run(lambda tx: limit_rows.read(tx, self._ambiguous_limit))
        self._rows = rows
        return rows

    async def known(self) -> InForce:
        """What the rows said when they were last read; they are read if they never were."""
        return self._rows if self._rows is not None else await self.read()

    def wanted(self, place: Place, rows: InForce) -> Configs:
        """What a partition must know."""
        return in_force.configs(rows, place.queue.name, self._lengths, place.holds)

    def seeded(self, place: Place, configs: Configs) -> None:
        """An opening put this in force."""
        self._sent[place] = configs

    async def send(self, place: Place, rows: InForce) -> None:
        """Put in force what the rows say and the partition does not know."""
        wanted, sent = self.wanted(place, rows), self._sent.get(place)
        if sent is None:
            # Another dispatcher's: what it put in force may have been lifted since, when nobody dispatched.
            sent = dict.fromkeys(await place.queue.configured(place.partition))
        changed = in_force.changes(sent, wanted)
        if not changed:
            return
        # In doubt until it arrived: it is sent again if it did not, whatever is wanted then.
        self._sent[place] = {**sent, **{config.subject: None for config in changed}}
        await place.queue.configure(place.partition, changed)
        self._sent[place] = wanted

    async def _refresh(self, place: Place, rows: InForce) -> bool:
        if not await place.queue.is_open(place.partition):
            self._sent.pop(place, None)
            self._closed(place)
            return False
        await self.send(place, rows)
        return True
