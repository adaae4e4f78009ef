"""What a person does in an incident, by a page or by the command line: rows and audit first, then Redis."""

from shared.operate.desk import Desk
from shared.store.audit import Via

__all__ = ["Desk", "Via"]
