"""The admin pages for tests: the real application on a real port, and browsers of it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from argon2 import PasswordHasher
from pydantic import SecretStr

from services.admin.app import Admin, assemble
from services.admin.settings import AccountSettings, AdminSettings
from shared.child import free_port
from shared.settings import DatabaseSettings, PublicSettings, RedisSettings

SECRET = "a secret key of thirty-two letters"
OPERATOR, VIEWER = "olga", "victor"
PASSWORDS = {OPERATOR: "open sesame, please", VIEWER: "let me look, please"}


def hashed(password: str) -> str:
    """A hash that is made fast."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(password)


USERS = ",".join(
    f"{name}:{role}:{hashed(PASSWORDS[name])}" for name, role in ((OPERATOR, "operator"), (VIEWER, "viewer"))
)


def settings(database_url: str = "", valkey_url: str = "", **changes: Any) -> AdminSettings:
    """Settings for pages on a free port; a server that is not named is not there."""
    nobody = f"127.0.0.1:{free_port()}"
    url = database_url.replace("+asyncpg", "") or f"postgresql://nobody@{nobody}/none"
    return AdminSettings(
        **{
            "host": "127.0.0.1",
            "port": 0,
            "look_every": timedelta(milliseconds=50),
            "secure_cookies": False,
            "accounts": AccountSettings(users=SecretStr(USERS)),
            "database": DatabaseSettings(url=SecretStr(url)),
            "public": PublicSettings(secret_key=SecretStr(SECRET)),
            "redis": RedisSettings(url=SecretStr(valkey_url or f"redis://{nobody}/0")),
            **changes,
        }
    )


@dataclass
class Browser:
    """Somebody's browser: keeps cookies, follows no redirect by itself, and says where a form comes from."""

    client: httpx.AsyncClient

    @property
    def origin(self) -> str:
        return str(self.client.base_url).rstrip("/")

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    async def csrf(self, path: str) -> str:
        """The token in the page's form."""
        found = re.search(r'name="csrf" value="([^"]+)"', (await self.get(path)).text)
        assert found is not None
        return found[1]

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        headers = {"origin": self.origin, **headers}
        return await self.client.post(path, data=fields, headers=headers)

    async def log_in(self, name: str, password: str | None = None) -> httpx.Response:
        fields = {"csrf": await self.csrf("/login"), "name": name, "password": password or PASSWORDS[name]}
        return await self.post("/login", fields)


@dataclass(frozen=True)
class Running:
    """Pages that are served."""

    admin: Admin

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.admin.listener.port}"

    @asynccontextmanager
    async def browser(self, name: str | None = None) -> AsyncIterator[Browser]:
        """A browser, logged in as somebody if a name is given."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30, trust_env=False) as client:
            browser = Browser(client)
            if name is not None:
                assert (await browser.log_in(name)).status_code == 303
            yield browser


@asynccontextmanager
async def serving(chosen: AdminSettings) -> AsyncIterator[Running]:
    """Serve the pages for as long as the block."""
    admin = assemble(chosen)
    async with admin.running():
        yield Running(admin)
