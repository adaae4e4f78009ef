"""Provider webhooks (design §8): authenticated, stored raw, acknowledged. What they mean is the worker's.

Tenant and keys come from the endpoint in the URL, never from the body. The answer waits for one durable
insert, which concurrent posts share, and never for Redis. It is plain ASGI: a framework around it costs a
fifth of a post's CPU.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from litestar.types import Receive, Send
from litestar.types.asgi_types import HTTPScope

from services.gateway import problems
from services.gateway.announcer import Announcer, Waiting
from services.gateway.bounds import in_time, read_body
from services.gateway.cache import Cache
from services.gateway.problems import Refused
from services.gateway.settings import GatewaySettings
from shared.coalesce import Coalescer
from shared.errors import NotFound, OutreachError, SignatureInvalid
from shared.metrics import Metrics
from shared.providers import PROVIDERS
from shared.sealing import Purpose, Sealer
from shared.store import deliveries, endpoints
from shared.store.database import Database
from shared.store.deliveries import Post, Receipt

log = structlog.get_logger()

PREFIX = "/webhooks/"
"""The path that all endpoints lie below."""

# What a worker may want to read again: signatures, timestamps, the media type. Not what proxies add.
_KEPT = ("content-type", "user-agent", "x-")
_NOT_KEPT = ("x-forwarded-", "x-real-", "x-request-id")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a post came to, and the keys it may be signed with."""

    id: UUID
    tenant_id: UUID
    provider: str
    keys: tuple[str, ...]


class Webhooks:
    """Takes posts in. `database` is a pool of its own, so that no slow API call stands in a webhook's way."""

    def __init__(
        self, settings: GatewaySettings, database: Database, announce: Announcer, metrics: Metrics
    ) -> None:
        self._database = database
        self._announce = announce
        self._posts = metrics.posts
        for provider in ("none", *PROVIDERS):  # or Prometheus would see no increase in the first of a kind
            for answer in ("stored", "again", *problems.WORDS):
                self._posts.labels(provider, answer)
        self._sealer = Sealer(settings.public.secret_key.get_secret_value(), Purpose.WEBHOOK_KEY)
        # The URL as the provider knows it: what a proxy or a client says of the host is not asked.
        self._public_url = settings.public.public_url.rstrip("/")
        self._most_bytes = settings.webhooks.max_bytes
        self._read_timeout = settings.read_timeout
        self._insert_timeout = settings.timeouts.insert_timeout
        self._endpoints: Cache[UUID, Endpoint] = Cache(self._find, settings.believe)
        self._store: Coalescer[Post, Receipt] = Coalescer(self._insert, lanes=settings.webhook_lanes)

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Answer a request below `/webhooks/`: 204 when the post is durable, or a problem."""
        provider = "none"
        try:
            endpoint = await self._endpoint(scope)
            provider = endpoint.provider
            receipt = await self._take(endpoint, scope, receive)
        except OutreachError as error:
            self._posts.labels(provider, problems.word(error)).inc()
            await problems.send(error, send)
        else:
            self._posts.labels(provider, "stored" if receipt.new else "again").inc()
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _take(self, endpoint: Endpoint, scope: HTTPScope, receive: Receive) -> Receipt:
        body = await read_body(scope, receive, self._most_bytes, self._read_timeout)
        post = self._checked(endpoint, scope, body)
        async with in_time(self._insert_timeout):
            receipt = await self._store(post)
        if receipt.g is not None:
            self._announce(Waiting(post.tenant_id, receipt.delivery_id, post.provider, receipt.g))
        return receipt

    async def _endpoint(self, scope: HTTPScope) -> Endpoint:
        try:
            endpoint = await self._endpoints.get(UUID(scope["path"].removeprefix(PREFIX)))
        except ValueError:
            endpoint = None
        if endpoint is None:
            raise NotFound("There is no such webhook endpoint.")
        if scope["method"] != "POST":
            raise Refused(405, "Webhooks are posted.")
        return endpoint

    def _checked(self, endpoint: Endpoint, scope: HTTPScope, body: bytes) -> Post:
        """The post, if its endpoint's provider made it."""
        provider = PROVIDERS[endpoint.provider]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        url = f"{self._public_url}{scope['raw_path'].decode('latin-1')}{'?' if query else ''}{query}"
        if not provider.authenticate(headers, body, url, endpoint.keys):
            raise SignatureInvalid
        try:
            provider.check_shape(body)
        except ValueError as error:
            raise Refused(400, str(error)) from error
        return Post(endpoint.tenant_id, endpoint.id, endpoint.provider, _kept(headers), query, body)

    async def _find(self, ids: Sequence[UUID]) -> Mapping[UUID, Endpoint]:
        async with in_time(self._insert_timeout):
            found = await self._database.run(lambda connection: endpoints.find(connection, ids))
        return {
            endpoint_id: Endpoint(row.id, row.tenant_id, row.provider, tuple(self._opened(row)))
            for endpoint_id, row in found.items()
        }

    def _opened(self, endpoint: endpoints.Endpoint) -> Iterator[str]:
        for sealed in endpoint.keys:
            key = self._sealer.open(sealed)
            if key is None:
                log.error("webhook_key.unreadable", endpoint_id=str(endpoint.id))
            else:
                yield key.decode()

    async def _insert(self, posts: Sequence[Post]) -> list[Receipt | Exception]:
        # A timeout may fire once grace and this have passed: a later commit would hide an open from it.
        async with in_time(self._insert_timeout):
            return [*await self._database.run(lambda connection: deliveries.accept(connection, posts))]


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name.startswith(_KEPT) and not name.startswith(_NOT_KEPT)
    }
