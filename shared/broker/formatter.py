"""Taskiq's messages and our envelope, one into the other.

A typed job travels as its own schema: the task named `send` takes one `SendJob`. Any other task travels as
kind `taskiq`. What says where a job stands and when it runs (tenant, priority, delay …) is a label to Taskiq
and a field of `NewJob` to the engine; every label travels beside the payload, so none makes two payloads
differ.
"""

import json
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, ValidationError
from taskiq.abc.formatter import TaskiqFormatter
from taskiq.message import BrokerMessage, TaskiqMessage

from shared.errors import InvalidJob, UnknownQueue, Unrecoverable
from shared.jobs import JOB, SendJob, TaskiqJob, TimeoutJob, WebhookJob
from shared.queue.types import ClaimedJob, NewJob

Body = SendJob | TimeoutJob | WebhookJob | TaskiqJob

TYPED: dict[str, type[SendJob | TimeoutJob | WebhookJob]] = {
    "webhook": WebhookJob,
    "send": SendJob,
    "timeout": TimeoutJob,
}
"""The tasks that take one job of a published schema, by name."""


class JobLabels(BaseModel):
    """The labels that speak to the engine; `delay` and `timeout` are seconds, a lane goes before a tenant."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    tenant: str = ""
    lane: str = ""
    priority: int | None = None
    delay: timedelta = timedelta(0)
    cost: int = 1
    timeout: timedelta | None = None
    expires_at: datetime | None = None
    max_attempts: int | None = None
    queue_name: str | None = None


class JobMessage(BrokerMessage):
    """A message as Taskiq hands it to a broker, with the job it stands for."""

    job: NewJob


class JobFormatter(TaskiqFormatter):
    """Forms the messages of one queue."""

    def __init__(self, queue_name: str) -> None:
        self._queue_name = queue_name

    def dumps(self, message: TaskiqMessage) -> JobMessage:
        """The message's job.

        Raises InvalidJob for arguments that are no JSON, or not the job the task takes, and for labels that
        make no sense; UnknownQueue for a `queue_name` that is not this broker's.
        """
        labels = _labels(message)
        if labels.queue_name not in (None, self._queue_name):
            raise UnknownQueue(f"This broker feeds {self._queue_name}, not {labels.queue_name}.")
        try:
            body = _body(message, labels)
            payload = body.wire()
        except ValueError as error:
            raise InvalidJob(f"The arguments of {message.task_name} cannot travel: {_why(error)}") from error
        job = NewJob(
            message.task_id,
            labels.lane or body.lane,
            payload,
            _annotations(message),
            priority=labels.priority,
            cost=labels.cost,
            delay=labels.delay,
            expires_at_ms=int(labels.expires_at.timestamp() * 1000) if labels.expires_at else None,
            timeout=labels.timeout,
            max_attempts=labels.max_attempts,
            version=body.version,
        )
        return JobMessage(
            task_id=message.task_id,
            task_name=message.task_name,
            message=payload,
            labels=message.labels,
            job=job,
        )

    def loads(self, message: bytes) -> TaskiqMessage:
        """The message of a payload; its id and labels travel beside it, so they are missing here.

        Raises Unrecoverable when nobody understands the payload.
        """
        return _message(parse(message), "", b"")

    def load(self, job: ClaimedJob, body: Body) -> TaskiqMessage:
        """The whole message of a claimed job, whose payload was parsed to `body`."""
        return _message(body, job.id, job.annotations)


def parse(payload: bytes) -> Body:
    """The job that a payload holds; raises Unrecoverable when nobody understands it."""
    try:
        return JOB.validate_json(payload)
    except ValidationError as error:
        raise Unrecoverable(f"The payload does not parse: {_why(error)}") from error


def _body(message: TaskiqMessage, labels: JobLabels) -> Body:
    schema = TYPED.get(message.task_name)
    if schema is None:
        return TaskiqJob(
            tenant_id=labels.tenant,
            task_name=message.task_name,
            args=message.args,
            kwargs=message.kwargs,
        )
    values = [*message.args, *message.kwargs.values()]
    if len(values) != 1:
        raise ValueError(f"it takes one {schema.__name__}")
    return schema.model_validate(values[0])


def _labels(message: TaskiqMessage) -> JobLabels:
    parsed = message.model_copy(update={"labels": dict(message.labels)})
    try:
        parsed.parse_labels()
        return JobLabels.model_validate(parsed.labels)
    except ValueError as error:
        raise InvalidJob(f"A label of {message.task_name} makes no sense: {_why(error)}") from error


def _annotations(message: TaskiqMessage) -> bytes:
    if not message.labels:
        return b""
    return json.dumps([message.labels, message.labels_types], separators=(",", ":"), default=str).encode()


def _message(body: Body, task_id: str, annotations: bytes) -> TaskiqMessage:
    if isinstance(body, TaskiqJob):
        task_name, args, kwargs = body.task_name, body.positional, body.keyword
    else:
        task_name, args, kwargs = body.kind, [body], {}
    labels, types = json.loads(annotations) if annotations else ({}, None)
    message = TaskiqMessage(
        task_id=task_id, task_name=task_name, labels=labels, labels_types=types, args=args, kwargs=kwargs
    )
    message.parse_labels()
    return message


def _why(error: ValueError) -> str:
    """Where and why, without the value, which may be an address."""
    if not isinstance(error, ValidationError):
        return str(error)
    detail = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, detail['loc'])) or 'body'}: {detail['msg']}"
