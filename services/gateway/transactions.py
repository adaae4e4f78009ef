"""One request, one transaction: what a refused request wrote is rolled back.

A POST may carry an `Idempotency-Key`. Its answer is kept for 24 hours in the transaction that did its work,
so it is there exactly if the work is: the same key with the same request gets the kept answer, with another
request 422, while the first one still runs 409. A refusal is not kept, since it changed nothing.
"""

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any

from litestar import Request
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPReceiveMessage, Message, Receive, Scope, Send

from services.gateway.bounds import read_body
from services.gateway.problems import Refused
from shared.store import idempotency_keys
from shared.store.api_keys import StoredKey
from shared.store.database import AsyncConnection, Database
from shared.store.idempotency_keys import KeptAnswer

WITHOUT_TRANSACTION = "without_transaction"
"""The route option of a page that needs no database."""

MOST_KEY = 255
"""Characters of an Idempotency-Key."""
_REPLAYED = (b"idempotency-replayed", b"true")
# JSON can spell U+0000, and no text column of Postgres can hold it.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class _Recorder:
    """Takes an answer instead of the client, until it is known whether it stands."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self.body += message["body"]

    async def play(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})

    @classmethod
    def of(cls, kept: KeptAnswer) -> "_Recorder":
        answer = cls()
        answer.status, answer.body = kept.status, kept.body
        answer.headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(kept.body)).encode()),
            _REPLAYED,
        ]
        return answer


class _RolledBack(Exception):
    """Carries the answer of a refused request out of its transaction."""

    def __init__(self, answer: _Recorder) -> None:
        self.answer = answer


class Transaction(ASGIMiddleware):
    """Runs what is below it in a transaction, which handlers find as `connection`."""

    scopes = (ScopeType.HTTP,)
    exclude_opt_key = WITHOUT_TRANSACTION

    def __init__(self, database: Database, most_bytes: int, read_timeout: timedelta) -> None:
        self._database = database
        self._most_bytes = most_bytes
        self._read_timeout = read_timeout

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Read the body first, so that no transaction waits for a slow client; answer after the commit."""
        request: Request[StoredKey, Any, Any] = Request(scope, receive, send)
        body = await read_body(scope, receive, self._most_bytes, self._read_timeout)
        if _NUL.search(body):
            raise Refused(400, "The body spells U+0000, which no text may hold.")

        async def work(connection: AsyncConnection) -> _Recorder:
            scope["state"]["connection"] = connection
            answer = _Recorder()
            await next_app(scope, _once_more(body), answer.send)
            if answer.status >= 400:
                raise _RolledBack(answer)
            return answer

        once = "idempotency-key" in request.headers and request.method == "POST" and scope.get("user")
        try:
            answer = await self._database.run(_once(request, body, work) if once else work)
        except _RolledBack as refused:
            answer = refused.answer
        await answer.play(send)


def _once_more(body: bytes) -> Receive:
    """Gives a body that was read to whoever reads it next."""

    async def receive() -> HTTPReceiveMessage:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


Work = Callable[[AsyncConnection], Awaitable[_Recorder]]


def _once(request: Request[StoredKey, Any, Any], body: bytes, work: Work) -> Work:
    key = request.headers["idempotency-key"]
    if not key or len(key) > MOST_KEY:
        raise Refused(400, f"An Idempotency-Key has 1 to {MOST_KEY} characters.", "Idempotency-Key")
    tenant_id = request.user.tenant_id
    # From the request's own line: a URL with the Host that the client claims may not even parse.
    query: bytes = request.scope["query_string"]
    asked = sha256(f"{request.method} {request.scope['path']}?".encode() + query + b"\n" + body).digest()

    async def once(connection: AsyncConnection) -> _Recorder:
        if not await idempotency_keys.hold(connection, tenant_id, key):
            raise Refused(409, "The first request with this Idempotency-Key still runs: ask again later.")
        kept = await idempotency_keys.find(connection, tenant_id, key)
        if kept is None:
            answer = await work(connection)
            await idempotency_keys.keep(
                connection, tenant_id, key, KeptAnswer(asked, answer.status, answer.body)
            )
            return answer
        if kept.request_hash != asked:
            raise Refused(422, "This Idempotency-Key belongs to another request.", "Idempotency-Key")
        return _Recorder.of(kept)

    return once
