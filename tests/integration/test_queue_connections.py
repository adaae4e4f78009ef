"""Connections that come back, scripts a server forgot, prefixes that are somebody's."""

import asyncio
from datetime import timedelta

import pytest
from pydantic import SecretStr
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.errors import ForeignInstallation, SettingsError
from shared.queue.types import ClaimStatus, Enqueued
from shared.redis.client import claim_prefix, connect
from shared.redis.embedded import EmbeddedValkey
from shared.settings import RedisSettings
from tests.integration.queue_state import bench, job


def settings(url: str, **fields: object) -> RedisSettings:
    return RedisSettings(url=SecretStr(url), **fields)  # type: ignore[arg-type]  # of whichever field


async def test_a_client_connects_late_and_says_what_it_is_for(valkey_url: str) -> None:
    async with connect(settings(valkey_url), role="claims") as redis:
        assert await redis.client_getname() == "outreach-claims"


async def test_a_server_that_forgot_a_script_is_told_it_again(valkey_url: str) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one")])
        await b.redis.script_flush()
        assert await b.queue.enqueue([job("two")]) == [Enqueued.CREATED]


async def test_a_restarted_server_is_another_run_although_it_kept_everything(
    valkey: EmbeddedValkey, valkey_url: str
) -> None:
    async with bench(valkey_url) as b:
        await b.queue.enqueue([job("one")])
        kept = {key: await b.redis.dump(key) for key in await b.redis.keys("*")}
        await valkey.stop()
        await valkey.start()
        for key, raw in kept.items():
            await b.redis.restore(key, 0, raw)
        # The very first claim, on a connection that was made for it, knows which run it is talking to.
        await b.redis.connection_pool.disconnect()
        assert (await b.queue.claim(0, 1)).status is ClaimStatus.CLOSED
        await b.queue.open_plain(0)
        assert [each.id for each in (await b.queue.claim(0, 1)).jobs] == ["one"]


async def test_a_server_that_is_away_is_tried_a_few_times_and_then_reported(
    valkey: EmbeddedValkey, valkey_url: str
) -> None:
    async with bench(valkey_url) as b:
        await valkey.stop()
        with pytest.raises(RedisConnectionError):
            await b.queue.claim(0, 1)
        waiting = asyncio.create_task(b.queue.claim(0, 1))
        await valkey.start()
        assert (await waiting).status is ClaimStatus.CLOSED


async def test_a_prefix_belongs_to_the_installation_that_came_first(valkey_url: str) -> None:
    async with connect(settings(valkey_url), role="test") as redis:
        await claim_prefix(redis, "outreach", "one")
        await claim_prefix(redis, "outreach", "one")
        await claim_prefix(redis, "other", "two")
        with pytest.raises(ForeignInstallation):
            await claim_prefix(redis, "outreach", "two")
        assert await redis.get("outreach:installation") == b"one"


def test_a_url_of_another_kind_is_refused() -> None:
    with pytest.raises(SettingsError, match="redis://"):
        connect(settings("unix:///run/redis.sock"), role="test")


async def test_a_pipeline_works_beside_a_clients_only_connection(valkey_url: str) -> None:
    async with connect(settings(valkey_url), role="test") as redis:
        await redis.ping()
        async with asyncio.timeout(timedelta(seconds=5).total_seconds()), redis.pipeline() as pipe:
            pipe.set("a", "1").get("a")
            assert await pipe.execute() == [True, b"1"]
