"""Acting: who is logged in at the desk, where all that a person does is done and noted in the audit."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.admin.sessions import Session
from shared.campaigns.transitions import Transitions
from shared.operate import Desk, Via
from shared.queue.queue import Queue
from shared.store.database import Database


@dataclass(frozen=True, slots=True)
class Acting:
    """Makes desks of one installation: its rows, and its queues by name."""

    database: Database
    queues: Mapping[str, Queue]
    transitions: Transitions

    def desk(self, session: Session) -> Desk:
        """The desk of somebody; whoever may not act never sends a form this far."""
        return Desk(self.database, self.queues, self.transitions, session.name, Via.PAGE)
