"""Opening a partition: what dispatch does before a queue serves, each step after the other (design §2)."""

from collections.abc import Sequence
from typing import Any

from shared.errors import OpeningSuperseded
from shared.queue.codec import milliseconds, pack_config
from shared.queue.engine import Engine
from shared.queue.types import Charge, Slot, SubjectConfig
from shared.redis.client import RUN_ID
from shared.redis.scripts import Argument

_AT_ONCE = 200


class Opening(Engine):
    """The steps of an opening.

    Each raises OpeningSuperseded, and changes nothing, when another opening holds the partition. A server
    that restarted in between counts as another: what it was told may be lost.
    """

    async def is_open(self, partition: int) -> bool:
        """Whether the partition serves; False after a flush, a restart, or while it is being opened."""
        return bool(await self._run("is_open", partition, {"run": RUN_ID}) == b"open")

    async def begin_opening(self, partition: int, epoch: int) -> None:
        """Close the partition under an epoch higher than any before it: tokens from before hold nothing.

        Also drops windows and configurations, which the opening seeds.
        """
        _expect(await self._run("begin_opening", partition, {"epoch": epoch, "run": RUN_ID}))

    async def seed_configs(self, partition: int, epoch: int, configs: Sequence[SubjectConfig]) -> None:
        """Put pauses, weights, limits, caps and closures in force; before the charges are seeded."""
        await self._configure(partition, configs, epoch)

    async def seed_charges(self, partition: int, epoch: int, charges: Sequence[Charge]) -> None:
        """Charge what was charged before: in order of time, over as many calls as it takes."""
        rest = [(each.subject, each.charged_ms, each.cost) for each in charges]
        await self._seed("seed_charges", partition, epoch, rest)

    async def seed_slots(self, partition: int, epoch: int, slots: Sequence[Slot]) -> None:
        """Count what runs elsewhere under its subject's cap."""
        await self._seed(
            "seed_slots", partition, epoch, [(each.subject, each.id, each.ends_ms) for each in slots]
        )

    async def open(self, partition: int, epoch: int) -> None:
        """Let the partition serve."""
        await self._look_again(partition)
        _expect(await self._run("open", partition, {"epoch": epoch, "run": RUN_ID}))

    async def open_plain(self, partition: int) -> None:
        """Open a partition of a queue whose jobs have no rows, if it is closed; for whoever finds it so."""
        await self._run("open_plain", partition, {"run": RUN_ID})

    async def configure(self, partition: int, configs: Sequence[SubjectConfig]) -> None:
        """Replace what is in force for subjects; lanes that wait because of them are looked at again."""
        await self._configure(partition, configs, "")
        if any(each.subject.startswith("*/") for each in configs):
            await self._look_again(partition)

    async def _configure(self, partition: int, configs: Sequence[SubjectConfig], epoch: int | str) -> None:
        for config in configs:
            _check(config)
        for at in range(0, len(configs), _AT_ONCE):
            rest = [
                part for each in configs[at : at + _AT_ONCE] for part in (each.subject, pack_config(each))
            ]
            _expect(await self._run("configure", partition, {"epoch": epoch, "run": RUN_ID}, rest))

    async def _look_again(self, partition: int) -> None:
        """Let every parked lane be looked at again: what it waits for may have changed."""
        count = await self._run("look_again", partition, {"limit": _AT_ONCE})
        for _ in range(count // _AT_ONCE):
            await self._run("look_again", partition, {"limit": _AT_ONCE})

    async def _seed(
        self, script: str, partition: int, epoch: int, rows: Sequence[tuple[Argument, ...]]
    ) -> None:
        argv: dict[str, Argument] = {"epoch": epoch, "run": RUN_ID}
        for at in range(0, len(rows), _AT_ONCE):
            rest = [part for row in rows[at : at + _AT_ONCE] for part in row]
            _expect(await self._run(script, partition, argv, rest))


def _check(config: SubjectConfig) -> None:
    for window in config.windows or ():
        if not 64 <= milliseconds(window.length) <= 86_400_000 or not 0 <= window.limit < 1 << 32:
            raise ValueError(
                f"A window of {config.subject} is 64 ms to a day long and its limit below 2^32: {window}"
            )
    if not 1 <= config.weight <= 0xFFFF or not 0 <= (config.cap or 0) < 1 << 32:
        raise ValueError(f"The weight of {config.subject} is from 1 to 65535, its cap below 2^32.")


def _expect(answer: Any) -> None:
    if answer != b"ok":
        raise OpeningSuperseded
