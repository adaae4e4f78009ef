"""What is remembered of a job after it is gone: two 63-bit numbers.

The first is of the id, the second of id and payload; both known means the same job came again, only the first
means another payload under a known id. Every producer computes them this way and no other (docs/queue.md has
vectors): BLAKE2b with an 8-byte digest, read as a big-endian number, its highest bit dropped; the second is
keyed by the id's, as 8 bytes.
"""

from hashlib import blake2b

_MASK = (1 << 63) - 1


def digests(job_id: str, payload: bytes) -> tuple[int, int]:
    """The pair for a job."""
    first = blake2b(job_id.encode(), digest_size=8).digest()
    second = blake2b(payload, digest_size=8, key=first).digest()
    return int.from_bytes(first) & _MASK, int.from_bytes(second) & _MASK
