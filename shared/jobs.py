"""Job and result schemas, queues and states. No I/O: every room may import this one.

Names are Python's in code and camelCase on the wire, so producers in other languages can use the JSON
schemas that `schemas()` publishes.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

ENVELOPE_VERSION = 1
"""The newest envelope version this release understands; a newer job is left for a newer worker."""

MAX_PAYLOAD_BYTES = 1024 * 1024
"""A larger body belongs in a row, with its id in the job."""


class JobState(StrEnum):
    """Where a job is; each id is in exactly one state."""

    DELAYED = "delayed"
    WAITING = "waiting"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A queue's defaults, as design §4 lists them; settings override them per process."""

    name: str
    concurrency: int
    priority: int
    attempts: int = 3
    backoff: timedelta = timedelta(seconds=2)
    backoff_cap: timedelta = timedelta(minutes=5)
    lease: timedelta = timedelta(seconds=30)
    renew: timedelta = timedelta(seconds=10)
    job_timeout: timedelta = timedelta(seconds=25)
    max_stalls: int = 1
    keep_completed: int = 100
    keep_failed: int = 50
    keep_for: timedelta = timedelta(days=1)
    remember_for: timedelta = timedelta(days=1)


WEBHOOKS = QueueSpec("webhook:process", concurrency=10, priority=0)
SENDS = QueueSpec("outreach:send", concurrency=3, priority=1)
TIMEOUTS = QueueSpec("outreach:timeout", concurrency=2, priority=2)
QUEUES = {spec.name: spec for spec in (WEBHOOKS, SENDS, TIMEOUTS)}


class Envelope(BaseModel):
    """What every job carries."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore", ser_json_bytes="base64"
    )

    version: int = ENVELOPE_VERSION
    tenant_id: UUID

    @property
    def lane(self) -> str:
        """The line the job stands in: its tenant's."""
        return str(self.tenant_id)

    def wire(self) -> bytes:
        """The canonical JSON: fields in order of definition, no space, absent where not set."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


class WebhookJob(Envelope):
    """A stored webhook body to process; `payload` is accepted and ignored, since the row is the truth."""

    kind: Literal["webhook"] = "webhook"
    webhook_delivery_id: UUID
    provider: str
    payload: Any = None


class SendJob(Envelope):
    """A scheduled send whose time has come."""

    kind: Literal["send"] = "send"
    scheduled_action_id: UUID
    campaign_id: UUID
    contact_id: UUID
    node_id: str
    channel: Literal["email", "sms"]
    sender_id: UUID

    @property
    def lane(self) -> str:
        """The line of one sender of a tenant on a channel."""
        return f"{self.tenant_id}/{self.channel}/{self.sender_id}"


class TimeoutJob(Envelope):
    """A wait that ended: `no_open` and `no_click` after a send, `elapsed` for a wait node or an else edge."""

    kind: Literal["timeout"] = "timeout"
    campaign_id: UUID
    contact_id: UUID
    node_id: str
    event_type: Literal["no_open", "no_click", "elapsed"]
    scheduled_at: datetime
    visit_id: UUID
    scheduled_action_id: UUID


class TaskiqJob(BaseModel):
    """A plain Taskiq task; it has no row and is only as durable as Redis."""

    # NaN must be refused by `wire`, not travel as null.
    model_config = {**Envelope.model_config, "ser_json_inf_nan": "constants"}

    version: int = ENVELOPE_VERSION
    kind: Literal["taskiq"] = "taskiq"
    tenant_id: str = ""
    task_name: str
    positional: list[Any] = Field(default=[], alias="args")
    keyword: dict[str, Any] = Field(default={}, alias="kwargs")

    @property
    def lane(self) -> str:
        """The line of the tenant that was named, or of those that name none."""
        return self.tenant_id or "default"

    def wire(self) -> bytes:
        """The canonical JSON: keys sorted, no space; ValueError for what JSON has not, as NaN."""
        value = self.model_dump(mode="json", by_alias=True)
        return json.dumps(
            value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
        ).encode()


Job = Annotated[WebhookJob | SendJob | TimeoutJob | TaskiqJob, Field(discriminator="kind")]
JOB: TypeAdapter[WebhookJob | SendJob | TimeoutJob | TaskiqJob] = TypeAdapter(Job)


class Result(BaseModel):
    """What every result carries."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    success: bool


class WebhookResult(Result):
    """How many new events a delivery held and how many visits they moved."""

    events_processed: int
    transitions_triggered: int


class SendResult(Result):
    """What became of a send."""

    message_id: str | None = None
    provider_id: str | None = None
    error: str | None = None


class TimeoutResult(Result):
    """How many synthetic events a timeout made and how many visits they moved."""

    events_created: int
    transitions_triggered: int


def job_id(kind: str, row_id: UUID, generation: int) -> str:
    """The id of the job that points at a row: `send:<actionId>:<g>`."""
    return f"{kind}:{row_id}:{generation}"


def parse_job_id(value: str) -> tuple[str, UUID, int]:
    """Kind, row id and generation of a job id made by `job_id`; ValueError for any other string."""
    kind, row_id, generation = value.split(":")
    return kind, UUID(row_id), int(generation)


def schemas() -> dict[str, dict[str, Any]]:
    """The published JSON schemas of jobs and results, by name."""
    models = (WebhookJob, SendJob, TimeoutJob, TaskiqJob, WebhookResult, SendResult, TimeoutResult)
    return {model.__name__: model.model_json_schema(by_alias=True) for model in models}
