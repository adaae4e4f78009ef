"""The simulator's own log: what arrived at the provider and what it told, whatever our tables say of it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request for one recipient, or a connection that was cut before one (then `api_key` is None).

    `at` is in seconds since the epoch. `taken`: the provider delivers it, whatever it answered.
    """

    at: float
    api_key: str | None
    recipient: str | None
    action: str | None
    node: str | None
    decision: str
    taken: bool


@dataclass(frozen=True, slots=True)
class Told:
    """An event in a post that a gateway answered 2xx; a copy under another event id is one more."""

    post: int
    message_id: str
    event: str
    timestamp: int

    @property
    def happening(self) -> tuple[str, str, int]:
        """What is the same in every copy."""
        return self.message_id, self.event, self.timestamp


@dataclass(frozen=True, slots=True)
class Witness:
    """All that the log says."""

    arrivals: list[Arrival]
    told: list[Told]


def read(lines: Iterable[str]) -> Witness:
    """The log; a last line that is not whole is left out, since it was being written."""
    written = [json.loads(line) for line in lines if line.endswith("}\n")]
    answered = {
        line["post"] for line in written if line["log"] == "post" and 200 <= (line["status"] or 0) < 300
    }
    return Witness(
        [_arrival(line) for line in written if line["log"] == "arrival"],
        [
            Told(line["post"], line["message_id"], line["event"], line["timestamp"])
            for line in written
            if line["log"] == "event" and line["post"] in answered
        ],
    )


def _arrival(line: Mapping[str, Any]) -> Arrival:
    return Arrival(
        line["time"],
        line["api_key"],
        line["recipient"],
        line["action"],
        line["node"],
        line["decision"],
        line["taken"],
    )
