"""The client that all sends of a process share, on real sockets."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

import httpx
import pytest

from shared.providers.client import open_client


class Counter:
    """A server that counts connections and holds answers back until told."""

    def __init__(self) -> None:
        self.url = ""
        self.connections = 0
        self.head = b""
        self.waiting = 0
        self.most_waiting = 0
        self.go = asyncio.Event()
        self.arrived = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.head = head
                await self._hold()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def _hold(self) -> None:
        async with self.arrived:
            self.waiting += 1
            self.most_waiting = max(self.most_waiting, self.waiting)
            self.arrived.notify_all()
        await self.go.wait()
        async with self.arrived:
            self.waiting -= 1
            self.arrived.notify_all()

    async def until(self, waiting: int) -> None:
        async with asyncio.timeout(10), self.arrived:
            await self.arrived.wait_for(lambda: self.waiting == waiting)


@asynccontextmanager
async def counting() -> AsyncIterator[Counter]:
    counter = Counter()
    server = await asyncio.start_server(counter.serve, "127.0.0.1", 0)
    async with server:
        counter.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        yield counter


async def test_a_call_says_which_process_made_it() -> None:
    async with counting() as server, open_client(1) as client:
        server.go.set()
        await client.get(server.url)
    agent = f"user-agent: outreach/{version('outreach')} ({os.getpid()})"
    assert agent.encode() in server.head.lower().splitlines()


async def test_calls_one_after_the_other_use_one_connection() -> None:
    async with counting() as server, open_client(50) as client:
        server.go.set()
        answers = [(await client.get(server.url)).text for _ in range(20)]
    assert (answers, server.connections) == (["ok"] * 20, 1)


async def test_all_calls_run_at_once_also_more_than_the_client_was_opened_for() -> None:
    async with counting() as server, open_client(3) as client:
        calls = [asyncio.create_task(client.get(server.url, timeout=None)) for _ in range(30)]
        await server.until(30)
        server.go.set()
        answers = [(await call).text for call in calls]
    assert (answers, server.most_waiting, server.connections) == (["ok"] * 30, 30, 30)


async def fail(server: Counter, client: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.ConnectError):
        await client.get("http://127.0.0.1:1/")


async def cancel(server: Counter, client: httpx.AsyncClient) -> None:
    server.go.clear()
    call = asyncio.create_task(client.get(server.url, timeout=None))
    await server.until(1)
    call.cancel()
    await asyncio.wait([call])
    server.go.set()
    await server.until(0)


@pytest.mark.parametrize("end", [fail, cancel])
async def test_calls_without_an_answer_leave_their_places_to_others(
    end: Callable[[Counter, httpx.AsyncClient], Awaitable[None]],
) -> None:
    async with counting() as server, open_client(8) as client:
        server.go.set()
        held = [client.stream("GET", server.url) for _ in range(8)]
        for stream in held:
            await stream.__aenter__()
        for stream in held[::2]:  # every other one: all of the first pool
            await stream.__aexit__(None, None, None)
        for _ in range(4):
            await end(server, client)
        for stream in held[1::2]:
            await stream.__aexit__(None, None, None)
        server.go.clear()
        calls = [asyncio.create_task(client.get(server.url, timeout=None)) for _ in range(8)]
        await server.until(8)
        server.go.set()
        assert [answer.text for answer in await asyncio.gather(*calls)] == ["ok"] * 8


async def test_an_answer_that_is_only_begun_keeps_its_place_until_it_is_closed() -> None:
    async with counting() as server, open_client(5) as client:
        server.go.set()
        async with client.stream("GET", server.url):
            await asyncio.gather(*(client.get(server.url) for _ in range(4)))
            assert server.connections == 5
        await client.get(server.url)
        assert server.connections == 5
