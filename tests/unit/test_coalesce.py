import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from shared.coalesce import Coalescer
from shared.errors import StoreUnavailable


async def test_callers_of_one_tick_travel_together() -> None:
    batches: list[list[int]] = []

    async def double(items: Sequence[int]) -> list[int | Exception]:
        batches.append(list(items))
        return [item * 2 for item in items]

    call = Coalescer(double)
    assert await asyncio.gather(*(call(n) for n in range(5))) == [0, 2, 4, 6, 8]
    assert batches == [[0, 1, 2, 3, 4]]


async def test_callers_that_come_while_a_batch_runs_form_the_next_one() -> None:
    batches: list[list[int]] = []
    gate = asyncio.Event()

    async def slow(items: Sequence[int]) -> list[int | Exception]:
        batches.append(list(items))
        await gate.wait()
        return list(items)

    call = Coalescer(slow, most=2)
    first = asyncio.create_task(call(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [asyncio.create_task(call(n)) for n in (2, 3, 4)]
    await asyncio.sleep(0)
    gate.set()
    assert [await first, *[await task for task in rest]] == [1, 2, 3, 4]
    assert batches == [[1], [2, 3], [4]]


async def test_lanes_share_what_waits_but_few_travel_together() -> None:
    batches: list[list[int]] = []
    gate = asyncio.Event()

    async def slow(items: Sequence[int]) -> list[int | Exception]:
        batches.append(list(items))
        await gate.wait()
        return list(items)

    call = Coalescer(slow, most=100, lanes=2, least=3)
    many = [asyncio.create_task(call(n)) for n in range(9)]
    await asyncio.sleep(0.01)
    assert batches == [[0, 1, 2, 3, 4], [5, 6, 7, 8]]
    gate.set()
    await asyncio.gather(*many)
    batches.clear()
    assert await asyncio.gather(*(call(n) for n in range(4))) == [0, 1, 2, 3]
    assert batches == [[0, 1, 2], [3]]


async def test_an_error_answer_reaches_only_its_caller() -> None:
    async def odd(items: Sequence[int]) -> list[int | Exception]:
        return [ValueError(str(n)) if n % 2 else n for n in items]

    call = Coalescer(odd)
    results = await asyncio.gather(call(1), call(2), call(3), return_exceptions=True)
    assert [str(result) for result in results] == ["1", "2", "3"]
    assert [type(result) for result in results] == [ValueError, int, ValueError]


async def test_a_failed_batch_fails_each_of_its_callers_and_the_next_batch_goes_on() -> None:
    calls = 0

    async def once_broken(items: Sequence[int]) -> list[int | Exception]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("away")
        return list(items)

    call = Coalescer(once_broken)
    results = await asyncio.gather(call(1), call(2), return_exceptions=True)
    assert [type(result) for result in results] == [OSError, OSError]
    assert await call(3) == 3


async def test_a_caller_that_gave_up_is_not_worked_for() -> None:
    seen: list[int] = []

    async def note(items: Sequence[int]) -> list[int | Exception]:
        seen.extend(items)
        return list(items)

    call = Coalescer(note)
    given_up = asyncio.create_task(call(1))
    kept = asyncio.create_task(call(2))
    await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert await kept == 2
    assert 2 in seen


async def test_who_waits_longer_than_its_patience_is_told_so_in_work_or_in_line() -> None:
    may_answer, answered = asyncio.Event(), asyncio.Event()
    seen: list[int] = []

    async def hang(items: Sequence[int]) -> list[int | Exception]:
        seen.extend(items)
        await may_answer.wait()
        answered.set()
        return list(items)

    call = Coalescer(hang, most=1, patience=timedelta(milliseconds=10))
    results = await asyncio.gather(call(1), call(2), return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable, StoreUnavailable]
    assert (seen, answered.is_set()) == ([1], False)
    may_answer.set()
    assert await call(3) == 3
    assert (seen, answered.is_set()) == ([1, 3], True)
