"""Mailbox: a provider for development that keeps messages and has no network.

An account with the credential `folder` appends each message as one JSON line to `messages.jsonl` there, which
any process can read; without it the messages stay in `kept`, in the memory of the process that sent them.
"""

import asyncio
import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx

from shared.providers.base import (
    Channel,
    Outcome,
    OutgoingMessage,
    ProviderAccount,
    ProviderEvent,
    SendOutcome,
)

name = "mailbox"
channels: frozenset[Channel] = frozenset({"email", "sms"})

FILE = "messages.jsonl"

kept: deque[OutgoingMessage] = deque(maxlen=1000)
"""The latest messages of accounts without a folder."""


async def send(
    client: httpx.AsyncClient, account: ProviderAccount, message: OutgoingMessage, timeout: timedelta
) -> SendOutcome:
    """Keep the message; always accepted, unless the folder cannot be written."""
    message_id = uuid4().hex
    folder = account.credentials.get("folder")
    if folder is None:
        kept.append(message)
        return SendOutcome(Outcome.ACCEPTED, message_id=message_id)
    line = json.dumps({"message_id": message_id, **asdict(message)}, default=str)
    try:
        await asyncio.to_thread(_append, Path(folder), line)
    except OSError as error:
        return SendOutcome(Outcome.SENDER_CLOSED, reason=f"the mailbox's folder: {error.strerror}")
    return SendOutcome(Outcome.ACCEPTED, message_id=message_id)


def _append(folder: Path, line: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def authenticate(headers: Mapping[str, str], body: bytes, url: str, keys: Sequence[str]) -> bool:
    """Never: a mailbox posts no webhooks."""
    return False


def check_shape(body: bytes) -> None:
    """Refuse every body."""
    raise ValueError("A mailbox posts no webhooks.")


def normalize(body: bytes, headers: Mapping[str, str], query: Mapping[str, str]) -> list[ProviderEvent]:
    """No events."""
    return []
