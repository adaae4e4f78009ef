import json
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from shared.providers import mailbox
from shared.providers.base import Outcome, OutgoingMessage, ProviderAccount, SendOutcome

MESSAGE = OutgoingMessage(
    action_id=UUID("018f6f2e-7c1a-7b60-9a51-3f3d0a6b1c01"),
    channel="email",
    sender_address="news@example.com",
    sender_name="News",
    recipient="ana@example.com",
    subject="Grüße",
    text="Hello\nAna",
    html=None,
    headers={"List-Unsubscribe": "<https://x.example>"},
    callback_url=None,
    custom_args={"k": "v"},
)


async def send(credentials: dict[str, str]) -> SendOutcome:
    async with httpx.AsyncClient(trust_env=False) as client:
        account = ProviderAccount("mailbox", credentials)
        return await mailbox.send(client, account, MESSAGE, timedelta(seconds=1))


async def test_a_message_becomes_one_line_of_the_folder_s_file(tmp_path: Path) -> None:
    outcomes = [await send({"folder": str(tmp_path / "new")}) for _ in range(2)]
    assert [outcome.kind for outcome in outcomes] == [Outcome.ACCEPTED] * 2
    lines = [json.loads(line) for line in (tmp_path / "new" / mailbox.FILE).read_text().splitlines()]
    assert lines == [
        {
            "message_id": outcome.message_id,
            "action_id": str(MESSAGE.action_id),
            "channel": "email",
            "sender_address": "news@example.com",
            "sender_name": "News",
            "recipient": "ana@example.com",
            "subject": "Grüße",
            "text": "Hello\nAna",
            "html": None,
            "headers": {"List-Unsubscribe": "<https://x.example>"},
            "callback_url": None,
            "custom_args": {"k": "v"},
        }
        for outcome in outcomes
    ]
    assert len({outcome.message_id for outcome in outcomes}) == 2


async def test_without_a_folder_a_message_stays_in_memory() -> None:
    mailbox.kept.clear()
    outcome = await send({})
    assert (outcome.kind, list(mailbox.kept)) == (Outcome.ACCEPTED, [MESSAGE])


async def test_a_folder_that_cannot_be_written_closes_the_sender(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    outcome = await send({"folder": str(tmp_path / "file")})
    assert outcome == SendOutcome(Outcome.SENDER_CLOSED, reason="the mailbox's folder: File exists")


def test_a_mailbox_has_no_webhooks() -> None:
    assert not mailbox.authenticate({}, b"", "", [""])
    assert mailbox.normalize(b"[]", {}, {}) == []
    with pytest.raises(ValueError, match="posts no webhooks"):
        mailbox.check_shape(b"[]")
