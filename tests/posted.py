"""Webhook bodies for tests, stored as the gateway stores them."""

import json
from typing import Any
from uuid import UUID

from shared.store import deliveries
from shared.store.deliveries import Post
from shared.store.deliveries_work import DeliveryClaim
from tests.journeys import World

JSON = {"content-type": "application/json", "user-agent": "SendGrid Event API"}
FORM = {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": "c2lnbmVk"}


async def arrive(
    world: World,
    *events: Any,
    body: bytes | None = None,
    provider: str = "sendgrid",
    headers: dict[str, str] | None = None,
    query: str = "",
) -> UUID:
    """A body of a provider, by default one of SendGrid's events; its delivery's id."""
    posted = body if body is not None else json.dumps(events).encode()
    post = Post(world.tenant_id, world.tenant_id, provider, headers or JSON, query, posted)
    [receipt] = await world.database.run(lambda tx: deliveries.accept(tx, [post]))
    assert receipt.new
    return receipt.delivery_id


async def worked(world: World, delivery_id: UUID, **settings: Any) -> tuple[int, int]:
    """A webhook worker processes it: new events, and transitions."""
    (result,) = await world.process(DeliveryClaim(world.tenant_id, delivery_id, 0), **settings)
    return result


async def set_state(world: World, delivery_id: UUID, state: str, **fields: Any) -> None:
    """Put a delivery into a state, as its worker or the sweeper would."""
    changes = "".join(f", {name} = :{name}" for name in fields)
    await world.run(
        f"update deliveries set state = :state, state_at = now(){changes} where tenant_id = :t and id = :id",
        state=state,
        id=delivery_id,
        **fields,
    )
