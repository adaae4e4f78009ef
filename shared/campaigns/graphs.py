"""Compiled graphs, kept: a version never changes, so what is compiled once stays right."""

from collections.abc import Iterable, Mapping

from shared.campaigns.compiled import Compiled
from shared.campaigns.graph import Graph
from shared.store import graphs as store
from shared.store.database import AsyncConnection
from shared.store.graphs import Version

__all__ = ["Graphs", "Version"]


class Graphs:
    """The last `most` versions used."""

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._kept: dict[Version, Compiled] = {}

    async def load(self, tx: AsyncConnection, versions: Iterable[Version]) -> Mapping[Version, Compiled]:
        """The graphs of versions that exist; a statement only where one is not kept."""
        wanted = set(versions)
        missing = wanted - self._kept.keys()
        if missing:
            for version, graph in (await store.read(tx, missing)).items():
                self._kept[version] = Compiled(Graph.model_validate(graph))
        found = {version: self._kept[version] for version in wanted}
        self._forget(found)
        return found

    def _forget(self, used: Mapping[Version, Compiled]) -> None:
        for version in used:
            self._kept[version] = self._kept.pop(version)  # to the end: the first is the longest unused
        while len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]
