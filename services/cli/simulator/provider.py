"""SendGrid's mail-send endpoint: takes messages, or goes wrong as the faults say."""

import itertools
import math
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from services.cli.simulator.config import Account, Behaviour, Config, Fault
from services.cli.simulator.faults import Faults
from services.cli.simulator.hold import Held, Hold
from services.cli.simulator.journal import Journal
from services.cli.simulator.mail import MailRefused, Message, parse
from services.cli.simulator.recipients import Recipients
from services.cli.simulator.webhooks import Outbox


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a request; `status` is None where no answer is given."""

    name: str
    status: int | None
    taken: bool


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that SendGrid would take."""

    request: web.BaseRequest
    account: Account
    messages: list[Message]


ACCEPTED = Decision("202", 202, taken=True)
REFUSED = Decision("400", 400, taken=False)
UNKNOWN_KEY = Decision("401", 401, taken=False)
RATE_LIMITED = Decision(Fault.RATE_LIMITED, 429, taken=False)
CUT_BEFORE = Decision(Fault.CUT_BEFORE, None, taken=False)
CUT_AFTER = Decision(Fault.CUT_AFTER, None, taken=True)
HELD = Decision("held", None, taken=False)
HELD_TAKEN = Decision("held", None, taken=True)
SERVER_ERRORS = [
    Decision(Fault.SERVER_ERROR, status, taken) for status in (500, 502) for taken in (True, False)
]
BAD_ADDRESS = "Does not contain a valid address."
BAD_KEY = "The provided authorization grant is invalid, expired, or revoked"


class Provider:
    """Handles the requests of aiohttp's low-level server."""

    def __init__(self, config: Config, journal: Journal, outbox: Outbox, hold: Hold) -> None:
        self._accounts = {f"Bearer {account.api_key}": account for account in config.accounts}
        self._reset_after = config.timing.rate_limit_seconds
        self._journal = journal
        self._outbox = outbox
        self._hold = hold
        self._recipients = Recipients(config)
        self._faults = Faults(config)
        self._server_errors: Iterator[Decision] = itertools.cycle(SERVER_ERRORS)
        self.arrivals: Counter[str] = Counter()
        """Lines of the log by decision."""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, or close its connection."""
        if (request.method, request.path) != ("POST", "/v3/mail/send"):
            return _errors(404, "not found")
        account = self._accounts.get(request.headers.get("Authorization", ""))
        if account is None:
            self._write(UNKNOWN_KEY, _line(UNKNOWN_KEY, _peer_port(request)))
            return _errors(401, BAD_KEY)
        try:
            messages = parse(await request.read())
        except MailRefused as error:
            self._write(REFUSED, _line(REFUSED, _peer_port(request), account))
            return _errors(400, str(error), error.field)
        arrival = Arrival(request, account, messages)
        takes_first = self._hold.claim()
        if takes_first is None:
            return self._settle(arrival, self._decide(messages))
        return await self._keep(arrival, takes_first=takes_first)

    @property
    def owes_cut(self) -> bool:
        """Whether the next connection that has said nothing is to be cut."""
        return self._faults.owed_cuts > 0

    def cut(self, peer_port: int) -> None:
        """A connection was cut as owed."""
        self._faults.owed_cuts -= 1
        self._write(CUT_BEFORE, _line(CUT_BEFORE, peer_port))

    def _decide(self, messages: list[Message]) -> Decision:
        match self._faults.choose(messages[0]):
            case Fault.RATE_LIMITED:
                return RATE_LIMITED
            case Fault.SERVER_ERROR:
                return next(self._server_errors)
            case Fault.CUT_AFTER:
                return CUT_AFTER
        if any(self._recipients.behaviour(message) is Behaviour.REFUSED for message in messages):
            return REFUSED
        return ACCEPTED

    async def _keep(self, arrival: Arrival, *, takes_first: bool) -> web.StreamResponse:
        request, first = arrival.request, arrival.messages[0]
        message_id = self._record(arrival, HELD_TAKEN) if takes_first else None
        await self._hold.keep(
            Held(
                api_key=arrival.account.api_key,
                action=first.action,
                recipient=first.recipient,
                peer_port=_peer_port(request),
                user_agent=request.headers.get("User-Agent"),
                taken=takes_first,
            )
        )
        if message_id is not None:
            return self._answer(ACCEPTED, message_id)
        gone = request.transport is None or request.transport.is_closing()
        return self._settle(arrival, HELD if gone else ACCEPTED)

    def _settle(self, arrival: Arrival, decision: Decision) -> web.StreamResponse:
        message_id = self._record(arrival, decision)
        if decision is CUT_AFTER and arrival.request.transport is not None:
            arrival.request.transport.close()
        return self._answer(decision, message_id)

    def _record(self, arrival: Arrival, decision: Decision) -> str | None:
        message_id = secrets.token_urlsafe(16) if decision.taken else None
        port = _peer_port(arrival.request)
        self._write(
            decision, *(_line(decision, port, arrival.account, each, message_id) for each in arrival.messages)
        )
        if message_id is not None:
            for message in arrival.messages:
                self._outbox.add(self._recipients.replies(arrival.account, message, message_id, time.time()))
        return message_id

    def _write(self, decision: Decision, *lines: dict[str, Any]) -> None:
        self.arrivals[decision.name] += len(lines)
        self._journal.write(*lines)

    def _answer(self, decision: Decision, message_id: str | None) -> web.StreamResponse:
        match decision.status:
            case 429:
                response = _errors(429, "too many requests")
                reset = math.ceil(time.time() + self._reset_after)
                response.headers["X-RateLimit-Limit"] = "600"
                response.headers["X-RateLimit-Remaining"] = "0"
                response.headers["X-RateLimit-Reset"] = str(reset)
            case 400:
                response = _errors(400, BAD_ADDRESS, "personalizations.0.to.0.email")
            case 500 | 502:
                response = _errors(decision.status, "unexpected error")
            case _:
                response = web.Response(status=202, headers={"X-Message-Id": message_id or ""})
        if self.owes_cut:
            # The cut needs a connection on which nothing was written yet.
            response.force_close()
        return response


def _peer_port(request: web.BaseRequest) -> int:
    transport = request.transport
    return int(transport.get_extra_info("peername")[1]) if transport is not None else 0


def _line(
    decision: Decision,
    peer_port: int,
    account: Account | None = None,
    message: Message | None = None,
    message_id: str | None = None,
) -> dict[str, Any]:
    return {
        "log": "arrival",
        "api_key": account.api_key if account else None,
        "recipient": message.recipient if message else None,
        "action": message.action if message else None,
        "node": message.node if message else None,
        "decision": decision.name,
        "status": decision.status,
        "message_id": message_id,
        "taken": decision.taken,
        "peer_port": peer_port,
    }


def _errors(status: int, message: str, field: str | None = None) -> web.Response:
    return web.json_response({"errors": [{"message": message, "field": field, "help": None}]}, status=status)
