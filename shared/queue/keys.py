"""Keys: all of a partition under one hash tag, so a cluster keeps them together; docs/queue.md lists them."""

from zlib import crc32


def tag(prefix: str, queue: str, partition: int) -> str:
    """What every key of a partition begins with."""
    return f"{{{prefix}:{queue}/{partition}}}:"


def partition_of(tenant: str, partitions: int) -> int:
    """The partition a tenant lives in, the same in every process and language: CRC-32 of its UTF-8 bytes."""
    return crc32(tenant.encode()) % partitions
