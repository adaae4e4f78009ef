"""The graph of a campaign, as its author writes it: nodes, and the edges a contact leaves them by.

    {"start": "hello", "nodes": {
        "hello": {"type": "send", "channel": "email", "subject": "…", "text": "…", "edges": [
            {"on": "click", "to": "done"},
            {"on": "no_open", "after": "P2D", "to": "again"},
            {"on": "else", "after": "P3D", "to": "done"}]},
        "again": …, "done": {"type": "exit"}}}

Durations are ISO 8601 or seconds. `parse` refuses what cannot run; `compiled` says where an event leads.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from shared.errors import InvalidGraph
from shared.providers.base import Channel

LONGEST = timedelta(days=366)
"""No wait is longer: a typing error should not hold a contact for ever."""

EdgeName = Literal[
    "processed",
    "deferred",
    "delivered",
    "open",
    "click",
    "bounce",
    "dropped",
    "spam_report",
    "unsubscribe",
    "sent",
    "undelivered",
    "opt_out",
    "no_open",
    "no_click",
    "failed",
    "else",
]

TIMED: frozenset[str] = frozenset({"no_open", "no_click"})
"""Edges taken when something has *not* happened for a while after acceptance."""

_BOTH = {"delivered", "failed", "else"}
EDGES: Mapping[Channel, frozenset[str]] = {
    "email": frozenset(
        _BOTH
        | TIMED
        | {"processed", "deferred", "open", "click", "bounce", "dropped", "spam_report", "unsubscribe"}
    ),
    "sms": frozenset(_BOTH | {"sent", "undelivered", "opt_out"}),
}
"""What can happen to a send of each channel."""

NodeId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Duration = Annotated[timedelta, Field(ge=timedelta(0), le=LONGEST)]
Template = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        ser_json_timedelta="iso8601",
    )


class Edge(_Part):
    """A way out of a node.

    `after` counts from acceptance; without one, `else` is taken at acceptance. Machine opens and scanner
    clicks count for this edge only where `include_automated` says so.
    """

    on: EdgeName
    to: NodeId
    after: Duration | None = None
    include_automated: bool = False

    @model_validator(mode="after")
    def _timed_or_not(self) -> "Edge":
        if self.on in TIMED and not self.after:
            raise ValueError(f"A {self.on} edge needs `after`, a duration above zero.")
        if self.on not in TIMED and self.on != "else" and self.after is not None:
            raise ValueError(f"A {self.on} edge is taken when it happens and has no `after`.")
        return self

    @property
    def delay(self) -> timedelta:
        """How long after acceptance a timed edge is taken."""
        return self.after or timedelta(0)


class SendNode(_Part):
    """One message. Without `sender` the campaign's sender of the channel sends it."""

    type: Literal["send"] = "send"
    channel: Channel
    sender: UUID | None = None
    subject: Template | None = None
    text: Template
    html: Template | None = None
    edges: tuple[Edge, ...]


class WaitNode(_Part):
    """A pause; its one edge is `else`."""

    type: Literal["wait"] = "wait"
    duration: Annotated[timedelta, Field(gt=timedelta(0), le=LONGEST)]
    edges: tuple[Edge, ...]


class ExitNode(_Part):
    """The end; its id is the name of the exit."""

    type: Literal["exit"] = "exit"

    @property
    def edges(self) -> tuple[Edge, ...]:
        """None."""
        return ()


Node = Annotated[SendNode | WaitNode | ExitNode, Field(discriminator="type")]


class Graph(_Part):
    """Nodes by id, and the one that contacts enter by."""

    start: NodeId
    nodes: Annotated[dict[NodeId, Node], Field(max_length=500)]

    def dump(self) -> dict[str, Any]:
        """The JSON that `Graph.model_validate` reads again."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=False, exclude_none=True)


def shaped(data: object) -> Graph:
    """The graph that JSON describes, its parts well-formed; raises InvalidGraph for the first that is not."""
    try:
        return Graph.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidGraph(pointer(*_location(first["loc"])), _sentence(first["msg"])) from None


def _location(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Where in the JSON: pydantic adds the node's type after its id, and a mark after a key that is no id."""
    if location[:1] == ("nodes",) and len(location) > 2:
        rest = location[3:] if location[2] in ("send", "wait", "exit", "[key]") else location[2:]
        return (*location[:2], *rest)
    return location


def _sentence(message: str) -> str:
    plain = message.removeprefix("Value error, ")
    return plain if plain.endswith(".") else f"{plain}."


def pointer(*parts: int | str) -> str:
    """The JSON pointer (RFC 6901) to a part of the graph; the whole is the empty string."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)
