"""The demo's SendGrid, over real HTTP: what it takes, how it goes wrong, what it tells and writes down."""

import asyncio
import itertools
import json
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient
from sendgrid.helpers.eventwebhook import EventWebhook
from sendgrid.helpers.mail import Content, CustomArg, Mail, MimeType

KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC_KEY = b64encode(
    KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
API_KEY, TOKEN = "SG.key", "let-me"
QUICK = {
    "reply_after_seconds": 0.05,
    "reply_within_seconds": 0.2,
    "wait_seconds": 0.6,
    "grace_seconds": 0.5,
    "batch_seconds": 0.05,
    "late_share": 0,
    "again_share": 0,
}
EVERYTHING_HAPPENED = QUICK["reply_within_seconds"] + 3 * QUICK["batch_seconds"]
"""So long after a message was taken its recipient has replied, though held webhooks do not show it."""


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    while not holds():  # noqa: ASYNC110 - a file has no event to wait for
        await asyncio.sleep(0.02)


@dataclass
class Receiver:
    """Who gets the webhooks: keeps every post, and answers with the statuses it is told, then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: web.BaseRequest) -> web.StreamResponse:
        self.posts.append((dict(request.headers), await request.read()))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for _, body in self.posts for event in json.loads(body)]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver.take))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks/1"
    yield receiver
    await runner.cleanup()


@dataclass
class Simulator:
    """A running simulator."""

    url: str
    control_url: str
    log: Path
    process: asyncio.subprocess.Process

    def lines(self, log: str) -> list[dict[str, Any]]:
        written = map(json.loads, self.log.read_text().splitlines())
        return [line for line in written if line["log"] == log]

    async def do(self, order: str, **options: Any) -> dict[str, Any]:
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=40) as client:
            answer = await client.post(f"{self.control_url}/control", json={"do": order, **options})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def held(self) -> dict[str, Any]:
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            while True:
                answer = (await client.get(f"{self.control_url}/control/held")).json()
                if answer["held"]:
                    return dict(answer)
                await asyncio.sleep(0.02)

    async def told(self, **count: int) -> None:
        """Wait until so many events of each type are in the log."""
        await until(lambda: Counter(count) <= Counter(line["event"] for line in self.lines("event")))

    async def settled(self) -> None:
        """Wait until everything that was to happen has been posted."""
        while (await self.do("stats"))["outstanding"]:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.1)


@asynccontextmanager
async def simulating(folder: Path, receiver: Receiver, **options: Any) -> AsyncIterator[Simulator]:
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    config = {
        "log": str(folder / "simulator.log"),
        "seed": 7,
        "control_token": TOKEN,
        "accounts": [{"api_key": API_KEY, "url": receiver.url, "private_key": pem}],
        "weights": {"open": 1},
        "timing": QUICK,
    }
    path = folder / "simulator.json"
    path.write_text(json.dumps(config | options))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.cli.simulator", str(path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    ready = json.loads(await process.stdout.readline())
    assert ready["pid"] == process.pid
    base = "http://127.0.0.1"
    try:
        yield Simulator(
            f"{base}:{ready['port']}", f"{base}:{ready['control_port']}", folder / "simulator.log", process
        )
    finally:
        process.terminate()
        assert await process.wait() == 0


def mail(recipient: str = "ana@example.com", node: str = "first", **changes: Any) -> dict[str, Any]:
    return {
        "personalizations": [{"to": [{"email": recipient}]}],
        "from": {"email": "news@example.com"},
        "subject": "Hello",
        "content": [{"type": "text/plain", "value": "Hello"}],
        "custom_args": {"outreach_action": f"{recipient}/{node}", "outreach_node": node},
    } | changes


class Cut(Exception):
    """The connection ended without an answer."""

    def __init__(self, *, written: bool) -> None:
        super().__init__()
        self.decision = "cut_after" if written else "cut_before"


async def send(simulator: Simulator, body: Any, key: str = API_KEY) -> httpx.Response:
    """Post on a connection of its own; a Cut says whether the request had been written."""
    steps = []

    async def trace(step: str, _: Any) -> None:
        steps.append(step)

    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=20) as client:
        try:
            return await client.post(f"{simulator.url}/v3/mail/send", json=body, extensions={"trace": trace})
        except httpx.TransportError as error:
            raise Cut(written="http11.send_request_body.complete" in steps) from error


def without_chance(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in ("time", "peer_port")}


async def test_the_official_clients_mail_is_taken_and_written_down(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with simulating(tmp_path, receiver) as simulator:
        message = Mail("news@example.com", "ana@example.com", "Hello", "Hello, Ana", "<p>Hello, Ana</p>")
        message.custom_arg = [CustomArg("outreach_action", "action-1"), CustomArg("outreach_node", "first")]
        client = SendGridAPIClient(API_KEY, host=simulator.url)
        answer = await asyncio.to_thread(client.send, message)
        (arrival,) = simulator.lines("arrival")
    assert (answer.status_code, answer.body) == (202, b"")
    assert without_chance(arrival) == {
        "log": "arrival",
        "api_key": API_KEY,
        "recipient": "ana@example.com",
        "action": "action-1",
        "node": "first",
        "decision": "202",
        "status": 202,
        "message_id": answer.headers["X-Message-Id"],
        "taken": True,
    }


async def test_a_stranger_is_told_401_as_the_official_client_reads_it(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with simulating(tmp_path, receiver) as simulator:
        message = Mail("news@example.com", "ana@example.com", "Hello", Content(MimeType.text, "Hello"))
        client = SendGridAPIClient("SG.other", host=simulator.url)
        with pytest.raises(HTTPError) as refusal:
            await asyncio.to_thread(client.send, message)
        (arrival,) = simulator.lines("arrival")
    assert refusal.value.status_code == 401
    assert (arrival["decision"], arrival["taken"], arrival["recipient"]) == ("401", False, None)


BAD_BODIES: list[tuple[Any, str | None]] = [
    ([], None),
    (mail(personalizations=[]), "personalizations"),
    (mail(personalizations=[{"to": []}]), "personalizations.0.to"),
    (mail(recipient="ana"), "personalizations.0.to.0.email"),
    (mail(**{"from": {}}), "from.email"),
    (mail(subject=""), "subject"),
    (mail(subject=None), None),
    (mail(content=None), None),
    (mail(content=[{"type": "text/plain", "value": ""}]), "content.0.value"),
    (mail(content=[{"type": "text/html", "value": "a"}, {"type": "text/plain", "value": "b"}]), None),
    (mail(custom_args={"n": 1}), "custom_args.n"),
    (mail(custom_args={"n": "x" * 10_000}), "custom_args"),
    (mail(headers={"Reply-To": "a@example.com"}), "headers"),
    (mail(categories=["c"] * 11), "categories"),
]


async def test_what_sendgrid_would_not_take_is_a_400_that_names_the_field(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with simulating(tmp_path, receiver) as simulator:
        answers = [await send(simulator, body) for body, _ in BAD_BODIES]
        arrivals = simulator.lines("arrival")
    refused = [(answer.status_code, answer.json()["errors"][0]["field"]) for answer in answers]
    assert refused == [(400, where) for _, where in BAD_BODIES]
    assert [(line["decision"], line["taken"], line["recipient"]) for line in arrivals] == [
        ("400", False, None)
    ] * len(BAD_BODIES)


async def test_a_recipient_set_to_be_refused_is_a_400_and_gets_nothing(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with simulating(tmp_path, receiver, recipients={"bad@example.com": "refused"}) as simulator:
        answer = await send(simulator, mail("bad@example.com"))
        stats = await simulator.do("finish")
        (arrival,) = simulator.lines("arrival")
    assert answer.json()["errors"][0]["message"] == "Does not contain a valid address."
    assert (arrival["decision"], arrival["recipient"], arrival["taken"]) == ("400", "bad@example.com", False)
    assert stats == {"arrivals": {"400": 1}, "posts": {}, "outstanding": 0}


async def test_webhooks_are_laid_out_and_signed_as_sendgrids_own_helper_verifies(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with simulating(tmp_path, receiver, recipients={"b@example.com": "bounce"}) as simulator:
        ana = (await send(simulator, mail("ana@example.com", categories=["welcome"]))).headers["X-Message-Id"]
        await send(simulator, mail("b@example.com"))
        await simulator.told(processed=2, delivered=1, open=1, bounce=1)
        await simulator.do("finish")
    helper = EventWebhook(PUBLIC_KEY)
    for headers, body in receiver.posts:
        signature = headers["X-Twilio-Email-Event-Webhook-Signature"]
        timestamp = headers["X-Twilio-Email-Event-Webhook-Timestamp"]
        assert helper.verify_signature(body.decode(), signature, timestamp)
        assert not helper.verify_signature(body.decode().rstrip(), signature, timestamp)
        assert body.count(b"},\r\n{") == len(json.loads(body)) - 1
    (opened,) = (event for event in receiver.events if event["event"] == "open")
    assert opened | {"timestamp": 0, "sg_event_id": ""} == {
        "email": "ana@example.com",
        "event": "open",
        "timestamp": 0,
        "sg_event_id": "",
        "sg_message_id": f"{ana}.recvd-simulator-1.0",
        "sg_machine_open": False,
        "sg_content_type": "html",
        "useragent": "Mozilla/5.0",
        "ip": "203.0.113.9",
        "category": ["welcome"],
        "outreach_action": "ana@example.com/first",
        "outreach_node": "first",
    }
    (bounced,) = (event for event in receiver.events if event["event"] == "bounce")
    assert (bounced["type"], bounced["status"]) == ("bounce", "5.1.1")


async def test_a_post_that_is_not_answered_2xx_comes_again_byte_for_byte(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.statuses = [503, 302]
    async with simulating(tmp_path, receiver, weights={"silent": 1}) as simulator:
        await simulator.do("hold_webhooks")
        await send(simulator, mail())
        await asyncio.sleep(EVERYTHING_HAPPENED)
        await simulator.do("release_webhooks")
        await simulator.settled()
        posts = simulator.lines("post")
    attempts = [(line["post"], line["attempt"], line["status"]) for line in posts if line["kind"] == "first"]
    assert attempts == [(1, 1, 503), (1, 2, 302), (1, 3, 200)]
    assert receiver.posts[0][1] == receiver.posts[1][1] == receiver.posts[2][1]


async def test_some_posts_come_again_under_new_ids_and_some_opens_in_the_grace(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with simulating(tmp_path, receiver) as simulator:
        for number in range(3):
            await send(simulator, mail(f"c{number}@example.com"))
        await until(lambda: any(line["kind"] == "late" for line in simulator.lines("post")))
        await simulator.do("finish")
        arrivals, events, posts = (simulator.lines(log) for log in ("arrival", "event", "post"))
    assert {line["status"] for line in posts} == {200}
    assert Counter(line["kind"] for line in posts)["again"] >= 1
    what = ("event", "timestamp", "message_id", "recipient")
    first, again, late = ([e for e in events if e["kind"] == kind] for kind in ("first", "again", "late"))
    assert {tuple(e[key] for key in what) for e in again} <= {tuple(e[key] for key in what) for e in first}
    assert len({e["sg_event_id"] for e in events}) == len(events)
    assert sorted(e["sg_event_id"] for e in events) == sorted(e["sg_event_id"] for e in receiver.events)
    # The first opener's open is the one that is late, though it happened in time.
    (open_,) = late
    taken_at = next(a["time"] for a in arrivals if a["message_id"] == open_["message_id"])
    assert open_["event"] == "open"
    assert open_["timestamp"] <= taken_at + QUICK["reply_within_seconds"]
    assert open_["time"] >= taken_at + QUICK["wait_seconds"]


async def test_each_fault_happens_and_the_log_says_what_the_sender_saw(
    tmp_path: Path, receiver: Receiver
) -> None:
    rates = {fault: {"at_least": 2} for fault in ("429", "cut_before", "5xx", "cut_after")}
    seen: Counter[str] = Counter()
    async with simulating(tmp_path, receiver, faults=rates, weights={"silent": 1}) as simulator:
        for number in itertools.count():
            try:
                answer = await send(simulator, mail(f"c{number}@example.com"))
            except Cut as cut:
                seen[cut.decision] += 1
            else:
                seen["5xx" if answer.status_code >= 500 else str(answer.status_code)] += 1
                if answer.status_code == 429:
                    assert int(answer.headers["X-RateLimit-Reset"]) > number
            if all(seen[fault] >= 2 for fault in rates):
                break
        stats = await simulator.do("stats")
        await simulator.do("finish")
        arrivals, events = simulator.lines("arrival"), simulator.lines("event")
    assert Counter(line["decision"] for line in arrivals) == seen == stats["arrivals"]
    assert {line["status"] for line in arrivals if line["decision"] == "5xx"} == {500}
    taken = Counter((line["decision"], line["taken"]) for line in arrivals)
    assert taken == {
        ("202", True): seen["202"],
        ("429", False): seen["429"],
        ("cut_before", False): seen["cut_before"],
        ("cut_after", True): seen["cut_after"],
        ("5xx", True): 1,
        ("5xx", False): 1,
    }
    told = {event["message_id"] for event in events}
    assert told <= {line["message_id"] for line in arrivals if line["taken"]}
    assert None not in told


async def _behaviours(folder: Path, receiver: Receiver, seed: int) -> dict[tuple[str, str], list[str]]:
    weights = {"open": 3, "click": 2, "bounce": 1, "complain": 1, "silent": 3}
    async with simulating(folder, receiver, weights=weights, seed=seed) as simulator:
        pairs = [(f"c{number}@example.com", node) for number in range(12) for node in ("first", "second")]
        await asyncio.gather(*(send(simulator, mail(*pair)) for pair in pairs))
        await simulator.settled()
        events = simulator.lines("event")
    return {
        pair: sorted({e["event"] for e in events if (e["recipient"], e["node"]) == pair}) for pair in pairs
    }


async def test_a_seed_decides_what_everybody_does_with_each_nodes_mail(
    tmp_path: Path, receiver: Receiver
) -> None:
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        folder.mkdir()
    one, two, three = await asyncio.gather(
        *(_behaviours(folder, receiver, seed) for folder, seed in zip(folders, (1, 1, 2), strict=True))
    )
    assert one == two != three
    assert set(map(tuple, one.values())) == {
        ("delivered", "open", "processed"),
        ("click", "delivered", "open", "processed"),
        ("bounce", "processed"),
        ("delivered", "processed", "spamreport"),
        ("delivered", "processed"),
    }


KILLED_SENDER = """
import sys, httpx
key = {"Authorization": "Bearer SG.key"}
httpx.post(sys.argv[1], content=sys.stdin.buffer.read(), headers=key, timeout=60)
"""


async def _killed_while_held(simulator: Simulator) -> dict[str, Any]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED_SENDER, f"{simulator.url}/v3/mail/send", stdin=asyncio.subprocess.PIPE
    )
    assert child.stdin is not None
    child.stdin.write(json.dumps(mail()).encode())
    child.stdin.close()
    held = await simulator.held()
    assert _owns(child.pid, held["peer_port"])
    child.kill()
    await child.wait()
    await simulator.do("release")
    return held


def _owns(pid: int, port: int) -> bool:
    """Whether a process holds the socket with this local port, by /proc."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    inodes = {row[9] for row in rows if row[1].endswith(f":{port:04X}")}
    return any(f"socket:[{inode}]" in map(_target, Path(f"/proc/{pid}/fd").iterdir()) for inode in inodes)


def _target(link: Path) -> str:
    return str(link.readlink())


@pytest.mark.parametrize("taken", [False, True])
async def test_a_held_request_names_its_sender_and_is_taken_only_as_ordered_when_that_dies(
    tmp_path: Path, receiver: Receiver, taken: bool
) -> None:
    async with simulating(tmp_path, receiver) as simulator:
        await simulator.do("hold_next", taken=taken)
        held = await _killed_while_held(simulator)
        await until(lambda: bool(simulator.lines("arrival")))
        arrivals = simulator.lines("arrival")
        again = await send(simulator, mail())
    assert held | {"peer_port": 0, "user_agent": ""} == {
        "held": True,
        "api_key": API_KEY,
        "action": "ana@example.com/first",
        "recipient": "ana@example.com",
        "peer_port": 0,
        "user_agent": "",
        "taken": taken,
    }
    assert held["user_agent"].startswith("python-httpx/")
    assert [(line["decision"], line["taken"]) for line in arrivals] == [("held", taken)]
    assert again.status_code == 202


async def test_a_held_request_whose_sender_waits_is_answered_at_the_release(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with simulating(tmp_path, receiver) as simulator:
        await simulator.do("hold_next")
        sending = asyncio.create_task(send(simulator, mail()))
        await simulator.held()
        with pytest.raises(AssertionError, match="release it first"):
            await simulator.do("hold_next")
        await simulator.do("release")
        answer = await sending
        (arrival,) = simulator.lines("arrival")
    assert (answer.status_code, arrival["decision"], arrival["taken"]) == (202, "202", True)
    assert arrival["message_id"] == answer.headers["X-Message-Id"]


async def test_held_webhooks_leave_together_and_finish_leaves_nothing_outstanding(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with simulating(tmp_path, receiver, weights={"silent": 1}) as simulator:
        await simulator.do("hold_webhooks")
        for number in range(5):
            await send(simulator, mail(f"c{number}@example.com"))
        stats = await simulator.do("stats")
        assert (stats["outstanding"], receiver.posts) == (10, [])
        await asyncio.sleep(EVERYTHING_HAPPENED)
        await simulator.do("release_webhooks")
        await simulator.settled()
        stats = await simulator.do("finish")
    assert stats["outstanding"] == 0
    assert len(json.loads(receiver.posts[0][1])) == 10


async def test_control_is_closed_to_whoever_lacks_the_token(tmp_path: Path, receiver: Receiver) -> None:
    async with simulating(tmp_path, receiver) as simulator, httpx.AsyncClient() as client:
        asked = await client.get(f"{simulator.control_url}/control/held")
        told = await client.post(f"{simulator.control_url}/control", json={"do": "finish"})
        unknown = await client.post(
            f"{simulator.control_url}/control",
            json={"do": "dance"},
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
    assert (asked.status_code, told.status_code, unknown.status_code) == (401, 401, 422)
