"""The checks in order, and what each needs: a server that is away is a finding, not a traceback."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from services.cli.doctor import installation, orphans, presence, rows, servers
from services.cli.doctor.findings import Answer, Finding, Verdict, fault, unchecked, warning
from services.cli.doctor.patient import Patient, Settings, clients
from shared.loop import AWAY

LONGEST = timedelta(seconds=15)
"""How long one check may take."""


class Need(StrEnum):
    """What a check cannot do without; the value says what is missing when it is."""

    REDIS_URL = "nothing says where Redis is"
    DATABASE_URL = "nothing says where Postgres is"
    SECRET_KEY = "there is no secret key"
    REDIS = "Redis does not serve"
    POSTGRES = "Postgres does not serve"
    SCHEMA = "the schema is not up to date"


@dataclass(frozen=True, slots=True)
class Check:
    """A question by its name; after a fault, what it `gives` is missing for those who need it."""

    name: str
    ask: Callable[[Patient], Awaitable[Answer]]
    needs: Sequence[Need] = ()
    gives: Need | None = None


_ROWS = (Need.POSTGRES, Need.SCHEMA)
_BOTH = (*_ROWS, Need.REDIS)

CHECKS = (
    Check("settings", installation.settings),
    Check("secret_key", installation.secret_key, gives=Need.SECRET_KEY),
    Check("public_url", installation.public_url, (Need.SECRET_KEY,)),
    Check("postgres", servers.postgres, (Need.DATABASE_URL,), gives=Need.POSTGRES),
    Check("postgres_version", servers.postgres_version, (Need.POSTGRES,)),
    Check("schema", installation.schema, (Need.POSTGRES,), gives=Need.SCHEMA),
    Check("redis", servers.redis, (Need.REDIS_URL,), gives=Need.REDIS),
    Check("redis_version", servers.redis_version, (Need.REDIS,)),
    Check("eviction", servers.eviction, (Need.REDIS,)),
    Check("persistence", servers.persistence, (Need.REDIS,)),
    Check("memory", servers.memory, (Need.REDIS,)),
    Check("clocks", servers.clocks, (Need.POSTGRES, Need.REDIS)),
    Check("installation", installation.installation, _BOTH),
    Check("partitions", installation.partitions, _ROWS),
    Check("openings", installation.openings, _BOTH),
    Check("dispatch", presence.dispatch, (Need.REDIS,)),
    Check("workers", presence.workers, (Need.REDIS,)),
    Check("gateway", presence.gateway, _ROWS),
    Check("days_ahead", installation.days_ahead, _ROWS),
    Check("default_days", installation.default_days, _ROWS),
    Check("credentials", installation.credentials, (*_ROWS, Need.SECRET_KEY)),
    Check("endpoints", installation.endpoints, _ROWS),
    Check(
        "stuck_enqueued_sends",
        rows.by_job("send", "enqueued", lambda patient: patient.settings.dispatch.enqueued_stale),
        _BOTH,
    ),
    Check("stuck_submitting", rows.by_row("send", "submitting", rows.submission), _ROWS),
    Check(
        "stuck_unknown",
        rows.by_row("send", "unknown", lambda patient: patient.settings.send.unknown_window),
        _ROWS,
    ),
    Check(
        "stuck_enqueued_timeouts",
        rows.by_job("timeout", "enqueued", lambda patient: patient.settings.dispatch.enqueued_stale),
        _BOTH,
    ),
    Check(
        "stuck_received",
        rows.by_job("webhook", "received", lambda patient: patient.settings.dispatch.received_stale),
        _BOTH,
    ),
    Check(
        "stuck_processing",
        rows.by_job("webhook", "processing", lambda patient: patient.settings.engine.lease),
        _BOTH,
    ),
    Check("stuck_parked", rows.by_job("webhook", "parked", lambda _: timedelta(0)), _BOTH),
    Check("orphans", orphans.orphans, _BOTH),
)


async def examine(
    settings: Settings, dress: Callable[[Patient], Patient] = lambda patient: patient
) -> list[Finding]:
    """Ask every check, in order; `dress` may give the patient another clock."""
    missing = set()
    if settings.redis is None:
        missing |= {Need.REDIS_URL, Need.REDIS}
    if settings.database is None:
        missing |= {Need.DATABASE_URL, Need.POSTGRES, Need.SCHEMA}
    async with clients(settings) as (redis, database):
        prefix = settings.redis.prefix if settings.redis is not None else ""
        patient = dress(Patient(settings, redis, database, prefix))
        findings = []
        for check in CHECKS:
            answer = await _ask(check, patient, missing)
            if check.gives is not None and answer.verdict in (Verdict.FAULT, Verdict.UNCHECKED):
                missing.add(check.gives)
            findings.append(Finding(check.name, *answer))
        return findings


async def _ask(check: Check, patient: Patient, missing: set[Need]) -> Answer:
    lacking = next((need for need in check.needs if need in missing), None)
    if lacking is not None:
        return unchecked(f"Not looked at: {lacking.value}.")
    try:
        async with asyncio.timeout(LONGEST.total_seconds()):
            return await check.ask(patient)
    except AWAY as error:
        said = str(error).rstrip(".") or type(error).__name__
        return fault(f"{said}: look at DATABASE_URL and REDIS_URL, and at the server.")
    except Exception as error:  # the boundary: what one check cannot do must not hide what others find
        return warning(
            f"Not looked at: {type(error).__name__}. See whether its account may do what is asked."
        )
