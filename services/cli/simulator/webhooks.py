"""Posts events as SendGrid does: batched, signed, again until they are answered 2xx."""

import asyncio
import base64
import heapq
import itertools
import json
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.cli.simulator.config import Account, Config
from services.cli.simulator.journal import Journal
from services.cli.simulator.recipients import Event, Kind

MAX_EVENTS = 200
BACKOFF_SECONDS, BACKOFF_CAP_SECONDS = 0.5, 10.0
TIMEOUT = httpx.Timeout(10, pool=None)
LIMITS = httpx.Limits(max_connections=8)


@dataclass(frozen=True, slots=True)
class Post:
    """One body for one account, the same at every attempt; each event goes with its id."""

    number: int
    account: Account
    kind: Kind
    events: list[tuple[str, Event]]

    def body(self) -> bytes:
        """The events as SendGrid lays them out: joined by a comma and CRLF, with a CRLF at the end."""
        objects = (
            json.dumps({**event.fields, "sg_event_id": event_id}, separators=(",", ":"), ensure_ascii=False)
            for event_id, event in self.events
        )
        return "[{}]\r\n".format(",\r\n".join(objects)).encode()

    def lines(self) -> list[dict[str, Any]]:
        """The log's line of each event."""
        return [
            {
                "log": "event",
                "post": self.number,
                "kind": self.kind,
                "event": event.fields["event"],
                "timestamp": event.fields["timestamp"],
                "sg_event_id": event_id,
                "message_id": event.message_id,
                "recipient": event.message.recipient,
                "action": event.message.action,
                "node": event.message.node,
            }
            for event_id, event in self.events
        ]


class Outbox:
    """Events that have yet to be posted, and the posts under way."""

    def __init__(self, config: Config, journal: Journal) -> None:
        self._timing = config.timing
        self._journal = journal
        self._random = Random(config.seed)
        self._keys = {account.api_key: _signing_key(account.private_key) for account in config.accounts}
        self._events: list[tuple[float, int, Event]] = []
        self._order = itertools.count()
        self._numbers = itertools.count(1)
        self._under_way = 0
        self._some_went_again = False
        self._finishing = False
        self._nothing_left = asyncio.Event()
        self._may_post = asyncio.Event()
        self._may_post.set()
        self.posts: Counter[str] = Counter()
        """Posts answered 2xx by kind, and `failed` attempts."""

    def add(self, events: list[Event]) -> None:
        """Take events to post at their time."""
        for event in events:
            heapq.heappush(self._events, (event.posts_at, next(self._order), event))

    def hold(self) -> None:
        """Post nothing new until `release`; what is under way goes on."""
        self._may_post.clear()

    def release(self) -> None:
        """Post what was held, at once."""
        self._may_post.set()

    @property
    def outstanding(self) -> int:
        """How many events wait for their time and how many posts are under way, together."""
        return len(self._events) + self._under_way

    async def finish(self, seconds: float) -> None:
        """From now on nothing happens; post what has happened, for so long at most."""
        self._finishing = True
        self.release()
        self._nothing_left.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._nothing_left.wait(), seconds)

    async def run(self) -> None:
        """Post for ever, batch by batch."""
        # Webhooks go where the configuration says, whatever proxy the environment names.
        async with (
            httpx.AsyncClient(timeout=TIMEOUT, limits=LIMITS, trust_env=False) as client,
            asyncio.TaskGroup() as tasks,
        ):
            while True:
                await asyncio.sleep(self._timing.batch_seconds)
                await self._may_post.wait()
                for post in self._batches():
                    self._under_way += 1
                    tasks.create_task(self._deliver(client, post))
                if not self.outstanding:
                    self._nothing_left.set()

    def _batches(self) -> Iterator[Post]:
        groups: defaultdict[tuple[str, Kind], list[Event]] = defaultdict(list)
        for event in self._due(time.time()):
            groups[event.account.api_key, event.kind].append(event)
        for (_, kind), events in groups.items():
            self._random.shuffle(events)
            for start in range(0, len(events), MAX_EVENTS):
                batch = [(secrets.token_urlsafe(16), event) for event in events[start : start + MAX_EVENTS]]
                yield Post(next(self._numbers), events[0].account, kind, batch)

    def _due(self, now: float) -> Iterator[Event]:
        if self._finishing:
            happened = [event for _, _, event in self._events if event.happens_at <= now]
            self._events.clear()
            yield from happened
        while self._events and self._events[0][0] <= now:
            yield heapq.heappop(self._events)[2]

    async def _deliver(self, client: httpx.AsyncClient, post: Post) -> None:
        self._journal.write(*post.lines())
        body = post.body()
        headers = sign(self._keys[post.account.api_key], body)
        for attempt in itertools.count(1):
            status = await _attempt(client, post.account.url, body, headers)
            self._journal.write(_post_line(post, attempt, status))
            if status is not None and 200 <= status < 300:
                break
            self.posts["failed"] += 1
            await asyncio.sleep(min(BACKOFF_CAP_SECONDS, BACKOFF_SECONDS * 2 ** (attempt - 1)))
        self.posts[post.kind] += 1
        if post.kind is Kind.FIRST and self._goes_again():
            posts_at = time.time() + self._random.uniform(1, 6) * self._timing.batch_seconds
            self.add([replace(event, kind=Kind.AGAIN, posts_at=posts_at) for _, event in post.events])
        self._under_way -= 1

    def _goes_again(self) -> bool:
        again = self._random.random() < self._timing.again_share or not self._some_went_again
        self._some_went_again = True
        return again


def sign(key: ec.EllipticCurvePrivateKey, body: bytes) -> dict[str, str]:
    """The headers of a signed webhook: ECDSA with SHA-256 over timestamp and body, DER in base64."""
    timestamp = str(int(time.time()))
    signature = key.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
    return {
        "Content-Type": "application/json",
        "User-Agent": "SendGrid Event API",
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
    }


def _signing_key(pem: str) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(pem.encode(), password=None)
    if not (isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)):
        raise ValueError("SendGrid signs with ECDSA keys on P-256: give one as PEM.")
    return key


async def _attempt(client: httpx.AsyncClient, url: str, body: bytes, headers: dict[str, str]) -> int | None:
    try:
        response = await client.post(url, content=body, headers=headers)
    except httpx.TransportError:
        return None
    return response.status_code


def _post_line(post: Post, attempt: int, status: int | None) -> dict[str, Any]:
    return {
        "log": "post",
        "post": post.number,
        "api_key": post.account.api_key,
        "kind": post.kind,
        "attempt": attempt,
        "status": status,
        "events": len(post.events),
    }
