"""The HTTP client of a process that sends: one for all providers, for hundreds of calls at a time.

httpcore's pool looks at every pair of its connections for every request, so that one pool of 200 costs three
times the CPU of the calls themselves. Here many small pools share the work; a call goes to the least busy
one, the first of equals, so that a quiet process keeps few connections and uses them again.
"""

import os
import ssl
from collections.abc import AsyncIterator
from importlib.metadata import version
from operator import attrgetter

import httpx

_POOL_SIZE = 4
# Shorter than servers keep an idle connection: one that dies under a request leaves its outcome unknown.
_IDLE_SECONDS = 5.0


def open_client(connections: int) -> httpx.AsyncClient:
    """A client for about `connections` calls at a time; for more it opens more connections.

    No call waits for another: it would begin later than it was charged for. Whoever opens the client closes
    it. Nothing is taken from the environment: no proxy, no netrc, and the certificates are certifi's. Every
    call says which process made it: `outreach/<version> (<pid>)`.
    """
    pools = -(-connections // _POOL_SIZE)
    agent = f"outreach/{version('outreach')} ({os.getpid()})"
    return httpx.AsyncClient(transport=_Pools(pools), trust_env=False, headers={"User-Agent": agent})


class _Pools(httpx.AsyncBaseTransport):
    """Small pools; a call goes to the least busy one."""

    def __init__(self, count: int) -> None:
        self._context = httpx.create_ssl_context(trust_env=False)
        self._pools = [_Pool(self._context) for _ in range(count)]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        pool = min(self._pools, key=attrgetter("busy"))
        if pool.busy >= _POOL_SIZE:
            pool = _Pool(self._context)
            self._pools.append(pool)
        return await pool.handle_async_request(request)

    async def aclose(self) -> None:
        for pool in self._pools:
            await pool.aclose()


class _Pool(httpx.AsyncHTTPTransport):
    """One of httpx's own pools, which counts the calls it has from request to the response's end."""

    def __init__(self, context: ssl.SSLContext) -> None:
        limits = httpx.Limits(
            max_connections=_POOL_SIZE, max_keepalive_connections=_POOL_SIZE, keepalive_expiry=_IDLE_SECONDS
        )
        super().__init__(verify=context, trust_env=False, limits=limits)
        self.busy = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.busy += 1
        try:
            response = await super().handle_async_request(request)
        except BaseException:
            self.busy -= 1
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)  # it is an async transport's
        response.stream = _Counted(response.stream, self)
        return response


class _Counted(httpx.AsyncByteStream):
    """A response's stream; its end is the end of a call."""

    def __init__(self, stream: httpx.AsyncByteStream, pool: _Pool) -> None:
        self._stream = stream
        self._pool = pool

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk

    async def aclose(self) -> None:
        self._pool.busy -= 1
        await self._stream.aclose()
