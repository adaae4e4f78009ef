"""What the demo plays: three tenants, their campaigns and limits, and how fast everything goes.

Real waits are days; here they are seconds, and so are the leases, graces and windows around them. All of it
is settings: the services are the ones that run in production.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from typing import Any

from services.cli.simulator.config import Behaviour, Fault, FaultRate, Timing
from shared.settings import LimitSettings

SENDS_PER_CONTACT = 1.9
"""How many messages a contact of the campaign below gets, on average."""

GRAPH: Mapping[str, Any] = {
    "start": "hello",
    "nodes": {
        "hello": {"open": "breath", "no_open": "reminder"},
        "reminder": {"open": "offer", "no_open": "no_open"},
        "offer": {"click": "clicked", "no_click": "opened"},
    },
}
"""Where each of the three messages leads; a bounce and a failure lead out from each."""

BEHAVIOURS: Mapping[Behaviour, float] = {
    Behaviour.OPEN: 0.4,
    Behaviour.CLICK: 0.25,
    Behaviour.SILENT: 0.25,
    Behaviour.BOUNCE: 0.04,
    Behaviour.COMPLAIN: 0.03,
    Behaviour.REFUSED: 0.03,
}

# Each way out is taken by at least one contact of each tenant, whatever the draw.
SETTLED = (Behaviour.OPEN, Behaviour.CLICK, Behaviour.SILENT, Behaviour.BOUNCE, Behaviour.REFUSED)

FAULTS: Mapping[Fault, FaultRate] = {
    Fault.RATE_LIMITED: FaultRate(rate=0.003, at_least=2),
    Fault.SERVER_ERROR: FaultRate(rate=0.008, at_least=2),
    Fault.CUT_BEFORE: FaultRate(rate=0.008, at_least=2),
    Fault.CUT_AFTER: FaultRate(rate=0.008, at_least=2),
}


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take.

    `wait` is the campaigns' days; `window` the limits' minute. A provider's answer comes within
    `provider_timeout`, which is shorter than `lease`.
    """

    wait: timedelta = timedelta(seconds=3)
    grace: timedelta = timedelta(seconds=2)
    insert_timeout: timedelta = timedelta(seconds=2)
    window: timedelta = timedelta(seconds=10)
    lease: timedelta = timedelta(seconds=6)
    provider_timeout: timedelta = timedelta(seconds=4)
    unknown_window: timedelta = timedelta(seconds=10)

    @property
    def timing(self) -> Timing:
        """The recipients' pace: in-time answers are posted well before the wait is over."""
        batch = 0.3
        return Timing(
            reply_after_seconds=0.1,
            reply_within_seconds=self.wait.total_seconds() - 2 * batch - 0.2,
            wait_seconds=self.wait.total_seconds(),
            grace_seconds=self.grace.total_seconds(),
            batch_seconds=batch,
        )


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant to be: its weight, its contacts, and the most messages in a window.

    `sender_limit` None: its sender has the tenant's own.
    """

    name: str
    weight: int
    contacts: int
    limit: int
    sender_limit: int | None = None

    @property
    def addresses(self) -> list[str]:
        """Its contacts' addresses."""
        return [f"{number}@{self.name}.example" for number in range(1, self.contacts + 1)]


@dataclass(frozen=True, slots=True)
class Scenario:
    """The whole play for so many contacts. `commands` start a service otherwise than by its module."""

    contacts: int
    pace: Pace = field(default_factory=Pace)
    seed: int = 7
    send_workers: int = 2
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def tenants(self) -> tuple[Tenant, ...]:
        """Three, of different weights and limits; one's sender is held shorter than the tenant itself."""
        share, rest = divmod(self.contacts, 3)
        usual = self._usual_limit(share)
        return (
            Tenant("acme", 3, share + rest, ceil(usual * 1.2)),
            Tenant("globex", 2, share, usual * 2, sender_limit=usual),
            Tenant("initech", 1, share, ceil(usual * 0.8)),
        )

    def _usual_limit(self, contacts: int) -> int:
        """Messages a window, so that the limits bind all along and the run still ends in minutes."""
        sending = timedelta(seconds=24) + self.contacts * timedelta(seconds=0.06)
        return max(4, ceil(SENDS_PER_CONTACT * contacts * (self.pace.window / sending)))

    @property
    def settled(self) -> Mapping[str, Behaviour]:
        """Recipients whose behaviour is no matter of chance."""
        return {
            address: behaviour
            for tenant in self.tenants
            for address, behaviour in zip(tenant.addresses, SETTLED, strict=False)
        }

    @property
    def flush_waiting(self) -> int:
        """How many jobs are to wait when Redis is flushed: 50, or fewer where there are not so many."""
        return min(50, self.contacts // 4)

    @property
    def deadline(self) -> timedelta:
        """After so long the run is judged as it stands."""
        return timedelta(minutes=3) + self.contacts * timedelta(seconds=0.3)

    @property
    def windows(self) -> LimitSettings:
        """The windows in force: a minute is as long as the pace says."""
        return LimitSettings(minute=self.pace.window)

    @property
    def graph(self) -> dict[str, Any]:
        """The campaign, as its author would post it."""
        return {"start": GRAPH["start"], "nodes": dict(self._nodes())}

    def _nodes(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, edges in GRAPH["nodes"].items():
            yield name, _message(name, edges, self.pace.wait)
        pause = {"on": "else", "to": "offer"}
        yield "breath", {"type": "wait", "duration": 1, "edges": [pause]}
        for name in ("opened", "no_open", "clicked", "bounced", "failed"):
            yield name, {"type": "exit"}

    @property
    def settings(self) -> Mapping[str, str]:
        """What every service is told by its environment, beside where the servers are."""
        pace = self.pace
        durations = {
            "QUEUE_LEASE": pace.lease,
            "QUEUE_RENEW": pace.lease / 3,
            "QUEUE_REAP_EVERY": timedelta(seconds=0.5),
            "LIMIT_MINUTE": pace.window,
            "LIMIT_REFRESH": timedelta(seconds=0.5),
            "SEND_PROVIDER_TIMEOUT": pace.provider_timeout,
            "SEND_BACKOFF": timedelta(seconds=0.5),
            "SEND_UNKNOWN_WINDOW": pace.unknown_window,
            "SEND_AMBIGUOUS_PAUSE": timedelta(seconds=2),
            "TIMEOUT_GRACE": pace.grace,
            "TIMEOUT_INSERT_TIMEOUT": pace.insert_timeout,
            "TIMEOUT_RECHECK": timedelta(seconds=0.5),
            "WEBHOOK_PARK_FOR": timedelta(seconds=2),
            "DISPATCH_POLL": timedelta(seconds=0.3),
            "DISPATCH_SWEEP_EVERY": timedelta(seconds=1),
            "DISPATCH_ENQUEUED_STALE": timedelta(seconds=8),
            "DISPATCH_RECEIVED_STALE": timedelta(seconds=3),
        }
        spelled = {name: f"PT{value.total_seconds()}S" for name, value in durations.items()}
        return {**spelled, **self.overrides}


def _message(name: str, edges: Mapping[str, str], wait: timedelta) -> dict[str, Any]:
    ways = {**edges, "bounce": "bounced", "failed": "failed"}
    timed = {"no_open", "no_click"}
    return {
        "type": "send",
        "channel": "email",
        "subject": f"{name.capitalize()}, {{{{ contact.attributes.name }}}}",
        "text": "Good day, {{ contact.attributes.name }}. No more of this: {{ unsubscribe_url }}",
        "html": "<p>Good day, <a href='https://example.com/'>{{ contact.attributes.name }}</a>.</p>",
        "edges": [
            {"on": on, "to": to, **({"after": wait.total_seconds()} if on in timed else {})}
            for on, to in ways.items()
        ],
    }
