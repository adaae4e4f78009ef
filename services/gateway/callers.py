"""Callers of /v1: who sends a request, by its bearer key, and what the key is good for."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from litestar.enums import ScopeType
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from services.gateway.bounds import in_time
from services.gateway.cache import Cache
from shared.store import api_keys
from shared.store.api_keys import StoredKey
from shared.store.database import Database

SCOPE = "scope"
"""The route option that names the scope a key needs; without it, read for GET and write for the rest."""

ANYBODY = "anybody"
"""The route option that lets everybody in."""

_WITHIN = timedelta(seconds=5)


class Authenticate(ASGIMiddleware):
    """Lets a request pass with the `StoredKey` it came with as its `user`.

    A key is believed for seconds, so a revocation is seen within as many.
    """

    scopes = (ScopeType.HTTP,)
    exclude_opt_key = ANYBODY

    def __init__(self, database: Database, believe: timedelta) -> None:
        self._database = database
        self._keys: Cache[str, StoredKey] = Cache(self._find, believe)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Find the key, compare it, and look at its scopes."""
        key = await self._key_of(_bearer(scope))
        if _needed(scope) not in key.scopes:
            raise PermissionDeniedException(f"This needs a key with the scope {_needed(scope)!r}.")
        scope["user"] = key
        await next_app(scope, receive, send)

    async def _key_of(self, token: str) -> StoredKey:
        prefix = api_keys.prefix_of(token)
        if prefix is None:
            raise NotAuthorizedException
        key = await self._keys.get(prefix)
        if key is None or not key.opens(token):
            raise NotAuthorizedException
        return key

    async def _find(self, prefixes: Sequence[str]) -> Mapping[str, StoredKey]:
        async with in_time(_WITHIN):
            return await self._database.run(lambda connection: api_keys.find(connection, prefixes))


def _bearer(scope: Scope) -> str:
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    scheme, _, token = b"".join(values[:1]).decode("latin-1").partition(" ")
    if scheme.lower() != "bearer":
        raise NotAuthorizedException
    return token.strip()


def _needed(scope: Scope) -> str:
    wanted = scope["route_handler"].opt.get(SCOPE)
    if wanted is not None:
        return str(wanted)
    return api_keys.Scope.READ if scope.get("method") == "GET" else api_keys.Scope.WRITE
