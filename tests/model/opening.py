"""Rules: Redis forgets, and partitions are opened."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from shared.errors import OpeningSuperseded
from shared.queue.types import Charge, Slot, SubjectConfig
from tests.model.books import Books
from tests.model.coverage import saw
from tests.model.drafts import rarely
from tests.model.ground import Ground


class Opening(Ground):
    """Partitions close and open."""

    @rule(partition=st.integers(0, 2), often=st.booleans())
    def flush(self, partition: int, often: bool) -> None:
        """Redis forgets a partition; Postgres does not forget what was attempted."""
        if not often:
            return
        partition %= self.partitions
        keys = self.run(self.redis.keys(self.queue._key(partition, "") + "*"))
        if keys:
            self.run(self.redis.delete(*keys))
        saw("flush", "done")
        old = self.books[partition]
        fresh = Books()
        fresh.epoch = old.epoch
        fresh.logs, fresh.configs = old.logs, old.configs
        for log in fresh.logs.values():
            log.forget()
        self.old += [(partition, job.claimed) for job in old.jobs.values() if job.claimed is not None]
        self.books[partition] = fresh

    @precondition(lambda self: not all(books.open for books in self.books))
    @rule(running=st.integers(0, 2), data=st.data())
    def open_closed(self, running: int, data: st.DataObject) -> None:
        closed = [n for n, books in enumerate(self.books) if not books.open]
        self.open_anew(data.draw(st.sampled_from(closed)), running)

    @rule(partition=st.integers(0, 2), rarely=rarely)
    def open_again(self, partition: int, rarely: bool) -> None:
        """An opening without a flush, as after a restart: jobs stay, tokens do not."""
        if rarely:
            self.open_anew(partition % self.partitions)

    @rule(partition=st.integers(0, 2), behind=st.integers(1, 2))
    def open_superseded(self, partition: int, behind: int) -> None:
        """The steps of an opening that a newer one has overtaken change nothing."""
        partition %= self.partitions
        books = self.books[partition]
        if books.epoch <= behind:
            return
        self.server_now(partition)
        epoch = books.epoch - behind
        core = self.core(partition)
        if core is None or core[0] <= epoch:
            return  # nothing remembers a newer opening here; dispatch takes its epoch from Postgres
        for step in (
            lambda: self.queue.begin_opening(partition, epoch),
            lambda: self.queue.seed_configs(partition, epoch, [SubjectConfig("a", paused=True)]),
            lambda: self.queue.seed_charges(partition, epoch, [Charge("a", self.now, 3)]),
            lambda: self.queue.open(partition, epoch),
        ):
            try:
                self.run(step())
            except OpeningSuperseded:
                saw("opening", "superseded")
            else:
                raise AssertionError("an overtaken opening wrote")

    def open_anew(self, partition: int, running: int = 0) -> None:
        books = self.books[partition]
        books.epoch += 1
        now = self.server_now(partition)
        self.run(self.queue.begin_opening(partition, books.epoch))
        books.paused = False
        for config in books.configs.values():
            books.configure(config, now)
        self.run(self.queue.seed_configs(partition, books.epoch, list(books.configs.values())))
        attempts = books.attempts()
        charges = [Charge(subject, at, cost) for at, subject, cost in attempts]
        self.run(self.queue.seed_charges(partition, books.epoch, charges))
        books.reseed(attempts, now)
        slots = [
            Slot(subject, f"sent:{n}", now + 8_000) for n in range(running) for subject in ("a/email", "c")
        ]
        self.run(self.queue.seed_slots(partition, books.epoch, slots))
        for slot in slots:
            books.outside[slot.subject][slot.id] = slot.ends_ms
        self.run(self.queue.open(partition, books.epoch))
        books.open = True
        saw("opening", "opened")
        for job in books.jobs.values():
            if job.claimed is not None:
                self.old = [*self.old[-20:], (partition, job.claimed)]
