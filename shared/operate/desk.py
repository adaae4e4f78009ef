"""The desk: all that a person can do, in one place, for the pages and for the command line."""

from shared.operate.standing import Standing


class Desk(Standing):
    """Every action is rows and one entry of the audit in a transaction, and only then Redis."""
