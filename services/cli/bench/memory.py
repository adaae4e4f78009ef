"""Bytes: of a waiting job, and of an id that is remembered after its job is gone."""

from services.cli.bench.load import Load
from services.cli.bench.place import Place
from services.cli.bench.rows import Samples
from services.cli.bench.sizes import Sizes
from shared.errors import BenchmarkFailed
from shared.queue.types import Enqueued


async def bytes_waiting(place: Place, sizes: Sizes) -> Samples:
    """Per waiting job, everything counted, in lanes of so many jobs."""
    found = {}
    for lane in (100, 10, 2):
        await place.empty()
        queue = await place.queue("bench:bytes")
        before = await place.bytes()
        await Load(queue, sizes.waiting // lane).enqueue(sizes.waiting)
        found[f"bytes_{lane}"] = [(await place.bytes() - before) / sizes.waiting]
    return found


async def bytes_remembered(place: Place, sizes: Sizes) -> Samples:
    """Per job that is gone; the last 100 completed, which are kept, are not counted."""
    await place.empty()
    load = Load(await place.queue("bench:bytes"), 1)
    kept = load.queue.spec.keep_completed
    await load.enqueue(kept)
    await load.work_off(kept, 50)
    before = await place.bytes()
    await load.enqueue(sizes.remembered)
    await load.work_off(sizes.remembered, 50)
    each = (await place.bytes() - before) / sizes.remembered
    await _expect_known(load)
    return {"bytes_remembered": [each]}


async def _expect_known(load: Load) -> None:
    """The first jobs, long gone, are still known with their payloads."""
    again = Load(load.queue, 1).make(2)
    changed = again[1]._replace(payload=b"{}")
    words = await load.queue.enqueue([again[0], changed])
    if words != [Enqueued.DUPLICATE, Enqueued.CONFLICT]:
        raise BenchmarkFailed(f"Jobs that are gone should be a duplicate and a conflict, not {words}.")
