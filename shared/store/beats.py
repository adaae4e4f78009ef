"""Heartbeats of the gateways: how it is known afterwards when nobody could post to us (design §9)."""

from datetime import timedelta

from sqlalchemy import text

from shared.store.database import AsyncConnection

_BEAT = text("""
with last as (
    select at from gateway_beats for update
), outage as (
    insert into gateway_outages (from_at, to_at)
    select at, clock_timestamp() from last where clock_timestamp() - at > cast(:silence as interval)
    on conflict (from_at) do nothing
    returning from_at
)
insert into gateway_beats as beat (one, at)
select 1, clock_timestamp() from (select count(*) from outage) as noted_before
on conflict (one) do update set at = greatest(beat.at, excluded.at)
""")


async def beat(connection: AsyncConnection, silence: timedelta) -> None:
    """Say that a gateway serves; the first beat after a longer silence writes the outage."""
    await connection.execute(_BEAT, {"silence": silence})
