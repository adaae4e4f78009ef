"""Whose: lists of one tenant, who is asked for by name or id, or of all."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.errors import NotFound
from shared.store import tenants
from shared.store.database import AsyncConnection, Row


@dataclass(frozen=True, slots=True)
class Whose:
    """A tenant as `words` ask for one; without any, everybody. `row`: its id and name, None: all or none."""

    words: str = ""
    row: Row[Any] | None = None

    @property
    def id(self) -> UUID | None:
        """The tenant's id."""
        return self.row.id if self.row is not None else None

    @property
    def name(self) -> str:
        """The tenant's name, or who else is meant."""
        return str(self.row.name) if self.row is not None else "everybody"

    @property
    def missing(self) -> bool:
        """Whether a tenant is asked for that is not there."""
        return bool(self.words) and self.row is None


async def called(tx: AsyncConnection, words: str) -> Whose:
    """Whose is asked for."""
    words = words.strip()
    try:
        return Whose(words, await tenants.called(tx, words) if words else None)
    except NotFound:
        return Whose(words)
