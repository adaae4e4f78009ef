"""Taskiq's messages and the engine's jobs, one into the other."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from taskiq.labels import prepare_label
from taskiq.message import TaskiqMessage

from shared.broker.formatter import JobFormatter, parse
from shared.errors import InvalidJob, UnknownQueue, Unrecoverable
from shared.jobs import SendJob
from shared.queue.types import ClaimedJob, NewJob

TENANT, ACTION, CAMPAIGN, CONTACT, SENDER = (UUID(int=number) for number in range(1, 6))
SEND = SendJob(
    tenant_id=TENANT,
    scheduled_action_id=ACTION,
    campaign_id=CAMPAIGN,
    contact_id=CONTACT,
    node_id="first",
    channel="email",
    sender_id=SENDER,
)
FORMATTER = JobFormatter("tests:jobs")


def message(task_name: str = "tests:add", *args: Any, labels: dict[str, Any] | None = None, **kwargs: Any):
    prepared = {name: prepare_label(value) for name, value in (labels or {}).items()}
    return TaskiqMessage(
        task_id="id-1",
        task_name=task_name,
        labels={name: value for name, (value, _) in prepared.items()},
        labels_types={name: kind for name, (_, kind) in prepared.items()},
        args=list(args),
        kwargs=kwargs,
    )


def claimed(job: NewJob) -> ClaimedJob:
    return ClaimedJob(
        id=job.id,
        lane=job.lane,
        token="1-1",
        attempt=1,
        max_attempts=3,
        payload=job.payload,
        annotations=job.annotations,
        cost=job.cost,
        priority=job.priority or 0,
        enqueued_ms=0,
        claimed_ms=0,
        timeout_ms=0,
    )


def test_a_plain_task_travels_as_kind_taskiq_and_comes_back_whole() -> None:
    sent = message("tests:add", 1, "two", labels={"colour": "red", "n": 5, "on": True, "raw": b"x"}, c=[3])

    job = FORMATTER.dumps(sent).job
    back = FORMATTER.load(claimed(job), parse(job.payload))

    assert job.payload == (
        b'{"args":[1,"two"],"kind":"taskiq","kwargs":{"c":[3]},"taskName":"tests:add","tenantId":"","version":1}'
    )
    assert (job.id, job.lane, job.version) == ("id-1", "default", 1)
    assert (back.task_id, back.task_name, back.args, back.kwargs) == (
        "id-1",
        "tests:add",
        [1, "two"],
        {"c": [3]},
    )
    assert back.labels == {"colour": "red", "n": 5, "on": True, "raw": b"x"}


def test_a_typed_job_travels_as_its_schema_and_comes_back_as_its_model() -> None:
    job = FORMATTER.dumps(message("send", SEND.model_dump(mode="json"))).job

    back = FORMATTER.load(claimed(job), parse(job.payload))

    assert job == NewJob("id-1", f"{TENANT}/email/{SENDER}", SEND.wire())
    assert (back.task_name, back.args, back.kwargs, back.labels) == ("send", [SEND], {}, {})


def test_keyword_order_and_labels_make_no_other_payload() -> None:
    one = FORMATTER.dumps(message("tests:add", labels={"trace": "a"}, a=1, b=2)).job
    two = FORMATTER.dumps(message("tests:add", labels={"trace": "b"}, b=2, a=1)).job

    assert one.payload == two.payload
    assert one.annotations != two.annotations


def test_labels_say_where_a_job_stands_and_when_it_runs() -> None:
    at = datetime(2026, 11, 25, tzinfo=UTC)
    labels = {
        "tenant": "acme",
        "priority": 2,
        "delay": 1.5,
        "cost": 3,
        "timeout": 10,
        "expires_at": at.isoformat(),
        "max_attempts": 7,
    }

    job = FORMATTER.dumps(message("tests:add", labels=labels)).job

    assert (job.lane, job.tenant) == ("acme", "acme")
    assert (job.priority, job.cost, job.max_attempts) == (2, 3, 7)
    assert (job.delay, job.timeout) == (timedelta(seconds=1.5), timedelta(seconds=10))
    assert job.expires_at_ms == at.timestamp() * 1000


def test_a_lane_label_goes_before_the_tenant() -> None:
    assert FORMATTER.dumps(message(labels={"tenant": "acme", "lane": "acme/sms/1"})).job.lane == "acme/sms/1"


@pytest.mark.parametrize(
    "refused",
    [
        message("tests:add", float("nan")),
        message("tests:add", object()),
        message("tests:add", labels={"delay": "soon"}),
        message("tests:add", labels={"cost": "dear"}),
        message("tests:add", labels={"delay": float("inf")}),
        message("send", {"tenantId": "none"}),
        message("send"),
        message("send", SEND.model_dump(mode="json"), 2),
    ],
)
def test_what_cannot_travel_is_refused_by_name(refused: TaskiqMessage) -> None:
    with pytest.raises(InvalidJob):
        FORMATTER.dumps(refused)


def test_a_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(InvalidJob) as refusal:
        FORMATTER.dumps(message("send", {**SEND.model_dump(mode="json"), "contact_id": "ann@example.com"}))

    assert "contact_id" in str(refusal.value)
    assert "ann@example.com" not in str(refusal.value)


def test_a_queue_name_of_another_broker_is_refused() -> None:
    FORMATTER.dumps(message(labels={"queue_name": "tests:jobs"}))
    with pytest.raises(UnknownQueue):
        FORMATTER.dumps(message(labels={"queue_name": "other"}))


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b"{}", b'{"kind":"nonsense"}', SEND.wire()[:-2]])
def test_a_payload_nobody_understands_is_unrecoverable(payload: bytes) -> None:
    with pytest.raises(Unrecoverable):
        FORMATTER.loads(payload)
