"""Whose jobs somebody asks for, as they typed it: a tenant, a sender, a campaign, and why sends failed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any
from uuid import UUID

from shared.errors import NotFound
from shared.jobs import SENDS, JobState
from shared.store import tenants, whose
from shared.store.database import AsyncConnection, Row
from shared.store.operating import Which

MOST_SENDERS = 50
LONGEST = 512
"""Characters of what is asked for: no id, address or name that is looked for is longer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed; tenants and senders by id or name. Only failed sends have a campaign and a reason."""

    tenant: str = ""
    sender: str = ""
    campaign: str = ""
    reason: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> "Asked":
        """From a query or a form. Raises NotFound: it is longer than anything there is."""
        asked = {each.name: given.get(each.name, "").strip() for each in fields(cls)}
        if any(len(text) > LONGEST for text in asked.values()):
            raise NotFound("There is nobody with such a name.")
        return cls(**asked)

    @property
    def typed(self) -> dict[str, str]:
        """The fields that say something."""
        return {name: text for name, text in asdict(self).items() if text}


@dataclass(frozen=True, slots=True)
class Whose:
    """Who is meant: `which` of the rows, whose `lane` of the queue in Redis ("" for all), `name` for people;
    `tenant` is the tenant's name.

    `senders`: among whom one has to be chosen, to see who waits in a line; where several are `alike`, to see
    anything.
    """

    which: Which = field(default_factory=Which)
    name: str = ""
    tenant: str = ""
    lane: str = ""
    senders: Sequence[Row[Any]] = ()
    alike: bool = False

    def is_to_choose(self, state: JobState) -> bool:
        """Whether a sender has to be chosen before a list of jobs in a state can be shown."""
        return bool(self.senders) and (self.alike or state is JobState.WAITING)


async def find(tx: AsyncConnection, queue: str, asked: Asked) -> Whose:
    """Who is meant. Raises NotFound, which says who is not there."""
    found = await tenants.called(tx, asked.tenant) if asked.tenant else None
    tenant_id = found.id if found is not None else None
    by_sender = asked.tenant or asked.sender
    senders = await whose.senders(tx, tenant_id, asked.sender or None, MOST_SENDERS) if by_sender else []
    which = Which(tenant_id, campaign_id=_campaign(asked.campaign), reason=asked.reason or None)
    name = found.name if found is not None else ""
    if len(senders) == 1:
        (one,) = senders
        which = Which(one.tenant_id, one.id, which.campaign_id, which.reason)
        lane = f"{one.tenant_id}/{one.channel}/{one.id}" if queue == SENDS.name else str(one.tenant_id)
        return Whose(which, f"{one.tenant}, {one.channel}: {one.address}", one.tenant, lane)
    lane = str(tenant_id) if tenant_id is not None else ""
    alike = bool(asked.sender)
    return Whose(which, name, name, lane, senders if alike or queue == SENDS.name else (), alike)


def _campaign(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise NotFound("A campaign is named by its id here: its page shows it.") from error
