"""Accepts connections itself, so that some can be cut before their request is written."""

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from typing import Protocol

RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, 0 s


class Cutter(Protocol):
    """Who knows which connections are to be cut, and keeps the book of it."""

    @property
    def owes_cut(self) -> bool:
        """Whether the next connection that has said nothing is to be cut."""
        ...

    def cut(self, peer_port: int) -> None:
        """A connection was cut as owed."""


class Listener:
    """A listening socket that resets a connection while one is owed and the client has said nothing on it.

    A server that reads first and closes then leaves its client in doubt. Only a reset before the request
    is written tells that nothing was taken, and what has been written shows in the receive buffer.
    """

    def __init__(self, port: int, factory: Callable[[], asyncio.BaseProtocol], cutter: Cutter) -> None:
        self._socket = socket.create_server(("127.0.0.1", port), backlog=512)
        self._socket.setblocking(False)
        self._factory = factory
        self._cutter = cutter
        self._accepted: set[asyncio.Task[object]] = set()
        self.port: int = self._socket.getsockname()[1]

    def start(self) -> None:
        """Accept from now on."""
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def close(self) -> None:
        """Accept no more; connections go on."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _accept(self) -> None:
        try:
            connection, (_, peer_port) = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # the peer has gone again
        if self._cutter.owes_cut and not _unread_bytes(connection):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            connection.close()  # before it is logged, lest the request be written meanwhile
            self._cutter.cut(peer_port)
            return
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(self._factory, connection))
        self._accepted.add(task)
        task.add_done_callback(self._accepted.discard)


def _unread_bytes(connection: socket.socket) -> int:
    (count,) = struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, b"\0" * 4))
    return int(count)
