"""Who is there: a worker says its queue and process in its connections' names, and the server lists them."""

import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

_WORKER = "worker:"


@dataclass(frozen=True, slots=True)
class Present:
    """A worker process that is connected: the queue it works on, and how long ago it last said a thing."""

    queue: str
    process: str
    idle: timedelta


def worker_role(queue: str) -> str:
    """What this process's connections as a worker of the queue are called: `worker:<queue>@<host>.<pid>`."""
    return f"{_WORKER}{queue}@{socket.gethostname()}.{os.getpid()}"


async def workers(redis: Redis, prefix: str) -> list[Present] | None:
    """The installation's workers that are connected, by queue and process.

    None where this server lets nobody see its clients.
    """
    try:
        clients: list[dict[str, Any]] = await redis.client_list(_type="normal")
    except (NoPermissionError, ResponseError):
        return None
    found: dict[tuple[str, str], timedelta] = {}
    for client in clients:
        queue, at, process = client["name"].removeprefix(f"{prefix}-{_WORKER}").rpartition("@")
        if at and client["name"].startswith(f"{prefix}-{_WORKER}"):
            idle = timedelta(seconds=int(client["idle"]))
            found[queue, process] = min(idle, found.get((queue, process), idle))
    return [Present(*name, idle) for name, idle in sorted(found.items())]
