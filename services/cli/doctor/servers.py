"""The servers: that they answer, which they are, how they are set, and whether their clocks agree."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.exceptions import ResponseError

from services.cli.doctor.findings import Answer, fault, ok, warning
from services.cli.doctor.patient import Patient
from shared.store import diagnosis, openings
from shared.store.database import AsyncConnection

OLDEST_POSTGRES = 15
OLDEST_REDIS = (7, 0)
OLDEST_VALKEY = (7, 2)
SKEW = timedelta(seconds=2)
"""Clocks that are further apart are worth a look."""
SKEWED = timedelta(minutes=1)
"""Further apart than this, an opening may leave charges out, and times that are compared mislead."""
FULL, ALMOST_FULL = 0.95, 0.8

Info = Mapping[str, Any]


async def postgres(patient: Patient) -> Answer:
    """It answers, and takes what is written."""
    found = await patient.database.run(diagnosis.server)
    if found.replica:
        return fault("Postgres only follows another server: let DATABASE_URL name the primary.")
    return ok("Postgres answers.")


async def postgres_version(patient: Patient) -> Answer:
    """Not older than the oldest that is tested."""
    version = (await patient.database.run(diagnosis.server)).version
    if version < OLDEST_POSTGRES:
        return fault(f"Postgres is {version}: {OLDEST_POSTGRES} is the oldest that serves. Upgrade it.")
    return ok(f"Postgres is {version}.")


async def redis(patient: Patient) -> Answer:
    """It answers, and takes what is written."""
    if (await patient.redis.info("replication"))["role"] != "master":
        return fault("Redis only follows another server: let REDIS_URL name the primary.")
    return ok("Redis answers.")


async def redis_version(patient: Patient) -> Answer:
    """Not older than the oldest that is tested."""
    return judge_version(await patient.redis.info("server"))


def judge_version(info: Info) -> Answer:
    """By the section `server` of INFO; whoever is neither Redis nor Valkey says which Redis it is like."""
    valkey = info.get("server_name") == "valkey"
    name, oldest = ("Valkey", OLDEST_VALKEY) if valkey else ("Redis", OLDEST_REDIS)
    version = str(info["valkey_version" if valkey else "redis_version"])
    major, minor = version.split(".")[:2]
    if (int(major), int(minor)) < oldest:
        return fault(
            f"{name} is {version}: {'.'.join(map(str, oldest))} is the oldest that serves. Upgrade it."
        )
    return ok(f"{name} is {version}.")


async def eviction(patient: Patient) -> Answer:
    """It forgets nothing by itself."""
    policy = (await patient.redis.info("memory"))["maxmemory_policy"]
    if policy != "noeviction":
        return fault(
            f"Redis may evict jobs and limits when its memory is full: set maxmemory-policy from {policy} to"
            " noeviction."
        )
    return ok("Redis evicts nothing.")


async def memory(patient: Patient) -> Answer:
    """There is room."""
    return judge_memory(await patient.redis.info("memory"))


def judge_memory(info: Info) -> Answer:
    """By the section `memory` of INFO: what is used of the most it may use, or of what the machine has."""
    limit = int(info["maxmemory"])
    whole = limit or int(info.get("total_system_memory", 0))
    if not whole:
        return ok("Redis has no maxmemory.")
    share = int(info["used_memory"]) / whole
    said = f"Redis uses {share:.0%} of {'its maxmemory' if limit else 'the memory of its machine'}"
    if share >= FULL:
        return fault(
            f"{said}: it is about to refuse every write. Give it more; `outreach queues` tells what fills it."
        )
    if share >= ALMOST_FULL:
        return warning(f"{said}: when it is full, it refuses every write. Give it more.")
    return ok(f"{said}.")


async def persistence(patient: Patient) -> Answer:
    """What it holds is on a disk too."""
    try:
        save = (await patient.redis.config_get("save")).get("save", "")
    except ResponseError:  # a managed Redis keeps its configuration to itself
        save = None
    return judge_persistence(await patient.redis.info("persistence"), save)


def judge_persistence(info: Info, save: str | None) -> Answer:
    """By the section `persistence` of INFO and the setting `save`; None: nobody says what that is."""
    for kind, state in (
        ("append-only file", info.get("aof_last_write_status", "ok")),
        ("snapshot", info.get("rdb_last_bgsave_status", "ok")),
    ):
        if state != "ok":
            return fault(
                f"Redis could not write its last {kind}, and may refuse writes for that: look at its disk"
                " and log."
            )
    if info["aof_enabled"] or save:
        return ok("Redis keeps what it holds on disk.")
    if save is None:
        return ok("Redis keeps no append-only file, and does not tell whether it makes snapshots.")
    return warning(
        "Redis keeps nothing on disk. Rows bring every queue back after a restart, but until then nothing is"
        " sent, and plain Taskiq tasks are lost: set appendonly to yes."
    )


async def clocks(patient: Patient) -> Answer:
    """This machine's, Redis's and Postgres's agree."""

    async def of_postgres(tx: AsyncConnection) -> timedelta:
        await openings.clock(tx)  # the transaction has begun: the next one is a single round trip
        before = patient.now()
        theirs = await openings.clock(tx)
        return _ahead(theirs, before, patient.now())

    before = patient.now()
    seconds, microseconds = await patient.redis.time()
    theirs = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)
    ahead = {
        "this machine": timedelta(0),
        "Redis": _ahead(theirs, before, patient.now()),
        "Postgres": await patient.database.run(of_postgres),
    }
    return judge_clocks(ahead)


def judge_clocks(ahead: Mapping[str, timedelta]) -> Answer:
    """By how far each is ahead of the same one."""
    first, last = min(ahead, key=lambda name: ahead[name]), max(ahead, key=lambda name: ahead[name])
    apart = ahead[last] - ahead[first]
    said = f"The clock of {last} is {apart.total_seconds():.1f} s ahead of that of {first}"
    if apart > SKEWED:
        return fault(f"{said}: limits and timeouts go by them. Let all machines follow one NTP source.")
    if apart > SKEW:
        return warning(f"{said}: let all machines follow one NTP source.")
    return ok("The clocks agree.")


def _ahead(theirs: datetime, before: datetime, after: datetime) -> timedelta:
    """How far a server's clock is ahead of ours, if it looked half way between question and answer."""
    return theirs - (before + (after - before) / 2)
