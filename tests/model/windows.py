"""The dict model of one window: every charge, and the bins that the engine should count it in."""

from dataclasses import dataclass, field

from shared.queue.types import ClaimedJob


@dataclass
class Charged:
    """A charge in one window: whose, and what was not given back."""

    at: int
    kept: int
    claimed: ClaimedJob


@dataclass
class Log:
    """One window of one subject: every charge under it, and the bins that they are counted in.

    recent: first time, last time and cost of charges that are in no bin yet.
    """

    length: int
    limit: int
    charges: list[Charged] = field(default_factory=list)
    bins: list[tuple[int, int]] = field(default_factory=list)
    start: int = 0
    recent: tuple[int, int, int] | None = None
    limits: list[tuple[int, int]] = field(default_factory=list)
    dormant: bool = False

    def alive(self, now: int) -> list[tuple[int, int]]:
        return [(last, cost) for last, cost in self.bins if last + self.length > now]

    def used(self, now: int) -> int:
        recent = [self.recent[1:]] if self.recent else []
        return sum(cost for last, cost in self.bins + recent if last + self.length > now)

    def count(self, first: int, last: int, cost: int) -> None:
        """Charges join the open bin for a 64th of the window, else open one."""
        if self.bins and last - self.start < self.length / 64:
            before, counted = self.bins.pop()
            self.bins.append((max(before, last), counted + cost))
        else:
            self.bins.append((last, cost))
            self.start = first

    def charge(self, at: int, cost: int) -> None:
        first, _, counted = self.recent or (at, at, 0)
        self.recent = first, at, counted + cost

    def fold(self, now: int) -> None:
        """What was charged recently joins the bins that still count."""
        self.bins = self.alive(now)
        if self.recent and self.recent[1] + self.length > now:
            self.count(*self.recent)
        self.recent = None

    def forget(self) -> None:
        """Redis knows of no charge."""
        self.bins, self.start, self.recent = [], 0, None

    def give_back(self, claimed: ClaimedJob, now: int) -> None:
        """Out of the oldest bins, if the window knew of the charge and is longer than its age."""
        self.fold(now)
        mine = [each for each in self.charges if each.claimed is claimed]
        if not mine or self.length <= now - claimed.claimed_ms:
            return
        mine[0].kept, left = 0, claimed.cost
        while left and self.bins:
            last, counted = self.bins.pop(0)
            if counted > left:
                self.bins.insert(0, (last, counted - left))
            left -= min(left, counted)

    def over(self, now: int) -> list[str]:
        """Rolling windows that end with one of the latest charges, and hold more than was ever allowed."""
        found = []
        for end in {each.at for each in self.charges if each.at > now - self.length}:
            begin = end - self.length
            bound = max(
                [limit for at, limit in self.limits if at <= begin][-1:]
                + [limit for at, limit in self.limits if at > begin]
            )
            used = sum(each.kept for each in self.charges if begin < each.at <= end)
            if used > bound:
                found.append(f"{used} in {self.length} ms, over {bound}")
        return found
