"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many of each.

    `jobs` go through each row of rates and CPU in a round, `singles` where they go one by one. `waiting` and
    `remembered` are for bytes. `deep` jobs wait, or belong to `wide` tenants two each, while `jobs` pass; so
    many `calls` of the longest scripts are looked at there. Limits run over so many `windows` of `limit`
    each, and over `days` with the documented defaults. `paced` jobs are enqueued at 50 a second, `delayed`
    ones 10 ms apart.
    """

    rounds: int
    jobs: int
    singles: int
    waiting: int
    remembered: int
    deep: int
    wide: int
    calls: int
    windows: int
    limit: int
    days: int
    limited_tenants: int
    paced: int
    delayed: int


FULL = Sizes(
    rounds=3,
    jobs=20_000,
    singles=4_000,
    waiting=200_000,
    remembered=300_000,
    deep=1_000_000,
    wide=100_000,
    calls=300,
    windows=20,
    limit=1_000,
    days=2,
    limited_tenants=2_000,
    paced=500,
    delayed=200,
)
"""What the table is about."""

QUICK = Sizes(
    rounds=1,
    jobs=300,
    singles=50,
    waiting=1_000,
    remembered=500,
    deep=2_000,
    wide=500,
    calls=5,
    windows=3,
    limit=50,
    days=1,
    limited_tenants=50,
    paced=10,
    delayed=10,
)
"""Enough to see that every row can be measured; the figures mean nothing."""
