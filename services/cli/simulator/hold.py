"""Keeps one mail-send request waiting, so that its sender can be killed meanwhile."""

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Held:
    """The request that waits, and what tells whose it is."""

    api_key: str
    action: str | None
    recipient: str
    peer_port: int
    user_agent: str | None
    taken: bool


class Hold:
    """At most one request at a time."""

    def __init__(self) -> None:
        self._armed = False
        self._taken = False
        self._released = asyncio.Event()
        self.held: Held | None = None

    def arm(self, *, taken: bool) -> bool:
        """Hold the next request, after taking it or before; False while another order stands."""
        if self._armed or self.held is not None:
            return False
        self._armed, self._taken = True, taken
        return True

    def claim(self) -> bool | None:
        """Whether the present request is to be taken before it is held; None where it is not to be held."""
        if not self._armed:
            return None
        self._armed = False
        return self._taken

    async def keep(self, held: Held) -> None:
        """Wait with this request until it is released."""
        self._released.clear()
        self.held = held
        await self._released.wait()

    def release(self) -> None:
        """Let go what is held, and hold nothing further."""
        self._armed = False
        self.held = None
        self._released.set()
