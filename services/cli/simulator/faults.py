"""Which requests go wrong."""

from collections import Counter
from random import Random

from services.cli.simulator.config import Config, Fault
from services.cli.simulator.mail import Message

EVERY = 5
"""Every so many requests, one that would go well takes a fault that has not happened often enough."""


class Faults:
    """Chooses by seed, recipient, node and the number of the attempt, so that runs go wrong alike."""

    def __init__(self, config: Config) -> None:
        self._seed = config.seed
        self._rates = config.faults
        self._attempts: Counter[tuple[str, str | None]] = Counter()
        self._requests = 0
        self.chosen: Counter[Fault] = Counter()
        self.owed_cuts = 0
        """How many of the next connections are to be reset before a request is written on them."""

    def choose(self, message: Message) -> Fault | None:
        """The fault of this request; a cut before falls on a later connection, since this request is here."""
        fault = self._drawn(message) or self._lacking()
        if fault is None:
            return None
        self.chosen[fault] += 1
        if fault is Fault.CUT_BEFORE:
            self.owed_cuts += 1
            return None
        return fault

    def _drawn(self, message: Message) -> Fault | None:
        key = (message.recipient, message.node)
        self._attempts[key] += 1
        draw = Random(f"{self._seed}:{key}:{self._attempts[key]}").random()
        for fault, rate in self._rates.items():
            draw -= rate.rate
            if draw < 0:
                return fault
        return None

    def _lacking(self) -> Fault | None:
        self._requests += 1
        if self._requests % EVERY:
            return None
        return next(
            (fault for fault, rate in self._rates.items() if self.chosen[fault] < rate.at_least), None
        )
