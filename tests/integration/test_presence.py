"""Who is connected to Redis, and what it says of itself."""

import os
import socket
from datetime import timedelta

from pydantic import SecretStr

from shared.redis.client import connect
from shared.redis.presence import Present, worker_role, workers
from shared.settings import RedisSettings


async def test_a_worker_is_seen_once_with_its_queue_and_process_and_others_prefixes_are_not(
    valkey_url: str,
) -> None:
    url = SecretStr(valkey_url)
    ours, others = RedisSettings(url=url), RedisSettings(url=url, prefix="staging")
    role = worker_role("outreach:send")
    async with (
        connect(ours, role=role),
        connect(ours, role=role),
        connect(others, role=role),
        connect(ours, role="gateway") as redis,
    ):
        process = f"{socket.gethostname()}.{os.getpid()}"
        assert await workers(redis, "outreach") == [Present("outreach:send", process, timedelta(0))]
        assert await workers(redis, "elsewhere") == []


async def test_a_server_that_hides_its_clients_leaves_it_unknown_who_is_there(valkey_url: str) -> None:
    async with connect(RedisSettings(url=SecretStr(valkey_url)), role="test") as redis:
        await redis.acl_setuser(
            "blind", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-client|list"]
        )
        host = valkey_url.partition("://")[2]
        async with connect(RedisSettings(url=SecretStr(f"redis://blind:x@{host}")), role="blind") as blind:
            assert await workers(blind, "outreach") is None
        await redis.acl_deluser("blind")
