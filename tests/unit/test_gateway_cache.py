import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from services.gateway.cache import Cache

LONG = timedelta(hours=1)


class Source:
    def __init__(self, **values: str) -> None:
        self.values = values
        self.asked: list[list[str]] = []

    async def load(self, keys: Sequence[str]) -> Mapping[str, str]:
        self.asked.append(list(keys))
        await asyncio.sleep(0)
        return {key: self.values[key] for key in keys if key in self.values}


async def test_what_was_found_and_what_was_not_is_believed() -> None:
    source = Source(a="1")
    cache = Cache(source.load, LONG)
    assert [await cache.get(key) for key in ("a", "b", "a", "b")] == ["1", None, "1", None]
    assert source.asked == [["a"], ["b"]]


async def test_past_its_time_a_value_is_looked_up_anew() -> None:
    source = Source(a="1")
    cache = Cache(source.load, timedelta(0))
    assert await cache.get("a") == "1"
    source.values["a"] = "2"
    assert await cache.get("a") == "2"


async def test_concurrent_misses_are_one_look_up_of_distinct_keys() -> None:
    source = Source(a="1", b="2")
    cache = Cache(source.load, LONG)
    assert await asyncio.gather(*(cache.get(key) for key in "abab")) == ["1", "2", "1", "2"]
    assert source.asked == [["a", "b"]]


async def test_at_most_so_many_keys_are_kept_and_the_oldest_go() -> None:
    source = Source()
    cache = Cache(source.load, LONG, most=2)
    for key in "abc":
        await cache.get(key)
    source.asked.clear()
    for key in "cba":
        await cache.get(key)
    assert source.asked == [["a"]]


async def test_a_failure_is_not_believed() -> None:
    failing = True

    async def load(keys: Sequence[str]) -> Mapping[str, str]:
        if failing:
            raise OSError("away")
        return dict.fromkeys(keys, "1")

    cache = Cache(load, LONG)
    with pytest.raises(OSError, match="away"):
        await cache.get("a")
    failing = False
    assert await cache.get("a") == "1"
