"""A gateway for tests: the real application on a real port; its queue is a list unless a test brings one."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import text

from services.gateway.app import Gateway, assemble
from services.gateway.settings import GatewaySettings
from shared.child import free_port
from shared.limits.limiter import RateLimiter
from shared.queue.types import NewJob
from shared.redis.client import connect
from shared.sealing import Purpose, Sealer
from shared.settings import DatabaseSettings, PublicSettings, RedisSettings, TimeoutSettings
from shared.store import api_keys, endpoints, tenants
from shared.store.database import Database

SECRET = "a secret key of thirty-two letters"
PUBLIC_URL = "https://outreach.example"


@dataclass(frozen=True)
class SigningKey:
    """What SendGrid signs with."""

    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def public(self) -> str:
        der = self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(der).decode()

    def headers(self, body: bytes, timestamp: str = "1764036000") -> dict[str, str]:
        signature = self.private.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
        return {
            "content-type": "application/json",
            "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
            "x-twilio-email-event-webhook-timestamp": timestamp,
        }


def twilio_signature(token: str, url: str, body: bytes) -> str:
    """What Twilio signs a form with: the URL, and the fields in order."""
    fields = sorted(httpx.QueryParams(body.decode()).multi_items())
    signed = url + "".join(name + value for name, value in fields)
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


@dataclass(frozen=True)
class Tenant:
    """A tenant with a key that may do everything."""

    id: UUID
    key_id: UUID
    token: str

    @property
    def auth(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}


@dataclass(frozen=True)
class Running:
    """A gateway that serves, a client of it, and what it told the queue."""

    gateway: Gateway
    client: httpx.AsyncClient
    database: Database
    told: asyncio.Queue[NewJob]

    async def announced(self, count: int) -> list[NewJob]:
        async with asyncio.timeout(10):
            return [await self.told.get() for _ in range(count)]

    async def tenant(self) -> Tenant:
        async with self.database.begin() as connection:
            tenant_id = await tenants.create(connection, f"tenant {uuid4()}")
            key = await api_keys.create(connection, tenant_id, "test")
        return Tenant(tenant_id, key.id, key.token)

    async def endpoint(self, tenant: Tenant, provider: str, key: str) -> UUID:
        return await self.endpoint_of(tenant.id, provider, key)

    async def endpoint_of(self, tenant_id: UUID, provider: str, key: str) -> UUID:
        sealed = Sealer(SECRET, Purpose.WEBHOOK_KEY).seal(key.encode())
        async with self.database.begin() as connection:
            return await endpoints.create(connection, tenant_id, provider, sealed)

    async def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        async with self.database.begin() as connection:
            return [tuple(row) for row in await connection.execute(text(query), values)]


def settings(database_url: str, **changes: Any) -> GatewaySettings:
    """Settings for a gateway on a free port that believes nothing for longer than a moment."""
    return GatewaySettings(
        **{
            "host": "127.0.0.1",
            "port": 0,
            "believe": timedelta(0),
            "development": True,
            "database": DatabaseSettings(url=database_url.replace("+asyncpg", "")),
            "public": PublicSettings(public_url=PUBLIC_URL, secret_key=SECRET),
            "redis": RedisSettings(url=f"redis://127.0.0.1:{free_port()}/0"),  # nobody is there
            "timeouts": TimeoutSettings(insert_timeout=timedelta(seconds=5)),
            **changes,
        }
    )


@asynccontextmanager
async def serving(
    chosen: GatewaySettings, enqueue: Callable[[Sequence[NewJob]], Awaitable[object]] | None = None
) -> AsyncIterator[Running]:
    """Run a gateway for as long as the block."""
    told: asyncio.Queue[NewJob] = asyncio.Queue()

    async def tell(jobs: Sequence[NewJob]) -> None:
        for job in jobs:
            told.put_nowait(job)

    redis = connect(chosen.redis, role="limits")
    gateway = assemble(chosen, enqueue or tell, RateLimiter(redis, prefix=chosen.redis.prefix))
    database = Database(chosen.database)
    try:
        async with gateway.running():
            url = f"http://127.0.0.1:{gateway.listener.port}"
            async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
                yield Running(gateway, client, database, told)
    finally:
        await database.close()
        await redis.aclose()


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for another process, or a loop, to get there; fail if it never does."""
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110  what holds is not ours to signal
            await asyncio.sleep(0.02)
