"""Row ids: UUIDv7, made here, so that rows made together lie together."""

from datetime import UTC, datetime
from uuid import UUID

from uuid_utils.compat import uuid7

__all__ = ["id_time", "parsed", "uuid7"]


def id_time(row_id: UUID) -> datetime:
    """When a UUIDv7 was made, to the millisecond."""
    return datetime.fromtimestamp((row_id.int >> 80) / 1000, UTC)


def parsed(words: str) -> UUID | None:
    """The id that somebody wrote; None: it is none."""
    try:
        return UUID(words)
    except ValueError:
        return None
