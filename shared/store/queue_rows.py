"""The queues' own rows: how many partitions each has, under which epochs they opened; the installation."""

from uuid import UUID

from sqlalchemy import text

from shared.errors import PartitionMismatch
from shared.store.database import AsyncConnection
from shared.store.ids import uuid7

_INSTALL = text("insert into installation (id) values (:id) on conflict (one) do nothing")
_INSTALLATION = text("select id from installation")

_REGISTER = text("""
insert into queues (name, partitions) values (:queue, :partitions) on conflict (name) do nothing
""")
_REGISTERED = text("select partitions from queues where name = :queue")
_PARTITIONS = text("select name, partitions from queues")
_REGISTER_PARTITIONS = text("""
insert into queue_partitions (queue, partition)
select :queue, partition from generate_series(0, :partitions - 1) as partition
on conflict (queue, partition) do nothing
""")

_HOLD = text(
    "select pg_try_advisory_xact_lock(hashtextextended('outreach opens ' || cast(:place as text), 0))"
)

_NEXT_EPOCH = text("""
update queue_partitions set epoch = epoch + 1, opening_at = now()
where queue = :queue and partition = :partition returning epoch
""")
_OPENED = text("""
update queue_partitions set opened_at = now()
where queue = :queue and partition = :partition and epoch = :epoch
""")


async def installation(tx: AsyncConnection) -> UUID:
    """The installation's id, made by whoever asks first."""
    await tx.execute(_INSTALL, {"id": uuid7()})
    return UUID(str(await tx.scalar(_INSTALLATION)))


async def register(tx: AsyncConnection, queue: str, partitions: int) -> None:
    """Note how many partitions a queue has, or find it noted.

    Raises PartitionMismatch: the queue was made with another number.
    """
    await tx.execute(_REGISTER, {"queue": queue, "partitions": partitions})
    found = await tx.scalar(_REGISTERED, {"queue": queue})
    if found != partitions:
        raise PartitionMismatch(
            f"The queue {queue} was made with {found} partitions, not {partitions}:"
            f" set QUEUE_PARTITIONS to {found}."
        )
    await tx.execute(_REGISTER_PARTITIONS, {"queue": queue, "partitions": partitions})


async def partitions(tx: AsyncConnection) -> dict[str, int]:
    """How many partitions each queue has that was ever registered."""
    return {row.name: row.partitions for row in await tx.execute(_PARTITIONS)}


async def hold_opening(tx: AsyncConnection, queue: str, partition: int) -> bool:
    """Keep others from opening a partition until the transaction ends; False: another does it now.

    Epochs alone make openings safe; this keeps two of them from superseding each other for ever.
    """
    return bool(await tx.scalar(_HOLD, {"place": f"{queue}/{partition}"}))


async def next_epoch(tx: AsyncConnection, queue: str, partition: int) -> int:
    """Begin an opening of a registered partition: its epoch, higher than any before it."""
    return int((await tx.execute(_NEXT_EPOCH, {"queue": queue, "partition": partition})).scalar_one())


async def opened(tx: AsyncConnection, queue: str, partition: int, epoch: int) -> None:
    """Note that a partition serves."""
    await tx.execute(_OPENED, {"queue": queue, "partition": partition, "epoch": epoch})
