"""The tenants of the demo: made as an operator and their own programs would, by the store and over HTTP."""

import asyncio
import base64
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from services.cli.demo.scenario import Scenario, Tenant
from services.cli.simulator.config import Account
from shared.store import api_keys, tenants
from shared.store.database import AsyncConnection, Database

_TIMEOUT = timedelta(seconds=30)
_AT_ONCE = 500
_PLENTY = {"hour": 1_000_000, "day": 10_000_000}  # the demo is about the minute


@dataclass(frozen=True)
class Founded:
    """A tenant that is ready to send: `token` is its key to our API, `account` what the simulator knows."""

    tenant: Tenant
    id: UUID
    token: str
    account: Account
    campaign_id: str


class Founder:
    """Makes tenants at a gateway; their provider is at `provider_url`."""

    def __init__(self, database: Database, public_url: str, provider_url: str) -> None:
        self._database = database
        self._public_url = public_url
        self._provider_url = provider_url

    async def found(self, scenario: Scenario) -> list[Founded]:
        """Make the scenario's tenants."""
        return [await self._tenant(tenant, scenario.graph) for tenant in scenario.tenants]

    async def enrol(self, founded: list[Founded]) -> None:
        """Bring every tenant's contacts in, and enrol them all."""
        await asyncio.gather(*(self._enrol(each) for each in founded))

    async def _tenant(self, tenant: Tenant, graph: dict[str, Any]) -> Founded:
        async def work(tx: AsyncConnection) -> tuple[UUID, str]:
            tenant_id = await tenants.create(tx, tenant.name, tenant.weight)
            return tenant_id, (await api_keys.create(tx, tenant_id, "demo")).token

        tenant_id, token = await self._database.run(work)
        async with self._client(token) as client:
            account, sender_id = await self._sender(client, tenant)
            campaign = await _post(
                client,
                "/campaigns",
                {"name": "spring", "kind": "marketing", "graph": graph, "emailSenderId": sender_id},
            )
            await _limit(client, tenant, sender_id)
        return Founded(tenant, tenant_id, token, account, campaign["id"])

    async def _sender(self, client: httpx.AsyncClient, tenant: Tenant) -> tuple[Account, str]:
        """An account with the provider, the endpoint it posts to, and an address to send from."""
        api_key, key = f"SG.{secrets.token_urlsafe(24)}", ec.generate_private_key(ec.SECP256R1())
        account = await _post(
            client,
            "/provider-accounts",
            {"provider": "sendgrid", "credentials": {"api_key": api_key}, "baseUrl": self._provider_url},
        )
        endpoint = await _post(client, "/webhook-endpoints", {"provider": "sendgrid", "key": _public(key)})
        sender = await _post(
            client,
            "/senders",
            {
                "providerAccountId": account["id"],
                "channel": "email",
                "address": f"news@{tenant.name}.example",
                "name": tenant.name.capitalize(),
            },
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return Account(api_key=api_key, url=endpoint["url"], private_key=private), sender["id"]

    async def _enrol(self, founded: Founded) -> None:
        async with self._client(founded.token) as client:
            for batch in _batches(founded.tenant.addresses):
                contacts = [
                    {"externalId": address, "email": address, "attributes": {"name": f"No. {number}"}}
                    for number, address in batch
                ]
                made = await _post(client, "/contacts", {"contacts": contacts})
                ids = [result["id"] for result in made["results"]]
                path = f"/campaigns/{founded.campaign_id}/enrollments"
                await _post(client, path, {"contactIds": ids})

    def _client(self, token: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=f"{self._public_url}/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT.total_seconds(),
            trust_env=False,
        )


async def _limit(client: httpx.AsyncClient, tenant: Tenant, sender_id: str) -> None:
    limits = {"/limits/email": {**_PLENTY, "minute": tenant.limit}}
    if tenant.sender_limit is not None:
        limits[f"/senders/{sender_id}/limits"] = {**_PLENTY, "minute": tenant.sender_limit}
    for path, wanted in limits.items():
        (await client.put(path, json=wanted)).raise_for_status()


async def _post(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(path, json=body, headers={"Idempotency-Key": secrets.token_hex(8)})
    answer.raise_for_status()
    return dict(answer.json())


def _batches(addresses: list[str]) -> Iterator[list[tuple[int, str]]]:
    numbered = list(zip(count(1), addresses, strict=False))
    for at in range(0, len(numbered), _AT_ONCE):
        yield numbered[at : at + _AT_ONCE]


def _public(key: ec.EllipticCurvePrivateKey) -> str:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()
