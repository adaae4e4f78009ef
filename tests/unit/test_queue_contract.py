"""What producers in other languages rely on: digests, partitions, keys, packed records (docs/queue.md)."""

from datetime import timedelta

import pytest

from shared.idempotency.digest import digests
from shared.queue.codec import pack_record, unpack_record
from shared.queue.keys import partition_of, tag
from shared.queue.types import NewJob

ROW = "0190d6a0-7c3e-7e1f-8a55-3f1e2d4c5b6a"


@pytest.mark.parametrize(
    ("job_id", "payload", "first", "second"),
    [
        ("a", b"", 4681665781835383343, 4010881758749638695),
        (f"send:{ROW}:0", b'{"version":1}', 4330656810958383986, 2651899919485162871),
        (f"send:{ROW}:1", b'{"version":1}', 6222496493849262426, 4865086153466759272),
        ("é", b"\x00\xff", 5411848509986117935, 6921658256167214088),
    ],
)
def test_the_digests_of_id_and_payload(job_id: str, payload: bytes, first: int, second: int) -> None:
    assert digests(job_id, payload) == (first, second)


@pytest.mark.parametrize(
    ("tenant", "of_one", "of_three", "of_256"), [("a", 0, 0, 67), (ROW, 0, 2, 12), ("é", 0, 2, 62)]
)
def test_the_partition_of_a_tenant(tenant: str, of_one: int, of_three: int, of_256: int) -> None:
    assert [partition_of(tenant, n) for n in (1, 3, 256)] == [of_one, of_three, of_256]


def test_the_keys_of_a_partition_share_a_hash_tag() -> None:
    assert tag("outreach", "webhook:process", 2) + "meta" == "{outreach:webhook:process/2}:meta"


def test_a_record_byte_by_byte() -> None:
    whole = NewJob(
        "id", "t/sms/s", b"{}", b"trace", cost=3, expires_at_ms=1, timeout=timedelta(seconds=2), version=4
    )
    assert pack_record(whole, 2, 9) == (
        b"\x07\x04\x02\x09\x00\x03\x07"  # flags, version, priority, attempts, cost, length of the lane
        b"\x00\x00\x00\x00\x00\x01"  # expires
        b"\x00\x00\x07\xd0"  # timeout, ms
        b"\x00\x00\x00\x05trace"
        b"t/sms/s{}"
    )
    plain = whole._replace(annotations=b"", expires_at_ms=None, timeout=None)
    assert pack_record(plain, 2, 9) == b"\x00\x04\x02\x09\x00\x03\x07t/sms/s{}"


def test_a_record_comes_back_as_it_went() -> None:
    job = NewJob("id", "t/sms/s", b"{}", b"trace", cost=3, expires_at_ms=1, timeout=timedelta(seconds=2))
    enqueued = 1_800_000_000_000
    found = unpack_record(b"id", enqueued.to_bytes(6) + pack_record(job, 2, 9), 5, "1-2", 7)
    assert (found.id, found.lane, found.payload, found.annotations) == ("id", "t/sms/s", b"{}", b"trace")
    assert (found.priority, found.max_attempts, found.cost, found.timeout_ms) == (2, 9, 3, 2_000)
    assert (found.enqueued_ms, found.attempt, found.token, found.claimed_ms) == (enqueued, 5, "1-2", 7)
