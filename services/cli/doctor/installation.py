"""The installation: its settings, its schema, whose the Redis prefix is, and whether its queues serve."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from services.cli.doctor.findings import Answer, fault, ok, warning
from services.cli.doctor.patient import Patient
from shared.jobs import QUEUES
from shared.redis.client import holder
from shared.sealing import Purpose, Sealer
from shared.store import diagnosis, queue_rows
from shared.store.migrate import Standing, standing

OPENING = timedelta(minutes=1)
"""How long an opening may take before it is worth a fault."""
SAMPLE = 20


async def settings(patient: Patient) -> Answer:
    """They can be read."""
    if patient.settings.wrong:
        return fault(" ".join(each.rstrip(".") + "." for each in patient.settings.wrong))
    return ok("The settings can be read.")


async def secret_key(patient: Patient) -> Answer:
    """There is one."""
    if patient.settings.public is None:
        return fault(
            f"{patient.settings.secret_wrong}. Gateway and send worker do not start without it; every process"
            " needs the same one."
        )
    return ok("The secret key is set.")


async def public_url(patient: Patient) -> Answer:
    """Providers and recipients can call it, and nobody reads along."""
    url = "" if patient.settings.public is None else patient.settings.public.public_url
    if urlsplit(url).scheme == "https":
        return ok("The public URL is https.")
    return warning(
        f"OUTREACH_PUBLIC_URL is {url}: webhooks come in, and one-click unsubscribe works,"
        " by https only. Set it to the URL that providers call."
    )


async def credentials(patient: Patient) -> Answer:
    """The secret key opens what was sealed."""
    public = patient.settings.public
    rows = await patient.database.run(lambda tx: diagnosis.sealed(tx, SAMPLE))
    sealer = Sealer(public.secret_key.get_secret_value() if public is not None else "", Purpose.CREDENTIALS)
    shut = [row.id for row in rows if sealer.open(row.credentials) is None]
    if shut:
        return fault(
            f"OUTREACH_SECRET_KEY does not open the credentials of {len(shut)} of {len(rows)} provider"
            f" accounts looked at, as {shut[0]}: set it to the key that sealed them, or set them anew."
        )
    return ok(f"The secret key opens the credentials of {len(rows)} provider accounts looked at.")


async def schema(patient: Patient) -> Answer:
    """It is the one that this release needs."""
    match await patient.database.run(standing):
        case Standing.MISSING:
            return fault("The database has no schema: run `outreach migrate`.")
        case Standing.OLDER:
            return fault("The schema is an older release's: run `outreach migrate`.")
        case Standing.NEWER:
            return warning(
                "The schema is a newer release's, which serves this one too: upgrade the services."
            )
        case Standing.CURRENT:
            return ok("The schema is up to date.")


async def installation(patient: Patient) -> Answer:
    """The Redis prefix is ours."""
    ours = await patient.database.run(diagnosis.installation)
    theirs = await holder(patient.redis, patient.prefix)
    if theirs is None:
        return warning(
            f"Nobody has claimed the Redis prefix {patient.prefix!r}: workers and dispatch do when they"
            " start, dispatch also when it opens a queue. See that it runs."
        )
    if ours is None or theirs != str(ours):
        return fault(
            f"The Redis prefix {patient.prefix!r} belongs to another installation, {theirs}: set"
            " REDIS_PREFIX, REDIS_URL or DATABASE_URL to those that belong together."
        )
    return ok(f"The Redis prefix {patient.prefix!r} is this installation's.")


async def partitions(patient: Patient) -> Answer:
    """The queues were made with as many as the settings say."""
    registered, wanted = await patient.database.run(queue_rows.partitions), patient.settings.engine.partitions
    missing = [name for name in QUEUES if name not in registered]
    if missing:
        return fault(
            f"No service has registered {', '.join(missing)} yet: start dispatch, and see that it runs."
        )
    wrong = {name: registered[name] for name in QUEUES if registered[name] != wanted}
    if wrong:
        said = ", ".join(f"{name} with {count}" for name, count in wrong.items())
        return fault(
            f"QUEUE_PARTITIONS is {wanted}, but there is {said}: with another number no service starts."
            f" Set it to {next(iter(wrong.values()))}."
        )
    return ok(
        f"Every queue has {wanted} {'partition' if wanted == 1 else 'partitions'}, as the settings say."
    )


async def openings(patient: Patient) -> Answer:
    """Every partition serves."""
    rows = {(row.queue, row.partition): row for row in await patient.database.run(diagnosis.openings)}
    registered = await patient.database.run(queue_rows.partitions)
    closed = [
        rows.get((queue.name, partition))
        for queue in patient.queues(registered)
        for partition in range(queue.partitions)
        if not await queue.is_open(partition)
    ]
    return judge_openings([row for row in closed if row is not None])


def judge_openings(closed: list[Any]) -> Answer:
    """By the rows of those partitions that Redis does not know to be open."""
    if not closed:
        return ok("Every partition is open.")
    now: datetime = closed[0].now
    said = "; ".join(f"{row.queue}/{row.partition} {_closed_since(row)}" for row in closed[:5])
    more = f" (and {len(closed) - 5} more)" if len(closed) > 5 else ""
    sentence = f"Closed, so that nothing of them is worked on: {said}{more}"
    if all(_under_way(row) and now - row.opening_at < OPENING for row in closed):
        return warning(f"{sentence}. Dispatch is opening them: look again in a minute.")
    return fault(
        f"{sentence}. Redis was emptied or restarted; dispatch opens them: see that it runs, and its log."
    )


def _under_way(row: Any) -> bool:
    return row.opening_at is not None and (row.opened_at is None or row.opened_at < row.opening_at)


def _closed_since(row: Any) -> str:
    if _under_way(row):
        seconds = (row.now - row.opening_at).total_seconds()
        return f"(an opening began {seconds:.0f} s ago and has not ended)"
    if row.opened_at is None:
        return "(never opened)"
    return f"(since some time after {row.opened_at.isoformat(timespec='seconds')})"


async def days_ahead(patient: Patient) -> Answer:
    """There are table partitions for the days to come."""
    # One less than dispatch keeps: it makes the last one within an hour after midnight.
    ahead = patient.settings.dispatch.partitions_ahead - 1
    found = await patient.database.run(lambda tx: diagnosis.days(tx, ahead))
    missing = [name for each in found for name in each.missing]
    if missing:
        return fault(
            f"There is no partition {missing[0]}{_and_more(missing)}: those days' rows go to the default"
            " partition, and stay there. Dispatch makes them: see that it runs, or run `outreach migrate`."
        )
    return ok(f"There are table partitions for {ahead} days ahead.")


async def default_days(patient: Patient) -> Answer:
    """No row is of a day without a partition."""
    found = await patient.database.run(lambda tx: diagnosis.days(tx, 0))
    strays = [each.table for each in found if each.strays]
    if strays:
        names = " and ".join(f"{table}_default" for table in strays)
        return warning(
            f"{names} hold rows of days that had no partition when they came. Nothing is lost, and"
            " deliveries go when they are old; see that dispatch runs without a break."
        )
    return ok("Every row is in a day's partition.")


async def endpoints(patient: Patient) -> Answer:
    """Every webhook endpoint has a valid key."""
    rows = await patient.database.run(lambda tx: diagnosis.keyless(tx, SAMPLE))
    if rows:
        said = ", ".join(f"{row.id} ({row.provider}, of {row.tenant})" for row in rows[:5])
        return warning(
            f"No key is valid for the webhook endpoint {said}{_and_more(rows[4:])}: every post to it is"
            " refused, and the provider gives up after about a day. Give it a key by `/v1/webhook-endpoints`."
        )
    return ok("Every webhook endpoint has a key.")


def _and_more(rows: Any) -> str:
    return f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
