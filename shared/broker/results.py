"""Results of plain tasks, for those who wait for them.

They have keys and a life of their own: the engine keeps the last 100 completed jobs, and those pass in
milliseconds. A typed job's result is its row.
"""

from datetime import timedelta
from typing import Any

from taskiq.serializers import JSONSerializer
from taskiq_redis import RedisAsyncResultBackend

from shared.redis.client import connect
from shared.settings import RedisSettings

_KEEP = timedelta(hours=1)


class ResultBackend(RedisAsyncResultBackend[Any]):
    """taskiq-redis's backend on one connection of ours, in JSON, and never without an end."""

    def __init__(self, redis: RedisSettings, keep: timedelta = _KEEP) -> None:
        super().__init__(
            redis.dsn,
            result_px_time=keep // timedelta(milliseconds=1),
            serializer=JSONSerializer(),
            prefix_str=f"{redis.prefix}:result",
        )
        pool = connect(redis, role="results").connection_pool
        self.redis_pool = pool  # type: ignore[assignment]  # connect's is blocking
