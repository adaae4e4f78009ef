"""Bounds: no request's body takes for ever, nor more memory than allowed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from litestar.types import Receive, Scope

from services.gateway.problems import Refused
from shared.errors import StoreUnavailable


async def read_body(scope: Scope, receive: Receive, most: int, within: timedelta) -> bytes:
    """The body, byte for byte.

    Raises Refused: larger than `most` bytes (as soon as it is, or says so), too slow, or broken off.
    """
    if any(name == b"content-length" and int(value) > most for name, value in scope["headers"]):
        raise _too_large(most)
    try:
        async with asyncio.timeout(within.total_seconds()):
            return await _read(receive, most)
    except TimeoutError as error:
        raise Refused(408, "The body did not come in time.") from error


async def _read(receive: Receive, most: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "The body broke off.")
        chunks.append(message["body"])
        size += len(chunks[-1])
        if size > most:
            raise _too_large(most)
        if not message["more_body"]:
            return b"".join(chunks)


def _too_large(most: int) -> Refused:
    return Refused(413, f"The body is larger than {most} bytes: send less at once.")


@asynccontextmanager
async def in_time(within: timedelta) -> AsyncIterator[None]:
    """Give Postgres so long: past it, StoreUnavailable."""
    try:
        async with asyncio.timeout(within.total_seconds()):
            yield
    except TimeoutError as error:
        raise StoreUnavailable from error
